"""The examples run as they are started, offline, with a model that says what it is told to."""

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
    """Says given things one after the other, and calls tools where these are calls."""

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        return self


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the examples find the demo video, and keep what they index."""
    folder = tmp_path_factory.mktemp("work")
    render(folder / "demo" / "quick_recipes.mp4")
    return folder


@pytest.fixture
def start(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Example:
    """Start an example with a script for its model, and return what it prints."""

    def run(name: str, *script: str | AIMessage) -> str:
        models = {"script:1": ScriptedModel(messages=iter(script))}
        monkeypatch.setattr("examples.common.init_chat_model", models.__getitem__)
        monkeypatch.setattr("examples.common.VIDEO", folder / "demo" / "quick_recipes.mp4")
        monkeypatch.setattr(sys, "argv", [name, "--model", "script:1"])
        monkeypatch.chdir(folder)
        runpy.run_module(f"examples.{name}", run_name="__main__")
        return capsys.readouterr().out

    return run


def call(tool: str, **arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": tool, "args": arguments, "id": tool}])


def test_ask_one_video(start: Example, folder: Path) -> None:
    shown = start("ask_one_video", "You need 2 eggs [1].", "What do I do with the eggs first?", "You whisk them [1].")
    assert "== How many eggs are in the pancakes?\n\nYou need 2 eggs [1].\n[1] Two quick recipes 00:" in shown
    assert "You whisk them [1].\n[1] Two quick recipes 00:" in shown
    assert (folder / "demo" / "quick_recipes.mp4").as_uri() in shown


def test_agent_over_a_collection(start: Example) -> None:
    calls = [call("list_videos"), call("search_videos", query="eggs"), call("video_chat_text", start="00:16")]
    shown = start("agent_over_a_collection", *calls, "The pancakes; 90 seconds on each side, at 00:16.")
    assert "search_videos" in shown
    assert "2 eggs" in shown
    assert "Fry 90 seconds" in shown
    assert shown.endswith("The pancakes; 90 seconds on each side, at 00:16.\n")


def test_graph_with_video(start: Example) -> None:
    shown = start("graph_with_video", "3 lemons, sugar and water [1].")
    assert "of 40 s perceived" in shown
    assert "100% stored\n" in shown
    assert "3 lemons, sugar and water [1].\n[1] Two quick recipes 00:" in shown


def test_retrieval(start: Example) -> None:
    shown = start("retrieval", "60 g of sugar.")
    _, juice, code, need, answer = shown.split("\n== ")
    assert "Roll the fruit on the table first" in juice
    assert "Recipe no. PX-4471" in code
    assert "3 lemons" in need
    assert answer.endswith("60 g of sugar.\n")


def test_a_model_must_be_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["retrieval"])
    monkeypatch.delenv("VIDEOCHAT_MODEL", raising=False)
    with pytest.raises(SystemExit):
        runpy.run_module("examples.retrieval", run_name="__main__")
    assert "--model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "shown"),
    [("video_in_a_chain", ""), ("structured_video_report", "is_cooked: "), ("compare_two_videos", "looked at 23.0, ")],
)
def test_examples_that_watch(
    name: str, shown: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (folder / "videochat").exists():
        save_videochat(folder / "videochat")
    monkeypatch.setattr("examples.common.VIDEO", folder / "demo" / "quick_recipes.mp4")
    monkeypatch.setattr(sys, "argv", [name, "--model", "videochat"])
    monkeypatch.chdir(folder)
    runpy.run_module(f"examples.{name}", run_name="__main__")
    printed = capsys.readouterr().out
    assert printed.strip()
    assert shown in printed


def test_make_instruction_data(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["make_instruction_data"])
    runpy.run_module("examples.make_instruction_data", run_name="__main__")
    shown = capsys.readouterr().out
    assert "80 items of 20 videos: 100 calls" in shown
    assert re.search(r"made \d+ causal, \d+ description, \d+ descriptive, \d+ temporal; ", shown)
    assert re.search(r"description: \d+ for train, \d+ for validation", shown)
    assert re.search(r"run: 1 steps, loss \d", shown)
