"""The examples run from their command lines, offline, with a scripted model."""

import io
import re
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable

from examples.render_demo import render
from tests.tiny_videochat import save_videochat

Example = Callable[..., str]


class ScriptedModel(GenericFakeChatModel):
    """A model that returns given messages in turn, which may call tools."""

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        return self


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with the demo video."""
    folder = tmp_path_factory.mktemp("work")
    render(folder / "demo" / "quick_recipes.mp4")
    return folder


@pytest.fixture
def run_example(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Example:
    """Run an example with a script for its model, and return its output."""

    def run(name: str, *script: str | AIMessage) -> str:
        models = {"script:1": ScriptedModel(messages=iter(script))}
        monkeypatch.setattr("examples.common.init_chat_model", models.__getitem__)
        monkeypatch.setattr("examples.common.VIDEO", folder / "demo" / "quick_recipes.mp4")
        monkeypatch.setattr(sys, "argv", [name, "--model", "script:1"])
        monkeypatch.chdir(folder)
        monkeypatch.delitem(sys.modules, f"examples.{name}", raising=False)  # other tests import some of them
        runpy.run_module(f"examples.{name}", run_name="__main__")
        return capsys.readouterr().out

    return run


def call(tool: str, **arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": tool, "args": arguments, "id": tool}])


def cut(filename: str) -> AIMessage:
    return call("cut_clip", video_id="Two quick recipes", start="00:27", end="00:31", filename=filename)


def test_ask_one_video(run_example: Example, folder: Path) -> None:
    output = run_example(
        "ask_one_video", "You need 2 eggs [1].", "What do I do with the eggs first?", "You whisk them [1]."
    )
    assert "== How many eggs are in the pancakes?\n\nYou need 2 eggs [1].\n[1] Two quick recipes 00:" in output
    assert "You whisk them [1].\n[1] Two quick recipes 00:" in output
    assert (folder / "demo" / "quick_recipes.mp4").as_uri() in output


def test_agent_over_a_collection(run_example: Example) -> None:
    calls = [call("list_videos"), call("search_videos", query="eggs"), call("video_chat_text", start="00:16")]
    output = run_example("agent_over_a_collection", *calls, "The pancakes; 90 seconds on each side, at 00:16.")
    assert "search_videos" in output
    assert "2 eggs" in output
    assert "Fry 90 seconds" in output
    assert output.endswith("The pancakes; 90 seconds on each side, at 00:16.\n")


def test_graph_with_video(run_example: Example) -> None:
    output = run_example("graph_with_video", "3 lemons, sugar and water [1].")
    assert "of 40 s processed" in output
    assert "100% stored\n" in output
    assert "3 lemons, sugar and water [1].\n[1] Two quick recipes 00:" in output


def test_approve_a_cut(run_example: Example, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("no\nyes\n"))
    cuts = [cut("first.mp4"), cut("second.mp4")]
    output = run_example(
        "approve_a_cut", call("search_videos", query="sugar"), *cuts, "It is in second.mp4.", "2 eggs."
    )
    assert "quick_recipes.mp4: perceiving, 100 %\n" in output
    assert "Write this clip: video_id=Two quick recipes, start=00:27, end=00:31, filename=first.mp4? [y/n] " in output
    assert "The user declined this clip." in output
    assert not (folder / "demo" / "first.mp4").exists()
    (folder / "demo" / "second.mp4").unlink()  # the other examples must not find it
    first, again = output.split("\n== Back to the start: ")
    assert "1 indexed, 0 already in the store\n" in first
    assert "1 indexed, " not in again
    assert "perceiving" not in again
    assert again.endswith("\n2 eggs.\n")


def test_retrieval(run_example: Example) -> None:
    output = run_example("retrieval", "60 g of sugar.")
    _, juice, code, need, answer = output.split("\n== ")
    assert "Roll the fruit on the table first" in juice
    assert "Recipe no. PX-4471" in code
    assert "3 lemons" in need
    assert answer.endswith("60 g of sugar.\n")


def test_model_is_required(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["retrieval"])
    monkeypatch.delenv("VIDEOCHAT_MODEL", raising=False)
    with pytest.raises(SystemExit):
        runpy.run_module("examples.retrieval", run_name="__main__")
    assert "--model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "expected"),
    [("video_in_a_chain", ""), ("structured_video_report", "is_cooked: "), ("compare_two_videos", "sampled at 23.0, ")],
)
def test_examples_with_videochat_embed(
    name: str, expected: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (folder / "videochat").exists():
        save_videochat(folder / "videochat")
    monkeypatch.setattr("examples.common.VIDEO", folder / "demo" / "quick_recipes.mp4")
    monkeypatch.setattr(sys, "argv", [name, "--model", "videochat"])
    monkeypatch.chdir(folder)
    runpy.run_module(f"examples.{name}", run_name="__main__")
    output = capsys.readouterr().out
    assert output.strip()
    assert expected in output


def test_make_instruction_data(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["make_instruction_data"])
    runpy.run_module("examples.make_instruction_data", run_name="__main__")
    output = capsys.readouterr().out
    assert "80 items of 20 videos: 100 calls" in output
    assert re.search(r"generated \d+ causal, \d+ description, \d+ descriptive, \d+ temporal; ", output)
    assert re.search(r"description: \d+ for train, \d+ for validation", output)
    assert re.search(r"run: 1 steps, loss \d", output)
