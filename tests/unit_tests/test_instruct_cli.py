"""The `videochat instruct` commands."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from langchain_videochat import VideoTimelineStore
from langchain_videochat.cli.main import app
from tests.instruct_data import Writer, always, make_videos
from tests.slides import render_talk
from tests.unit_tests.embeddings import BagOfWords

Run = Callable[..., Result]

SHORT = ["--min-words", "20", "--max-words", "60"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    opened = VideoTimelineStore(folder, embedding=BagOfWords())
    for video in make_videos(3):
        opened.add(video)
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command with the models that its model names refer to."""

    def invoke(*arguments: object, **models: Writer) -> Result:
        monkeypatch.setattr("langchain.chat_models.init_chat_model", lambda name: models[name.replace(":", "_")])
        environment = {"COLUMNS": "200", "NO_COLOR": "1", "VIDEOCHAT_MODEL": ""}
        return CliRunner().invoke(app, ["instruct", *map(str, arguments)], env=environment)

    return invoke


def test_items_are_generated_and_exported(run: Run, store: Path, tmp_path: Path) -> None:
    made, data = tmp_path / "made", tmp_path / "data"
    options = ["--model", "a:b", "--output", made]
    result = run("describe", store, *options, *SHORT, a_b=Writer())
    assert result.exit_code == 0, result.output
    assert "generated 3 description; 0 flagged; 0 already existed" in result.stdout
    report = json.loads(run("converse", store, *options, "--kind", "causal", "--json", a_b=Writer()).stdout)
    assert (report["generated"], report["failed"]) == ({"causal": 3}, [])
    result = run("export", made, "--output", data, "--validation", 0)
    assert result.exit_code == 0, result.output
    assert "description: 3 for train" in result.stdout
    assert len(json.loads((data / "conversations.train.json").read_text())) == 6
    assert json.loads(run("export", made, "-o", tmp_path / "again", "--json").stdout)["rejected_items"] == 0


def test_all_conversation_kinds_are_the_default(run: Run, store: Path, tmp_path: Path) -> None:
    result = run("converse", store, "--model", "a:b", "-o", tmp_path, "--json", a_b=Writer())
    assert json.loads(result.stdout)["generated"] == {"descriptive": 3, "temporal": 3, "causal": 3}


def test_a_dry_run_calls_no_model_and_writes_nothing(run: Run, store: Path, tmp_path: Path) -> None:
    options = ["--model", "no:key", "--output", tmp_path / "made", "--dry-run"]
    result = run("describe", store, *options, "--input-price", 1, "--output-price", 2)
    assert result.exit_code == 0, result.output
    assert "3 items of 3 videos: 6 calls" in result.stdout
    assert "in the currency of the prices" in result.stdout
    report: dict[str, Any] = json.loads(run("converse", store, *options, "--judge", "no:key", "--json").stdout)
    assert (report["calls"], report["cost"]) == (18, None)
    assert not (tmp_path / "made").exists()


def test_files_are_indexed_first(run: Run, tmp_path: Path) -> None:
    video = render_talk(tmp_path / "talk.mp4", [["a red apple stands on shelf 7"], ["the end"]])
    (tmp_path / "bad.mp4").write_text("no video")
    sources = [video, tmp_path / "bad.mp4", "--store", tmp_path / "store", "--profile", "lite"]
    options = ["--model", "a:b", "--output", tmp_path / "made", "--kind", "causal", "--json"]
    result = run("converse", *sources, *options, a_b=always('[{"q": "What is it?", "a": "It is red."}]'))
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["rejected"] == {"turns": 1}
    assert "failed" in result.stderr
    (line,) = (tmp_path / "made" / "rejected.jsonl").read_text().splitlines()
    assert json.loads(line)["video"] == str(video)


def test_the_judge_can_be_another_model(run: Run, store: Path, tmp_path: Path) -> None:
    options = ["--model", "a:b", "--judge", "c:d", "--output", tmp_path, "--kind", "causal"]
    judge = always("[1]")
    result = run("converse", store, *options, a_b=Writer(), c_d=judge)
    assert "rejected 3: unsupported 3" in result.stdout
    assert judge.calls == 3


def test_calls_are_rate_limited(run: Run, store: Path, tmp_path: Path) -> None:
    model = Writer()
    result = run("describe", store, "--model", "a:b", "-o", tmp_path, "--calls-per-second", 1000, a_b=model)
    assert result.exit_code == 0, result.output
    assert model.rate_limiter is not None
    assert model.rate_limiter.requests_per_second == 1000  # type: ignore[attr-defined]


def test_failed_items_set_the_exit_code(run: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def script(system: str, prompt: str) -> str:
        raise ConnectionError("the server is busy")

    monkeypatch.setattr("langchain_videochat.instruct.item_generator.BACKOFF", {"max": 0.001, "jitter": 0})
    result = run("describe", store, "--model", "a:b", "-o", tmp_path, a_b=Writer(script=script))
    assert result.exit_code == 1
    assert "failed 00000000/description/english: ConnectionError: the server is busy" in result.stdout


def test_ctrl_c_reports_where_items_are_kept(
    run: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr("langchain_videochat.instruct.generate.iter_concurrent", interrupt)
    monkeypatch.setattr("os._exit", leave)
    result = run("describe", store, "--model", "a:b", "-o", tmp_path, a_b=Writer())
    assert result.exit_code == 130
    assert f"Finished items are saved in {tmp_path}" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["describe", "STORE", "--language", "Klingon"], "unknown language 'Klingon'"),
        (["describe", "STORE", "--min-words", "9", "--max-words", "5"], "got 9 to 5"),
        (["converse", "STORE", "--kind", "poetic"], "must be distinct item kinds, got poetic"),
        (["converse", "STORE", "--kind", "description"], "a description is not a conversation"),
        (["converse", "/nowhere.mp4"], "none of these videos can be read"),
        (["export", "/nowhere"], "contains no items"),
    ],
)
def test_errors_are_one_message_and_an_exit_code(
    run: Run, store: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    model = [] if arguments[0] == "export" else ["--model", "a:b", "--store", tmp_path / "new"]
    given = [str(store) if one == "STORE" else one for one in arguments]
    result = run(*given, *model, "--output", tmp_path / "made", a_b=Writer())
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", ["describe", "converse", "export"])
def test_help_has_an_example(command: str) -> None:
    result = CliRunner().invoke(app, ["instruct", command, "--help"])
    assert result.exit_code == 0
    assert f"videochat instruct {command}" in result.stdout
