"""The code in README.md, docs/ and CONTRIBUTING.md runs unchanged."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage
from typer.core import TyperGroup
from typer.main import get_command

from examples.render_demo import render
from langchain_videochat.cli import app
from langchain_videochat.perception.profiles import create_perceivers
from tests.agents import ScriptedChat, calling
from tests.tiny_videochat import save_videochat

TURNS = {
    "README.md": [
        AIMessage("60 g [1]."),
        calling("search_videos", query="sugar"),
        AIMessage("It is added at 00:28."),
    ],
    "docs/langchain.md": [
        calling("cut_clip", video_id="Two quick recipes", start="00:27", end="00:31", filename="sugar.mp4"),
        AIMessage("It is added at 00:28; sugar.mp4 shows it."),
        calling("search_videos", query="sugar"),
        AIMessage("The lemonade."),
        AIMessage("60 g [1]."),
        AIMessage("What is the sugar added to?"),
        AIMessage("To the lemonade [1]."),
        AIMessage("60 g [1]."),
    ],
}
"""Replies of a language model to the examples of a page, in order."""

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
}


def find_code(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the pages use."""
    folder = tmp_path_factory.mktemp("files")
    render(folder / "demo" / "quick_recipes.mp4")
    save_videochat(folder / "videochat-7b", max_positions=4096)
    return folder


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if find_code(page, "python")])
def test_code_blocks_run(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("langchain.chat_models.init_chat_model", lambda _: ScriptedChat(turns=TURNS.get(name, [])))
    namespace: dict[str, object] = {"__name__": name}
    # Chroma shares one client per path in a process, and "index" is another folder for each page.
    index = f'VideoTimelineStore("{tmp_path / "index"}")'
    for block in find_code(PAGES[name], "python"):
        exec(compile(block.replace('VideoTimelineStore("index")', index), name, "exec"), namespace)
    assert len(capsys.readouterr().out.splitlines()) > 0 or name == "CONTRIBUTING.md"


COMMANDS = re.findall(
    r"^\$ (?:\S+ )*?(?:\S*/)?videochat (.+)$", "\n".join(PAGES.values()).replace("\\\n", " "), re.MULTILINE
)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_are_valid(line: str) -> None:
    command, arguments = get_command(app), shlex.split(line)
    context = command.make_context("videochat", arguments.copy())
    # A group may be a command, too, and then have options.
    while isinstance(command, TyperGroup) and not arguments[0].startswith("-"):
        name, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command = found
        context = command.make_context(name, arguments.copy(), parent=context)  # fails for an unknown option


def test_profile_of_the_readme_is_valid(tmp_path: Path) -> None:
    (block,) = find_code(PAGES["README.md"], "yaml")
    (tmp_path / "kitchen.yaml").write_text(block)

    perceivers = create_perceivers(tmp_path / "kitchen.yaml")

    assert [one.modality for one in perceivers] == ["subtitle", "screen_text", "action", "caption", "object", "speech"]
