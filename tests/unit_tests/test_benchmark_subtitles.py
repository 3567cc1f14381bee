"""Subtitles in the prompts of Video-MME, Video-MME v2 and LongVideoBench."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from typer.testing import CliRunner, Result

from langchain_videochat.cli.main import app
from langchain_videochat.errors import InputError, SourceError
from langchain_videochat.evaluation import (
    BenchmarkItem,
    evaluate,
    read_long_video_bench,
    read_video_mme,
    read_video_mme_v2,
)
from tests.benchmark_files import lvb_row, mme_row, mme_v2_group, write_lvb, write_mme, write_mme_v2
from tests.numbered_video import make_numbered
from tests.scripted_model import ScriptedModel, model_answering

HEADING = "This video's subtitles are listed below:\n"

SRT = """1
00:00:00,600 --> 00:00:01,000
<font color="white" size=".72c">Good
evening.</font>

2
00:00:01,200 --> 00:00:01,800
<font color="white" size=".72c">Between the frames.</font>

3
00:00:02,000 --> 00:00:02,400
<font color="white" size=".72c">Good night.</font>

4
00:00:10,000 --> 00:00:12,000
<font color="white" size=".72c">After the video.</font>
"""


class FileModel(ScriptedModel):
    """Samples the frames of files itself."""

    num_frames: int = 2


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of three seconds. Two frames are sampled at 0.75 s and 2.25 s."""
    return make_numbered(tmp_path_factory.mktemp("films") / "film.mp4")


def add(film: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    target.hardlink_to(film)


@pytest.fixture
def mme(tmp_path: Path, film: Path) -> Path:
    """Video-MME with two videos, of which the first has subtitles."""
    folder = write_mme(tmp_path / "mme", [mme_row(0, "a"), mme_row(1, "b")])
    for name in "ab":
        add(film, folder / "data" / f"{name}.mp4")
    (folder / "subtitle").mkdir()
    (folder / "subtitle/a.srt").write_text(SRT)
    return folder


@pytest.fixture
def mme_v2(tmp_path: Path, film: Path) -> Path:
    """Video-MME v2 with one video, whose twelve words are displayed for a tenth of a second each."""
    folder = write_mme_v2(tmp_path / "mme-v2", mme_v2_group("001"))
    add(film, folder / "videos/001.mp4")
    (folder / "subtitle").mkdir()
    rows = [{"text": f"word{n}", "start_time": n / 10, "end_time": (n + 1) / 10} for n in range(12)]
    beyond = {"text": "beyond", "start_time": 9.0, "end_time": 9.1}
    (folder / "subtitle/001.jsonl").write_text("\n".join(map(json.dumps, [*rows, beyond])))
    return folder


def write_lvb_subtitles(folder: Path, film: Path, lines: object, **fields: Any) -> Path:
    """Write LongVideoBench with one video and its subtitles."""
    write_lvb(folder, [lvb_row(0, "a", **fields)])
    add(film, folder / "videos/a.mp4")
    (folder / "subtitles").mkdir()
    (folder / "subtitles/a_en.json").write_text(lines if isinstance(lines, str) else json.dumps(lines))
    return folder


def prompts(items: Sequence[BenchmarkItem], model: ScriptedModel) -> list[str]:
    evaluate(model, items, num_frames=2, show_progress=False)
    return sorted(model.last_messages)


# Video-MME


def test_video_mme_lists_the_subtitles_at_the_sampled_frames(mme: Path) -> None:
    items = read_video_mme(mme, subtitles=mme / "subtitle")
    plain, listed = prompts(items, FileModel(script=lambda _: "A"))
    assert listed.startswith(f"{HEADING}Good evening.\nGood night.\nSelect the best answer")
    assert plain.startswith("Select the best answer")
    assert "How many in 1?" in plain


def test_models_that_sample_frames_get_all_subtitles_of_the_video(mme: Path) -> None:
    items = read_video_mme(mme, subtitles=mme / "subtitle")
    _, listed = prompts(items, model_answering("A"))
    assert listed.startswith(f"{HEADING}Good evening.\nBetween the frames.\nGood night.\nSelect the best answer")


def test_subtitles_are_not_used_unless_their_folder_is_given(mme: Path, mme_v2: Path) -> None:
    for prompt in prompts([*read_video_mme(mme), *read_video_mme_v2(mme_v2)], model_answering("A")):
        assert "subtitles" not in prompt


def test_a_folder_without_subtitles_is_an_error(mme: Path) -> None:
    for folder in (mme / "data", mme / "missing"):
        with pytest.raises(SourceError, match=rf"{folder.name}: contains no subtitles \(files VIDEO_ID\.srt\)"):
            read_video_mme(mme, subtitles=folder)


# Video-MME v2


@pytest.mark.parametrize("model_class", [ScriptedModel, FileModel])
def test_video_mme_v2_lists_all_words(mme_v2: Path, model_class: Callable[..., ScriptedModel]) -> None:
    items = read_video_mme_v2(mme_v2, subtitles=mme_v2 / "subtitle")[:1]
    (prompt,) = prompts(items, model_class(script=lambda _: "A"))
    words = " ".join(f"word{n}" for n in range(12))
    assert prompt.startswith(f"These are the frames of a video.\n{HEADING}{words}\nQuestion: Question 1 about 001?\n")


def test_a_missing_subtitle_file_is_an_error(mme_v2: Path) -> None:
    with pytest.raises(SourceError, match=r"videos/001\.jsonl: no such file"):
        read_video_mme_v2(mme_v2, subtitles=mme_v2 / "videos")


# LongVideoBench


def timestamped(*cues: tuple[float, float | None, str]) -> list[dict[str, Any]]:
    return [{"timestamp": [start, end], "text": text} for start, end, text in cues]


def timecoded(*cues: tuple[float, float, str]) -> list[dict[str, Any]]:
    return [{"start": f"00:01:{start:06.3f}", "end": f"00:01:{end:06.3f}", "line": text} for start, end, text in cues]


CUES = ((0.2, 1.2, "Good evening."), (1.3, 1.7, "Between the frames."), (2.0, 2.1, "Good night."))


@pytest.mark.parametrize(
    ("lines", "video_start"), [(timestamped(*CUES), 0), (timecoded(*CUES), 60.0), (timestamped(*CUES[::-1]), 0)]
)
def test_long_video_bench_lists_the_subtitles_of_the_sampled_frames(
    tmp_path: Path, film: Path, lines: object, video_start: float
) -> None:
    folder = write_lvb_subtitles(tmp_path / "lvb", film, lines, starting_timestamp_for_subtitles=video_start)
    (prompt,) = prompts(read_long_video_bench(folder), FileModel(script=lambda _: "A"))
    # Each counts as displayed for a second at least.
    assert prompt.startswith(
        f"{HEADING}[0.2 - 1.2 s] Good evening.\n[2.0 - 2.1 s] Good night.\nQuestion: What happens in 0?\n"
    )


def test_subtitles_outside_the_video_are_left_out(tmp_path: Path, film: Path) -> None:
    cues = [(0.0, 4.0, "Before."), (4.0, 6.0, "At the start."), (7.0, None, "Until the end."), (9.0, 10.0, "After.")]
    lines = timestamped(*cues, (6.5, 6.4, "Backwards."), (6.5, 6.5, " \n"))
    folder = write_lvb_subtitles(tmp_path / "lvb", film, lines, starting_timestamp_for_subtitles=5)
    (prompt,) = prompts(read_long_video_bench(folder), model_answering("A"))
    assert prompt.startswith(f"{HEADING}[0.0 - 1.0 s] At the start.\n[2.0 - 3.0 s] Until the end.\nQuestion:")


def test_long_video_bench_without_subtitles_is_asked_without_them(tmp_path: Path, film: Path) -> None:
    folder = write_lvb_subtitles(tmp_path / "lvb", film, [])
    (prompt,) = prompts(read_long_video_bench(folder), model_answering("A"))
    assert prompt.startswith("Question:")

    (folder / "subtitles/a_en.json").unlink()
    with pytest.raises(SourceError, match=r"subtitles/a_en\.json: no such file"):
        read_long_video_bench(folder)

    (folder / "subtitles").rmdir()
    assert read_long_video_bench(folder)[0].subtitles is None


@pytest.mark.parametrize("field", [{"subtitle_path": "../a.json"}, {"starting_timestamp_for_subtitles": -1}])
def test_invalid_rows_are_errors(tmp_path: Path, field: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(field))):
        read_long_video_bench(write_lvb(tmp_path, [lvb_row(0, "a", **field)]))


# Damaged and large files


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("[{", "at top level: Invalid JSON"),
        ({"start": 1}, "at top level: Input should be a valid array"),
        ([{"start": "00:00:01.000", "end": "00:00:02.000"}], r"at \[0\]\['line'\]: Field required"),
        ([{"start": "soon", "end": "00:00:02.000", "line": "x"}], r"at \[0\]\['start'\]: .*'soon' is not a valid time"),
        ([{"timestamp": [1.0], "text": "x"}], r"at \[0\]\['end'\]: Field required"),
        (timestamped((-1.0, 1.0, "x")), r"at \[0\]\['timestamp'\]\[0\]: Input should be greater than or equal to 0"),
        (
            '[{"timestamp": [NaN, 1.0], "text": "x"}]',
            r"at \[0\]\['timestamp'\]\[0\]: Input should be greater than or eq",
        ),
    ],
)
def test_damaged_subtitles_are_errors(tmp_path: Path, film: Path, lines: object, problem: str) -> None:
    items = read_long_video_bench(write_lvb_subtitles(tmp_path / "lvb", film, lines))
    with pytest.raises(InputError, match=rf"a_en\.json: {problem}.*Unpack the subtitles again"):
        evaluate(model_answering("A"), items, show_progress=False)


def test_damaged_words_are_errors(mme_v2: Path) -> None:
    path = mme_v2 / "subtitle/001.jsonl"
    path.write_text('{"text": "a", "start_time": 0.5, "end_time": 0.8}\n\n{"text": "b", "start_time": 0.8}\n')
    items = read_video_mme_v2(mme_v2, subtitles=path.parent)
    with pytest.raises(InputError, match=r"001\.jsonl: at \[1\]\['end_time'\]: Field required"):
        evaluate(model_answering("A"), items, show_progress=False)


def test_damaged_subrip_is_an_error_only_if_nothing_can_be_read(mme: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = mme / "subtitle/a.srt"
    items = read_video_mme(mme, subtitles=path.parent)[:1]
    path.write_text("1\n00:00:02,000 --> 00:00:01,000\nBackwards.\n\n" + SRT)
    (prompt,) = prompts(items, model_answering("A"))
    assert "Good evening." in prompt
    assert "a.srt: 1 cue ends before it starts" in caplog.text

    path.write_text("Not subtitles, but a text.\n")
    with pytest.raises(InputError, match=r"a\.srt: no subtitle can be read"):
        evaluate(model_answering("A"), items, show_progress=False)


def test_huge_files_are_errors(mme_v2: Path) -> None:
    path = mme_v2 / "subtitle/001.jsonl"
    items = read_video_mme_v2(mme_v2, subtitles=path.parent)
    with path.open("r+b") as opened:
        opened.truncate(2**25 + 1)
    with pytest.raises(InputError, match=r"001\.jsonl: larger than 32 MiB"):
        evaluate(model_answering("A"), items, show_progress=False)


@pytest.mark.parametrize(("context", "kept"), [(600, 30), (60, 3), (6, 0)])
def test_subtitles_that_exceed_half_the_context_are_thinned_out(
    tmp_path: Path, film: Path, context: int, kept: int
) -> None:
    lines = timestamped(*((n / 10, (n + 1) / 10, f"number {n:03}") for n in range(30)))
    folder = write_lvb_subtitles(tmp_path / "lvb", film, lines)
    model = model_answering("A", profile={"max_input_tokens": context})
    (prompt,) = prompts(read_long_video_bench(folder), model)
    listed = [int(line[-3:]) for line in prompt.splitlines() if "number" in line]
    assert listed == [30 * n // kept for n in range(kept)]
    assert prompt.startswith(HEADING if kept else "Question:")


def test_words_are_left_out_in_groups(mme_v2: Path) -> None:
    items = read_video_mme_v2(mme_v2, subtitles=mme_v2 / "subtitle")[:1]
    (prompt,) = prompts(items, model_answering("A", profile={"max_input_tokens": 40}))
    assert f"{HEADING}{' '.join(f'word{n}' for n in range(10))}\nQuestion:" in prompt


# Evaluation


def test_answers_with_and_without_subtitles_are_not_mixed(mme: Path, tmp_path: Path) -> None:
    output = tmp_path / "answers.jsonl"
    items = read_video_mme(mme, subtitles=mme / "subtitle")
    evaluate(model_answering("A"), items, output=output, show_progress=False)
    with pytest.raises(InputError, match="subtitles was True, now None"):
        evaluate(model_answering("A"), read_video_mme(mme), output=output, show_progress=False)


def run(monkeypatch: pytest.MonkeyPatch, model: BaseChatModel, *arguments: object) -> Result:
    monkeypatch.setattr("langchain.chat_models.init_chat_model", lambda _: model)
    command = ["evaluate", *map(str, arguments), "--model", "script:1"]
    return CliRunner().invoke(app, command, env={"COLUMNS": "200", "NO_COLOR": "1"})


def test_the_command_takes_a_folder_of_subtitles(mme: Path, mme_v2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, folder in (("video-mme", mme), ("video-mme-v2", mme_v2)):
        model = model_answering("A")
        result = run(monkeypatch, model, name, folder, "--subtitles", folder / "subtitle")
        assert result.exit_code == 0, result.output
        assert any(HEADING in prompt for prompt in model.last_messages)


def test_other_benchmarks_have_no_such_option(mme: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, model_answering("A"), "long-video-bench", mme, "--subtitles", mme / "subtitle")
    assert result.exit_code == 1
    assert "--subtitles: not an option of long-video-bench" in result.stderr
