"""Video-MME, Video-MME v2 and LongVideoBench: files, prompts and scores; and what each kind of chat model gets."""

import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import pytest
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from typer.testing import CliRunner, Result

from langchain_videochat.cli.main import app
from langchain_videochat.embed import Video
from langchain_videochat.errors import InputError, ModelUnavailableError, SourceError
from langchain_videochat.evaluation import (
    BenchmarkItem,
    evaluate,
    read_long_video_bench,
    read_video_mme,
    read_video_mme_v2,
)
from langchain_videochat.evaluation.benchmarks import QuestionGroup
from langchain_videochat.evaluation.benchmarks.prompts import CHOICE_FIELD
from langchain_videochat.evaluation.benchmarks.video_blocks import MAX_BYTES, base64_block
from tests.benchmark_files import Row, lvb_row, mme_row, mme_v2_group, write_lvb, write_mme, write_mme_v2
from tests.numbered_video import make_numbered, read_number
from tests.opened_media import read_conversation
from tests.scripted_model import ScriptedModel, model_answering

Reader = Callable[..., list[BenchmarkItem]]


MME_ROWS = [
    mme_row(0, "fFjv93ACGo8"),
    mme_row(1, "fFjv93ACGo8", task_type="Action Recognition", answer="D"),
    mme_row(2, "-long_one", duration="long"),
    mme_row(3, "not-here", duration="medium"),
]
MME_V2_ROWS = [
    *mme_v2_group("001"),
    *mme_v2_group("002", group_type="relevance", group_structure="4", level="1", second_head="Frames"),
]
LVB_ROWS = [
    lvb_row(0, "86CxyhFV9MI", duration_group=3600),
    lvb_row(1, "86CxyhFV9MI", question_category="E2O", duration_group=3600, correct_choice=0),
    lvb_row(2, "86CxyhFV9MI", duration_group=60),
]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three benchmarks in their published layouts, with a video whose frames show their numbers."""
    folder = tmp_path_factory.mktemp("benchmarks")
    write_mme(folder / "mme", MME_ROWS)
    write_mme_v2(folder / "mme-v2", MME_V2_ROWS)
    write_lvb(folder / "lvb", LVB_ROWS)
    for name in ("mme/data/fFjv93ACGo8.mp4", "mme/data/-long_one.mkv", "lvb/videos/86CxyhFV9MI.mp4"):
        (folder / name).parent.mkdir(exist_ok=True)
        make_numbered(folder / name)
    for name in ("mme-v2/videos/001.mp4", "mme-v2/videos/002.mp4"):
        (folder / name).parent.mkdir(exist_ok=True)
        make_numbered(folder / name)
    return folder


def letter_of(item: BenchmarkItem, *, right: bool = True) -> str:
    index = item.candidates.index(item.answer)
    return ascii_uppercase[index if right else index - 1]


def answering(items: Sequence[BenchmarkItem], wrong: Sequence[int] = ()) -> ScriptedModel:
    """Return a model that answers correctly, except for the questions with some numbers."""

    def answer(prompt: str) -> str:
        item = next(item for item in items if item.question in prompt)
        return letter_of(item, right=item.number not in wrong)

    return ScriptedModel(script=answer)


def evaluated(items: Sequence[BenchmarkItem], wrong: Sequence[int] = ()) -> Any:
    return evaluate(answering(items, wrong), items, show_progress=False)


# Video-MME


def test_video_mme_is_read(data_dir: Path) -> None:
    items = read_video_mme(data_dir / "mme")
    assert [(item.task, item.number) for item in items] == [
        ("Action Recognition", 1),
        ("Counting Problem", 0),
        ("Counting Problem", 2),
        ("Counting Problem", 3),
    ]
    assert [item.path and item.path.name for item in items] == ["fFjv93ACGo8.mp4"] * 2 + ["-long_one.mkv", None]
    assert [item.subset for item in items[1:]] == ["short, < 2 min", "long, 30-60 min", "medium, 4-15 min"]
    assert items[0].candidates == ("One.", "Two.", "Three.", "Four.")
    assert [item.answer for item in items[:2]] == ["Four.", "Two."]


def test_video_mme_is_scored_by_task_and_duration(data_dir: Path) -> None:
    report = evaluated(read_video_mme(data_dir / "mme"), wrong=[2])
    assert {score.task: score.accuracy for score in report.tasks} == {
        "Action Recognition": 1,
        "Counting Problem": pytest.approx(1 / 3),
    }
    assert [(score.task, score.accuracy, score.count, score.missing) for score in report.subsets] == [
        ("short, < 2 min", 1, 2, 0),
        ("medium, 4-15 min", 0, 1, 1),
        ("long, 30-60 min", 0, 1, 0),
    ]
    assert (report.overall.accuracy, report.overall.chance) == (0.5, 0.25)
    assert report.overall.group_score is None
    header, *rows = str(report).splitlines()[:8]
    assert "group score" not in header
    assert [row.split("  ")[0] for row in rows[2:7]] == [
        "mean of 2 tasks",
        *(score.task for score in report.subsets),
        "all questions",
    ]
    assert report.to_json()["overall"]["accuracy"] == 0.5
    assert len(report.to_json()["subsets"]) == 3


def test_video_mme_has_its_own_prompt(data_dir: Path) -> None:
    model = model_answering("A")
    evaluate(model, read_video_mme(data_dir / "mme", ["action_recognition"]), show_progress=False)
    ((message,),) = model.prompts
    assert message.text == (
        "Select the best answer to the following multiple-choice question based on the video. Respond with only the "
        "letter (A, B, C, or D) of the correct option.\n"
        "How many in 1?\nA. One.\nB. Two.\nC. Three.\nD. Four.\nThe best answer is:"
    )


# Video-MME v2


def test_video_mme_v2_is_read(data_dir: Path) -> None:
    items = read_video_mme_v2(data_dir / "mme-v2")
    assert [(item.task, item.number) for item in items] == [
        *(("Frames", number) for number in range(4, 8)),
        *(("Order", number) for number in range(4)),
    ]
    assert {item.path and item.path.name for item in items[:4]} == {"002.mp4"}
    assert (items[0].candidates, items[0].answer) == (("Left.", "Right.", "Up."), "Up.")
    assert (items[0].subset, items[0].group) == ("level 1", QuestionGroup("002", "relevance"))
    assert (items[7].subset, items[7].group) == ("level 2", QuestionGroup("001", "[1,[2,3],4]"))


def test_the_last_question_determines_category_and_level(tmp_path: Path) -> None:
    *first, last = mme_v2_group("001")
    rows = [*(row | {"level": None, "second_head": None, "third_head": None} for row in first), last]
    items = read_video_mme_v2(write_mme_v2(tmp_path, rows))
    assert [(item.task, item.subset) for item in items] == [("Order", "level 2")] * 4


def test_limits_keep_groups_whole(data_dir: Path) -> None:
    assert len(read_video_mme_v2(data_dir / "mme-v2", limit=1)) == 8
    assert len(read_video_mme_v2(data_dir / "mme-v2", ["order"], limit=5)) == 4


def test_groups_are_scored(data_dir: Path) -> None:
    report = evaluated(read_video_mme_v2(data_dir / "mme-v2"), wrong=[1, 6])
    scores = {score.task: (score.accuracy, score.group_score) for score in (*report.tasks, *report.subsets)}
    chain, relevance = (0.75, pytest.approx(4 / 12)), (0.75, pytest.approx(9 / 16))
    assert scores == {"Order": chain, "level 2": chain, "Frames": relevance, "level 1": relevance}
    assert report.overall.group_score == pytest.approx((4 / 12 + 9 / 16) / 2)
    header, frames, _, mean, *_, overall = str(report).splitlines()
    assert header.endswith("missing  group score")
    assert frames.endswith("56.2%")
    assert mean.endswith("0")
    assert overall.split()[-1] == "44.8%"


@pytest.mark.parametrize(
    ("structure", "correct", "score"),
    [
        ("relevance", "1010", 4 / 16),
        ("relevance", "0111", 9 / 16),
        ("[1,2,3,4]", "0111", 0),
        ("[1,2,3,4]", "1011", 1 / 16),
        ("[1,2,3,4]", "1110", 9 / 16),
        ("[1,[2,3],4]", "0111", 0),
        ("[1,[2,3],4]", "1001", 1 / 12),
        ("[1,[2,3],4]", "1011", 4 / 12),
        ("[1,[2,3],4]", "1101", 4 / 12),
        ("[1,[2,3],4]", "1110", 7 / 12),
        ("[[1,2],3,4]", "0011", 0),
        ("[[1,2],3,4]", "0111", 1 / 10),
        ("[[1,2],3,4]", "1000", 1 / 10),
        ("[[1,2],3,4]", "1101", 2 / 10),
        ("[[1,2],3,4]", "1110", 5 / 10),
        *((structure, "1111", 1) for structure in ("relevance", "[1,2,3,4]", "[1,[2,3],4]", "[[1,2],3,4]")),
        *((structure, "0000", 0) for structure in ("relevance", "[1,2,3,4]", "[1,[2,3],4]", "[[1,2],3,4]")),
    ],
)
def test_group_scores_are_those_of_the_benchmark(structure: str, correct: str, score: float) -> None:
    assert QuestionGroup("001", structure).score([digit == "1" for digit in correct]) == pytest.approx(score)


def test_video_mme_v2_has_its_own_prompt(data_dir: Path) -> None:
    model = model_answering("A")
    evaluate(model, read_video_mme_v2(data_dir / "mme-v2", ["order"])[:1], show_progress=False)
    ((message,),) = model.prompts
    assert message.text == (
        "These are the frames of a video.\nQuestion: Question 1 about 001?\nA. Left.\nB. Right.\nC. Up.\n"
        "Select the best answer to the following multiple-choice question based on the video. Respond with only the "
        "letter (A, B, C, D, E, F, G, or H) of the correct option."
    )


# LongVideoBench


def test_long_video_bench_is_read(data_dir: Path) -> None:
    items = read_long_video_bench(data_dir / "lvb")
    assert [(item.task, item.number, item.answer) for item in items] == [
        ("E2O", 1, "He sits."),
        ("T2E", 0, "He runs."),
        ("T2E", 2, "He runs."),
    ]
    assert [item.subset for item in items] == ["900-3600 s", "900-3600 s", "15-60 s"]
    assert {item.path for item in items} == {data_dir / "lvb/videos/86CxyhFV9MI.mp4"}


def test_long_video_bench_is_scored_by_task_and_duration(data_dir: Path) -> None:
    report = evaluated(read_long_video_bench(data_dir / "lvb"), wrong=[0])
    assert [(score.task, score.accuracy) for score in report.tasks] == [("E2O", 1), ("T2E", 0.5)]
    assert [(score.task, score.accuracy) for score in report.subsets] == [("15-60 s", 1), ("900-3600 s", 0.5)]
    assert report.overall.accuracy == pytest.approx(2 / 3)


def test_long_video_bench_has_its_own_prompt(data_dir: Path) -> None:
    model = model_answering("A")
    evaluate(model, read_long_video_bench(data_dir / "lvb", ["t2e"], limit=1), show_progress=False)
    ((message,),) = model.prompts
    assert message.text == (
        "Question: What happens in 0?\nA. He sits.\nB. He runs.\nC. He sleeps.\n"
        "Answer with the option's letter from the given choices directly."
    )


# Invalid files


def without(row: Row, field: str) -> Row:
    return {name: value for name, value in row.items() if name != field}


@pytest.mark.parametrize(
    ("write", "read", "rows", "problem"),
    [
        (write_mme, read_video_mme, [without(mme_row(0, "a"), "task_type")], r"\[0\]\['task_type'\]: Field required"),
        (write_mme, read_video_mme, [mme_row(0, "a"), mme_row(1, "../a")], r"\[1\]\['videoID'\]: String should match"),
        (write_mme, read_video_mme, [mme_row(0, "a", duration="endless")], r"\[0\]\['duration'\]: Input should be 's"),
        (
            write_mme,
            read_video_mme,
            [mme_row(0, "a", answer="E")],
            r"\[0\]: the answer 'E' is not the letter of an opt",
        ),
        (write_mme, read_video_mme, [mme_row(0, "a", answer="AB")], r"\[0\]: the answer 'AB' is not the letter"),
        (write_mme, read_video_mme, [mme_row(0, "a", options=["A. x", "C. y"])], r"\['options'\]: .* got 'C\. y'"),
        (write_mme, read_video_mme, [mme_row(0, "a", options=["A. x", "B. "])], r"\['options'\]: .* got 'B\. '"),
        (write_mme, read_video_mme, [mme_row(0, "a", options=["A. x"])], r"\['options'\]: List should have at least 2"),
        (write_mme_v2, read_video_mme_v2, mme_v2_group("1")[:3], "video 1 has 3 questions instead of 4"),
        (
            write_mme_v2,
            read_video_mme_v2,
            [*mme_v2_group("1"), *mme_v2_group("2"), *mme_v2_group("1")],
            "video 1 has 8",
        ),
        (write_mme_v2, read_video_mme_v2, mme_v2_group("1", group_structure="[4]"), r"group_structure '\[4\]'"),
        (write_mme_v2, read_video_mme_v2, mme_v2_group("1", group_type="luck"), r"\['group_type'\]: Input should be"),
        (write_mme_v2, read_video_mme_v2, mme_v2_group("1", second_head=None), "about video 1 has no second_head"),
        (write_mme_v2, read_video_mme_v2, mme_v2_group("1", level="4"), r"\['level'\]: Input should be '1', '2' or"),
        (write_mme_v2, read_video_mme_v2, mme_v2_group("1", answer="D"), r"\[0\]: the answer 'D' is not the letter"),
        (write_lvb, read_long_video_bench, {"id": 1}, "at top level: Input should be a valid array"),
        (
            write_lvb,
            read_long_video_bench,
            [without(lvb_row(0, "a"), "correct_choice")],
            r"\['correct_choice'\]: Field",
        ),
        (write_lvb, read_long_video_bench, [lvb_row(0, "a", correct_choice=3)], "correct_choice is 3, but there are 3"),
        (write_lvb, read_long_video_bench, [lvb_row(0, "a", correct_choice=-1)], r"\['correct_choice'\]: Input should"),
        (write_lvb, read_long_video_bench, [lvb_row(0, "a", duration_group=7)], r"\['duration_group'\]: Input should"),
        (write_lvb, read_long_video_bench, [lvb_row(0, "a", candidates=["x"])], r"\['candidates'\]: List should have"),
        (write_lvb, read_long_video_bench, [lvb_row(0, "../../a")], r"\['video_path'\]: '../../a.mp4' is not inside"),
        (write_lvb, read_long_video_bench, [lvb_row(0, "/etc/a")], r"\['video_path'\]: '/etc/a.mp4' is not inside"),
        (write_lvb, read_long_video_bench, [lvb_row(0, r"x\..\..\a")], r"\['video_path'\]: .* is not inside"),
        (write_lvb, read_long_video_bench, [lvb_row(0, "a" * 300)], r"\['video_path'\]: String should have at most"),
    ],
)
def test_invalid_rows_are_errors_with_file_and_field(
    tmp_path: Path, write: Callable[..., Path], read: Reader, rows: Any, problem: str
) -> None:
    with pytest.raises(InputError, match=rf"(\.parquet|lvb_val\.json): .*{problem}"):
        read(write(tmp_path / "data", rows))


@pytest.mark.parametrize("read", [read_video_mme, read_video_mme_v2, read_long_video_bench])
def test_missing_damaged_and_huge_files_are_errors(tmp_path: Path, read: Reader) -> None:
    with pytest.raises(SourceError, match="no such file") as caught:
        read(tmp_path)
    file = Path(str(caught.value.subject))
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"{[")
    with pytest.raises(InputError, match=r"not a readable Parquet file|Invalid JSON"):
        read(tmp_path)
    with file.open("r+b") as opened:
        opened.truncate(2**25 + 1)
    with pytest.raises(InputError, match="larger than 32 MiB"):
        read(tmp_path)


@pytest.mark.parametrize("questions", [["why " * 2**18], [f"{number} " * 2**18 for number in range(10, 80)]])
def test_small_files_with_huge_rows_are_errors(tmp_path: Path, questions: Sequence[str]) -> None:
    rows = [mme_row(number, "a", question=questions[number % len(questions)]) for number in range(80)]
    folder = write_mme(tmp_path, rows)
    assert (folder / "videomme/test-00000-of-00001.parquet").stat().st_size < 2**23
    with pytest.raises(InputError, match="larger than 32 MiB"):
        read_video_mme(folder)


def test_a_missing_extra_is_an_error(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModelUnavailableError, match=r'pip install "langchain-videochat\[evaluation\]"'):
        read_video_mme(data_dir / "mme")
    assert read_long_video_bench(data_dir / "lvb")


def test_unknown_tasks_are_errors(data_dir: Path) -> None:
    with pytest.raises(InputError, match=r"unknown task 'E2E'\. Choose from E2O, T2E"):
        read_long_video_bench(data_dir / "lvb", ["E2E"])


# What models get


class LetterModel(ScriptedModel):
    """Supports structured output, by tool calls."""

    profile: ModelProfile | None = ModelProfile(structured_output=True)

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools])

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        text = self._answer(messages)
        if "tools" not in kwargs or text.startswith("In words"):
            return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])
        ((function,),) = [[tool["function"] for tool in kwargs["tools"]]]
        (letters,) = [one["enum"] for one in function["parameters"]["properties"].values()]
        assert text in letters
        call = {"name": function["name"], "args": {CHOICE_FIELD: text}, "id": "1"}
        return ChatResult(generations=[ChatGeneration(message=AIMessage("Thinking ...", tool_calls=[call]))])


class FileModel(ScriptedModel):
    """Samples frames of files itself, one question at a time."""

    num_frames: int = 4
    batch_size: int = 1


@pytest.fixture
def items(data_dir: Path) -> list[BenchmarkItem]:
    return read_long_video_bench(data_dir / "lvb")


@pytest.mark.parametrize("free_answers", [False, True])
def test_models_with_structured_output_choose_a_letter(items: list[BenchmarkItem], free_answers: bool) -> None:
    model = LetterModel(script=answering(items).script)
    report = evaluate(model, items, free_answers=free_answers, show_progress=False)
    assert report.mean == 1
    assert [answer.text for answer in report.answers] == ["A", "B", "B"]
    assert not report.overall.unreadable


def test_answers_without_the_structure_are_parsed(items: list[BenchmarkItem]) -> None:
    report = evaluate(LetterModel(script=lambda _: "In words: (B) He runs."), items, show_progress=False)
    assert [answer.text for answer in report.answers] == ["In words: (B) He runs."] * 3
    assert [answer.correct for answer in report.answers] == [False, True, True]


def test_models_that_sample_frames_get_the_file(items: list[BenchmarkItem]) -> None:
    model = FileModel(script=answering(items).script)
    item = replace(items[0], start=1.0, end=2.0)
    assert evaluate(model, [item], num_frames=3, show_progress=False).mean == 1
    block: Any = model.prompts[0][-1].content[0]
    assert item.path is not None
    assert block["url"] == item.path.as_uri()
    assert block["extras"] == {"start": 1.0, "end": 2.0, "num_frames": 3}


def test_questions_are_asked_concurrently(items: list[BenchmarkItem]) -> None:
    everybody = threading.Barrier(len(items))

    def answer(_: str) -> str:
        everybody.wait(timeout=60)
        return "A"

    assert len(evaluate(ScriptedModel(script=answer), items, show_progress=False).answers) == len(items)


def test_the_batch_size_limits_concurrency(items: list[BenchmarkItem]) -> None:
    lock = threading.Lock()

    def answer(_: str) -> str:
        is_alone = lock.acquire(blocking=False)
        time.sleep(0.1)
        assert is_alone
        lock.release()
        return "A"

    assert len(evaluate(FileModel(script=answer), items, show_progress=False).answers) == len(items)


def test_large_videos_are_scaled_down(data_dir: Path, tmp_path: Path, items: list[BenchmarkItem]) -> None:
    path = tmp_path / "large.mp4"
    content = (data_dir / "lvb/videos/86CxyhFV9MI.mp4").read_bytes()
    free = MAX_BYTES.to_bytes(4, "big") + b"free"  # a box without content
    path.write_bytes(content + free)
    with path.open("r+b") as opened:
        opened.truncate(len(content) + MAX_BYTES)
    with base64_block(replace(items[0], path=path)) as block:
        assert len(block["base64"]) < 2**20
        video = read_conversation([HumanMessage([block])])[0].content[0]
    assert isinstance(video, Video)
    assert [read_number(frame) for frame in video.frames] == pytest.approx([4, 14, 23, 32, 42, 51, 60, 70], abs=1)


def test_videos_that_are_too_large_are_reported(items: list[BenchmarkItem], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langchain_videochat.evaluation.benchmarks.video_blocks.MAX_BYTES", 1000)
    report = evaluate(answering(items), items, show_progress=False)
    assert report.overall.missing == 3
    assert "even at 640 pixels" in report.missing[0].problem


# The command


def run(*arguments: object) -> Result:
    command = ["evaluate", *map(str, arguments)]
    return CliRunner().invoke(app, command, env={"COLUMNS": "200", "NO_COLOR": "1"})


@pytest.mark.parametrize(
    ("name", "folder", "subset"),
    [
        ("video-mme", "mme", "short, < 2 min"),
        ("video-mme-v2", "mme-v2", "level 2"),
        ("long-video-bench", "lvb", "900-3600 s"),
    ],
)
def test_the_command_evaluates_each_benchmark(
    data_dir: Path, tmp_path: Path, name: str, folder: str, subset: str
) -> None:
    output = tmp_path / "answers.jsonl"
    options = ["--model", "videochat-embed-tiny", "--num-frames", 2, "--limit", 1, "--output", output]
    result = run(name, data_dir / folder, *options)
    assert result.exit_code == 0, result.output
    assert subset in result.stdout
    answers = [json.loads(line) for line in output.read_text().splitlines()[1:]]
    assert all(answer["prediction"] in answer["candidates"] for answer in answers)
    assert len(answers) == {"mme": 2, "mme-v2": 8, "lvb": 2}[folder]


def test_the_command_takes_any_chat_model(
    data_dir: Path, items: list[BenchmarkItem], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("langchain.chat_models.init_chat_model", lambda _: answering(items))
    result = run("long-video-bench", data_dir / "lvb", "--model", "script:1", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["overall"]["accuracy"] == 1


def test_an_unknown_benchmark_is_an_error(data_dir: Path) -> None:
    result = run("juggling", data_dir)
    assert result.exit_code == 2
    assert "long-video-bench" in result.stderr
