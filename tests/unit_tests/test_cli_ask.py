"""The commands that ask a language model."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel, GenericFakeChatModel
from rich.console import Console
from typer.testing import CliRunner, Result

from langchain_videochat import VideoTimelineStore
from langchain_videochat.cli import app
from langchain_videochat.cli.ask import Conversation, show_answer
from langchain_videochat.perception import Observation
from tests.slides import render_talk
from tests.unit_tests.embeddings import make_timeline

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_talk(tmp_path_factory.mktemp("videos") / "tent [1].mp4", [["Pitching a tent"], ["All poles up"]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, video: Path) -> Path:
    """A store with a video about tents, and one about eggs whose file is missing."""
    folder = tmp_path_factory.mktemp("store")
    store = VideoTimelineStore(folder)
    store.add(make_timeline("tent [1]", Observation(0, 8, "screen_text", "You need 8 pegs"), source=str(video)))
    store.add(make_timeline("eggs", Observation(0, 10, "speech", "Whisk two eggs")))
    return folder


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Make every model name load a scripted model; return the list of requested names."""
    names: list[str] = []

    def load_script(*messages: str, model: BaseChatModel | None = None) -> list[str]:
        scripted = model or GenericFakeChatModel(messages=iter(messages))

        def init_chat_model(name: str) -> BaseChatModel:
            names.append(name)
            return scripted

        monkeypatch.setattr("langchain.chat_models.init_chat_model", init_chat_model)
        return names

    return load_script


@pytest.fixture
def run(folder: Path) -> Run:
    """Run a command on the store, with typed input."""

    def invoke(*arguments: str, typed: str = "", model: str | None = "script:1") -> Result:
        environment = {"VIDEOCHAT_STORE": str(folder), "VIDEOCHAT_MODEL": model, "COLUMNS": "200", "NO_COLOR": "1"}
        return CliRunner().invoke(app, list(arguments), input=typed, env=environment)

    return invoke


def test_ask_prints_the_answer_and_its_citations(run: Run, script: Callable[..., list[str]], video: Path) -> None:
    script("You need [bold]eight[/bold] pegs [1].")
    result = run("ask", "How many pegs?", "--video", "tent [1]")
    assert result.exit_code == 0, result.output
    assert "You need [bold]eight[/bold] pegs [1].\n" in result.stdout
    assert f"[1] tent [1] 00:00-00:08 {video.as_uri()}#t=0,8" in result.stdout


def test_ask_prints_json(run: Run, script: Callable[..., list[str]]) -> None:
    script("Two [1], and not three [9].")
    answer = json.loads(run("ask", "How many eggs?", "--video", "eggs", "--json").stdout)
    assert answer["answer"] == "Two [1], and not three."
    assert (answer["supported"], answer["closest"]) == (False, [])
    assert [(one["video_id"], one["start"], one["end"]) for one in answer["citations"]] == [("eggs", 0, 10)]


def test_ask_marks_an_answer_that_is_not_supported(run: Run, script: Callable[..., list[str]]) -> None:
    script("It is a dog [9].", "Eight pegs [1], and a dog [9].", "The video does not show this.", "Eight pegs [1].")
    none, some, refused, supported = (run("ask", "How many pegs?", "--video", "tent [1]").stdout for _ in range(4))
    assert none.startswith("It is a dog.\nNot supported by the videos")
    assert "The closest moments:\n[1] tent [1] 00:00-00:08" in none
    assert "Not fully supported by the videos" in some
    assert "closest" not in some
    assert "Not supported" not in refused
    assert "The closest moments:\n[1] tent [1] 00:00-00:08" in refused
    assert "upported" not in supported


def test_strict_answers_cite_the_videos(run: Run, script: Callable[..., list[str]]) -> None:
    script("It is a dog [9].", "Eight pegs [1].", "Eight pegs, I think.")
    refused, shown = (run("ask", "How many pegs?", "--video", "tent [1]", "--strict").stdout for _ in range(2))
    assert refused.startswith("The videos do not support an answer to this question.\n\nThe closest moments:\n[1]")
    assert shown.startswith("Eight pegs [1].")
    assert "I think" not in run("chat", "--strict", typed="How many pegs?\n").stdout


def test_model_option_overrides_the_environment(run: Run, script: Callable[..., list[str]]) -> None:
    names = script("Two.", "Two.")
    run("ask", "How many eggs?", "--model", "ollama:qwen3", model="openai:gpt-5-mini")
    run("ask", "How many eggs?", model="openai:gpt-5-mini")
    assert names == ["ollama:qwen3", "openai:gpt-5-mini"]


@pytest.mark.parametrize("command", [["ask", "How many eggs?"], ["chat"]])
def test_model_is_required(run: Run, command: list[str]) -> None:
    result = run(*command, model=None)
    assert result.exit_code == 2
    assert "--model" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "upstage:solar-mini"], "pip install langchain-upstage"),
        (["--model", "nobody:nothing"], "Use PROVIDER:MODEL"),
        (["--model", "nobody/has-this"], "not on this machine (size unknown)"),
        (["--video", "nowhere"], "no video in the store has this path, title or id"),
        (["--store", "/nowhere"], "there is no store in /nowhere"),
    ],
)
@pytest.mark.parametrize("command", [["ask", "How many eggs?"], ["chat"]])
def test_errors_are_one_message_and_an_exit_code(
    run: Run, command: list[str], arguments: list[str], message: str
) -> None:
    result = run(*command, *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_model_failure_is_one_message(run: Run, script: Callable[..., list[str]]) -> None:
    script(model=FakeListChatModel(responses=["Two eggs"], error_on_chunk_number=3))
    result = run("ask", "How many eggs?")
    assert result.exit_code == 1
    assert "FakeListChatModelError" in result.stderr
    assert "Traceback" not in result.output


def test_chat_keeps_the_conversation(run: Run, script: Callable[..., list[str]]) -> None:
    script("Eight pegs [1].", "How many eggs are whisked?", "Two eggs.")
    result = run("chat", typed="How many pegs?\n\nAnd eggs?\n")
    assert result.exit_code == 0, result.output
    assert "Eight pegs [1]." in result.stdout
    assert "Two eggs." in result.stdout
    assert result.stdout.endswith("Goodbye.\n")


def test_chat_continues_after_a_failure(run: Run, script: Callable[..., list[str]]) -> None:
    script("Eight pegs.", "How many eggs are whisked?")
    result = run("chat", typed="How many pegs?\nAnd eggs?\n")
    assert result.exit_code == 0
    assert "it failed" in result.stderr
    assert result.stdout.endswith("Goodbye.\n")


def test_ctrl_c_quits_a_chat(run: Run, script: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    script()
    monkeypatch.setattr("builtins.input", interrupt)
    result = run("chat")
    assert result.exit_code == 0
    assert result.stdout.endswith("Goodbye.\n")


def test_terminal_shows_links_and_thumbnails(folder: Path, script: Callable[..., list[str]], video: Path) -> None:
    script("Eight pegs [1].", "Two eggs [1].")
    store = VideoTimelineStore(folder)
    output = {}
    for video_id in ("tent [1]", "eggs"):
        screen = io.StringIO()
        terminal = Console(file=screen, force_terminal=True, color_system="truecolor", width=100)
        show_answer(terminal, Conversation("script:1", store, video_id).ask("How many?"))
        output[video_id] = screen.getvalue()
    assert f";{video.as_uri()}#t=0,8\x1b\\" in output["tent [1]"]
    assert output["tent [1]"].count("▀") == 32 * 9
    assert "#t=0,10\x1b\\" in output["eggs"]
    assert "▀" not in output["eggs"]


@pytest.mark.parametrize("command", ["ask", "chat"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert f"videochat {command}" in result.stdout
