"""The code in README.md and CONTRIBUTING.md runs as it stands there."""

import re
import shlex
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage
from typer.core import TyperGroup
from typer.main import get_command

from examples.render_demo import render
from langchain_videochat.cli.main import app
from langchain_videochat.perception.profiles import create_perceivers
from tests.agents import ScriptedChat, calling
from tests.tiny_videochat import save_videochat

TURNS = [
    AIMessage("60 g [1]."),
    calling("search_videos", query="sugar"),
    AIMessage("It is added at 00:28."),
]
"""What a language model would say to the examples, one after the other."""

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_code_blocks_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    render(tmp_path / "demo" / "quick_recipes.mp4")
    save_videochat(tmp_path / "videochat-7b", max_positions=4096)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("langchain.chat_models.init_chat_model", lambda _: ScriptedChat(turns=list(TURNS)))
    namespace: dict[str, object] = {"__name__": name}
    for block in blocks:
        exec(compile(block, name, "exec"), namespace)
    assert blocks
    assert len(capsys.readouterr().out.splitlines()) > 0 or name == "CONTRIBUTING.md"


README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (?:\S+ )*?(?:\S*/)?videochat (.+)$", README.replace("\\\n", " "), re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_are_understood(line: str) -> None:
    command, arguments = get_command(app), shlex.split(line)
    context = command.make_context("videochat", arguments.copy())
    while isinstance(command, TyperGroup):
        name, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command = found
        context = command.make_context(name, arguments.copy(), parent=context)  # an unknown option is an error


def test_the_profile_of_the_readme_is_one(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    (tmp_path / "kitchen.yaml").write_text(block)

    perceivers = create_perceivers(tmp_path / "kitchen.yaml")

    assert [one.modality for one in perceivers] == ["subtitle", "screen_text", "action", "caption", "object", "speech"]
