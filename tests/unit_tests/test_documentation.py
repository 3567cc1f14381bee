"""The code in README.md and CONTRIBUTING.md runs as it stands there."""

import re
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage

from examples.render_demo import render
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
