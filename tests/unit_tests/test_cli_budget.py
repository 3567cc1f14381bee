"""Output of commands within --max-tokens."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from typer.testing import CliRunner, Result

from langchain_videochat import VideoTimelineStore
from langchain_videochat.cli import app
from langchain_videochat.perception import Observation
from langchain_videochat.text.context import approximate_tokens
from tests.unit_tests.embeddings import make_timeline

Run = Callable[..., Result]

LIMIT = 600


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a video of many sentences, and one with a very long text."""
    folder = tmp_path_factory.mktemp("store")
    store = VideoTimelineStore(folder)
    spoken = [Observation(10 * n, 10 * n + 9, "speech", f"Sentence {n} about eggs and flour.") for n in range(300)]
    store.add(make_timeline("lecture", *spoken, duration=3000))
    store.add(make_timeline("poster", Observation(0, 8, "screen_text", "eggs " * 4000)))
    return folder


@pytest.fixture
def run(folder: Path) -> Run:
    def invoke(*arguments: object, tokens: int | None = LIMIT) -> Result:
        limit = [] if tokens is None else ["--max-tokens", str(tokens)]
        environment = {"VIDEOCHAT_STORE": str(folder), "VIDEOCHAT_MODEL": "script:1", "COLUMNS": "200", "NO_COLOR": "1"}
        result = CliRunner().invoke(app, [*map(str, arguments), *limit], env=environment)
        assert result.exit_code == 0, result.output
        return result

    return invoke


@pytest.mark.parametrize("options", [[], ["--json"], ["--webvtt"]], ids=str)
@pytest.mark.parametrize("video", ["lecture", "poster"])
def test_a_timeline_is_bounded(run: Run, video: str, options: list[str]) -> None:
    shown = run("timeline", video, *options).stdout
    assert LIMIT / 3 < approximate_tokens(shown) <= 1.02 * LIMIT
    assert "eggs" in shown
    if "--json" in options:
        json.loads(shown)


@pytest.mark.parametrize("option", [None, "--json"])
def test_the_parts_of_a_timeline_are_the_whole(run: Run, option: str | None) -> None:
    found: list[int] = []
    start = "0"
    while start:
        result = run("timeline", "lecture", "--from", start, *([option] if option else []), tokens=4000)
        found += map(int, re.findall(r"Sentence (\d+)", result.stdout))
        rest = re.search(r"continue with --from ([\d.]+)", result.stderr)
        start = rest[1].rstrip(".") if rest else ""
    assert found == list(range(300))


def test_a_short_timeline_is_complete(run: Run) -> None:
    whole = run("timeline", "lecture", "--to", "50", tokens=None)
    bounded = run("timeline", "lecture", "--to", "50")
    assert (bounded.stdout, bounded.stderr) == (whole.stdout, "")


@pytest.mark.parametrize("options", [[], ["--json"]], ids=str)
def test_found_moments_are_bounded(run: Run, options: list[str]) -> None:
    result = run("search", "eggs", "-k", "20", "--video", "lecture", *options)
    assert approximate_tokens(result.stdout) <= 1.02 * LIMIT
    assert re.search(r"\d+ of 20 moments are left out", result.stderr)
    long = run("search", "eggs", "--video", "poster", *options)
    assert LIMIT / 2 < approximate_tokens(long.stdout) <= 1.02 * LIMIT
    assert "eggs eggs" in long.stdout


@pytest.mark.parametrize("options", [[], ["--json"]], ids=str)
@pytest.mark.parametrize("answer", ["Two eggs [1]. " * 500, "There are many eggs. " * 500], ids=["cited", "not cited"])
def test_an_answer_is_bounded(run: Run, monkeypatch: pytest.MonkeyPatch, answer: str, options: list[str]) -> None:
    model = FakeListChatModel(responses=[answer])
    monkeypatch.setattr("langchain.chat_models.init_chat_model", lambda _: model)
    shown = run("ask", "How many eggs?", *options).stdout
    assert LIMIT / 2 < approximate_tokens(shown) <= 1.2 * LIMIT  # without --json, a remark may follow
    assert "eggs" in shown
    if "--json" in options:
        assert json.loads(shown)["answer"].endswith("…")
