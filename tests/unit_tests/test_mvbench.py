"""MVBench: files and videos, prompts, parsing of answers, and resuming."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from PIL import Image
from typer.testing import CliRunner, Result

from langchain_videochat import VideoChatEmbed
from langchain_videochat.cli.main import app
from langchain_videochat.embed import Video, conversation
from langchain_videochat.embed.messages import write_tool_call
from langchain_videochat.errors import InputError, MediaError, ModelError, ModelUnavailableError, SourceError
from langchain_videochat.evaluation.benchmarks.prompts import (
    CHOICE_FIELD,
    INSTRUCTION,
    build_messages,
    choice_schema,
)
from langchain_videochat.evaluation.benchmarks.video_blocks import Block, base64_block, url_block
from langchain_videochat.evaluation.mvbench import TASKS, BenchmarkItem, evaluate, parse_option, read_items
from tests.numbered_video import draw_number, make_numbered, read_number
from tests.opened_media import read_conversation
from tests.scripted_model import ScriptedModel, model_answering
from tests.tiny_videochat import save_videochat
from tests.trained_videochat import Lesson, teach

FRAMES = 12
"""Frames in a folder: 4 seconds."""

Row = dict[str, Any]


def row(video: str, question: str, candidates: Sequence[str], answer: str, **more: Any) -> Row:
    return {"video": video, "question": question, "candidates": list(candidates), "answer": answer, **more}


TASK_ROWS: dict[str, list[Row]] = {
    "moving_direction": [
        row("video_1.mp4", "Where does the cube go?", ["Left.", "Right.", "Up."], "Right.", question_type="direction"),
        row("video_1.mp4", "Where does the ball go?", ["Left.", "Right.", "Up."], "Left."),
        row("video_2.mp4", "Where does the cone go?", ["Left.", "Right.", "Up."], "Up.", start=90, end=99),
    ],
    "action_sequence": [row("ABC.mp4", "What came first?", ["Sat down.", "Got up."], "Got up.", start=1.0, end=2.5)],
    "episodic_reasoning": [
        row("castle_s1/clip_00", "Why?", ["He lost.", "She won."], "She won.", start=1.0, end=3.0, fps=3)
    ],
    "a_custom_task": [row("wave.gif", "How many?", ["1", "2", "3", "10"], "3")],
}
"""Contents of the benchmark's files, including fields that are ignored."""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the layout of MVBench and one video of each type, whose frames show their numbers."""
    folder = tmp_path_factory.mktemp("MVBench, 100%d")
    write_json(folder, TASK_ROWS)
    videos = {
        "clevrer/video_validation/video_1.mp4": "libx264",
        "data0613/clevrer/video_validation/video_2.mp4": "libx264",
        "star/Charades_v1_480/ABC.mp4": "libx264",
        "a_custom_task/wave.gif": "gif",
    }
    for name, codec in videos.items():
        path = folder / "video" / name
        path.parent.mkdir(parents=True)
        make_numbered(path, codec, pix_fmt="rgb8" if codec == "gif" else "yuv420p")
    write_frames(folder / "video" / "tvqa/frames_fps3_hq/castle_s1/clip_00")
    return folder


@pytest.fixture(scope="module")
def items(data_dir: Path) -> list[BenchmarkItem]:
    return read_items(data_dir)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_videochat(tmp_path_factory.mktemp("weights"), max_positions=2048)


def write_json(folder: Path, tasks: dict[str, list[Row]]) -> None:
    (folder / "json").mkdir(exist_ok=True)
    for stem, rows in tasks.items():
        (folder / "json" / f"{stem}.json").write_text(json.dumps(rows))


def write_frames(folder: Path) -> None:
    """Write a folder of frames. Frame k shows the number k, counted from 1 as in MVBench."""
    folder.mkdir(parents=True)
    for number in range(1, FRAMES + 1):
        Image.fromarray(draw_number(number)).save(folder / f"{number:05d}.jpg")


def find(items: Sequence[BenchmarkItem], task: str, number: int = 0) -> BenchmarkItem:
    return next(item for item in items if (item.task, item.number) == (task, number))


def decode_block(block: Block) -> tuple[list[int], list[float]]:
    """Return the numbers on the frames of a content block, and their times."""
    video = read_conversation([HumanMessage([block])])[0].content[0]
    assert isinstance(video, Video)
    return [read_number(frame) for frame in video.frames], [round(time, 2) for time in video.times]


def answering(items: Sequence[BenchmarkItem], wrong: Sequence[BenchmarkItem] = ()) -> ScriptedModel:
    """Return a model that answers correctly, except for some questions."""

    def answer(prompt: str) -> str:
        item = next(item for item in items if item.question in prompt)
        text = item.answer if item not in wrong else next(one for one in item.candidates if one != item.answer)
        return f"({ascii_uppercase[item.candidates.index(text)]}) {text}"

    return ScriptedModel(script=answer)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# Benchmark files


def test_there_are_twenty_tasks() -> None:
    assert len({task.stem for task in TASKS}) == 20
    bounded = {task.name for task in TASKS if task.has_bounds}
    charades = {"Action Sequence", "Action Prediction", "Object Interaction"}
    assert bounded == charades | {"Action Localization", "Episodic Reasoning"}


def test_questions_are_in_the_order_of_the_table(items: list[BenchmarkItem]) -> None:
    names = ["Action Sequence", *["Moving Direction"] * 3, "Episodic Reasoning", "A Custom Task"]
    assert [item.task for item in items] == names
    assert [item.number for item in items] == [0, 0, 1, 2, 0, 0]
    assert find(items, "Moving Direction", 1).candidates == ("Left.", "Right.", "Up.")


def test_all_videos_are_found(items: list[BenchmarkItem], data_dir: Path) -> None:
    folders = [str(item.path.parent.relative_to(data_dir / "video")) for item in items if item.path]
    clevrer = "clevrer/video_validation"
    assert folders[:4] == ["star/Charades_v1_480", clevrer, clevrer, f"data0613/{clevrer}"]
    assert folders[4:] == ["tvqa/frames_fps3_hq/castle_s1", "a_custom_task"]


def test_bounds_are_read_for_tasks_that_have_them(items: list[BenchmarkItem]) -> None:
    assert (find(items, "Action Sequence").start, find(items, "Action Sequence").end) == (1.0, 2.5)
    assert find(items, "Moving Direction", 2).start is None


@pytest.mark.parametrize("name", ["Moving Direction", "moving direction", "moving_direction"])
def test_tasks_can_be_selected(data_dir: Path, name: str) -> None:
    assert [item.number for item in read_items(data_dir, [name], limit=2)] == [0, 1]


def test_video_names_cannot_leave_the_folder(tmp_path: Path) -> None:
    (tmp_path / "video").mkdir()
    (tmp_path / "secret.mp4").touch()
    names = ["../secret.mp4", str(tmp_path / "secret.mp4"), "a/../../secret.mp4"]
    write_json(tmp_path, {"moving_count": [row(name, "?", ["1"], "1") for name in names]})
    assert [item.path for item in read_items(tmp_path)] == [None] * 3


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[{", "at top level: Invalid JSON"),
        ('{"video": "a.mp4"}', "at top level: Input should be a valid array"),
        (json.dumps([row("a.mp4", "Q", ["x"], "x"), {"video": "a.mp4"}]), r"at \[1\]\['question'\]: Field required"),
        (json.dumps([row("a.mp4", "Q", [], "x")]), r"\[0\]\['candidates'\]: List should have at least 1 item"),
        (json.dumps([row("a.mp4", "Q", list(map(str, range(27))), "1")]), "at most 26 items"),
        (json.dumps([row("a.mp4", "Q", ["x", "y"], "z")]), r"at \[0\]: the answer 'z' is not one of the candidates"),
        (json.dumps([row("", "Q", ["x", "y"], "x")]), r"\[0\]\['video'\]"),
    ],
)
def test_invalid_files_are_errors_with_locations(tmp_path: Path, content: str, problem: str) -> None:
    write_json(tmp_path, {})
    (tmp_path / "json" / "moving_count.json").write_text(content)
    with pytest.raises(InputError, match=rf"moving_count.json: .*{problem}"):
        read_items(tmp_path)


def test_missing_tasks_are_errors(tmp_path: Path, data_dir: Path) -> None:
    with pytest.raises(SourceError, match=r"contains no tasks \(files json/TASK\.json\)"):
        read_items(tmp_path)
    with pytest.raises(InputError, match=r"unknown task 'juggling'\. Choose from Action"):
        read_items(data_dir, ["juggling"])


# Content blocks


def test_blocks_contain_the_interval(items: list[BenchmarkItem]) -> None:
    item = find(items, "Action Sequence")  # 1 to 2.5 s of 25 frames a second
    with url_block(item, 3) as block:
        assert decode_block(block) == ([31, 43, 56], [1.24, 1.72, 2.24])
    with base64_block(item) as block:
        numbers, _ = decode_block(block)
        assert "url" not in block
        assert len(numbers) == 8
        assert numbers == pytest.approx([25 + 37.5 * (n + 0.5) / 8 for n in range(8)], abs=1)


def test_folders_of_frames_become_videos(items: list[BenchmarkItem]) -> None:
    item = find(items, "Episodic Reasoning")
    with url_block(item, 6) as block:
        assert decode_block(block) == ([4, 5, 6, 7, 8, 9], [1.0, 1.33, 1.67, 2.0, 2.33, 2.67])
    with url_block(replace(item, start=None, end=None), FRAMES) as block:
        assert decode_block(block)[0] == list(range(1, FRAMES + 1))
    with base64_block(item) as block:
        assert set(decode_block(block)[0]) == {4, 5, 6, 7, 8, 9}


def test_animated_gifs_are_converted(items: list[BenchmarkItem]) -> None:
    item = find(items, "A Custom Task")
    with url_block(item, 3) as block:
        numbers, times = decode_block(block)
    assert numbers == pytest.approx([12, 37, 62], abs=1)
    assert times == pytest.approx([0.5, 1.5, 2.5], abs=0.05)
    with base64_block(item) as block:
        assert block["mime_type"] == "video/mp4"
        assert len(set(decode_block(block)[0])) == 8


def test_whole_files_are_sent_unchanged(items: list[BenchmarkItem]) -> None:
    item = find(items, "Moving Direction")
    with base64_block(item) as block:
        assert decode_block(block)[0] == [4, 14, 23, 32, 42, 51, 60, 70]


def test_bounds_are_clipped_to_the_video(items: list[BenchmarkItem]) -> None:
    with url_block(replace(find(items, "Action Sequence"), start=-1.0, end=99.0), 3) as block:
        assert (block["extras"]["start"], block["extras"]["end"]) == (0, 3)


@pytest.mark.parametrize(("start", "end"), [(5.0, 9.0), (2.0, 2.0), (2.0, 1.0)])
def test_invalid_intervals_are_errors(items: list[BenchmarkItem], start: float, end: float) -> None:
    outside = replace(find(items, "Action Sequence"), start=start, end=end)
    with pytest.raises(MediaError, match=r"end of the video \(3 s\)|after start"), url_block(outside, 3):
        pass


def test_missing_frames_are_errors(tmp_path: Path, items: list[BenchmarkItem]) -> None:
    write_frames(tmp_path / "clip")
    (tmp_path / "clip" / "00003.jpg").unlink()
    (tmp_path / "empty").mkdir()
    for name in ("clip", "empty"):
        item = replace(find(items, "Episodic Reasoning"), path=tmp_path / name)
        with pytest.raises(MediaError, match=r"frames must be named 00001\.jpg"), url_block(item, 3):
            pass


# Parsing of answers

OPTIONS = ["Ate the medicine.", "Tidied up the blanket.", "Took the box.", "Took the box from the table."]


@pytest.mark.parametrize(
    "text",
    [
        "B",
        "b",
        "(B)",
        "(b)",
        " B. ",
        "**B**",
        "B)",
        "B) Tidied up the blanket.",
        "(B) Tidied up the blanket.",
        "B. Tidied up the blanket.",
        "B: tidied up",
        "Best option: (B)",
        "Best option:(B) Tidied up the blanket.",
        "Best option: B",
        "The best option is (b).",
        "The answer is B.",
        "Answer: **B**",
        "Option B is correct.",
        "The correct answer is B because he folds it.",
        "A man folds it.\nAnswer: B\nThat is all.",
        "(A) is wrong.\nFinal answer: (B)",
        "Tidied up the blanket",
        "tidied up the blanket!",
        "A person tidied up the blanket.",
        "I think that he tidied up the blanket, as it was on the floor.",
    ],
)
def test_named_options_are_parsed(text: str) -> None:
    assert parse_option(text, OPTIONS) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        ")",
        "(",
        "()",
        ".",
        "###",
        "E",
        "(E) Something else.",
        "Best option:",
        "I do not know.",
        "A man is walking.",
        "It is a box.",
        "(A) or (B)",
        "A or B",
        "(A) Ate the medicine.\n(B) Tidied up the blanket.\n(C) Took the box.",
        "Option A, or option B.",
        "He ate the medicine and tidied up the blanket.",
        "The answer is A. No, the answer is B.",
    ],
)
def test_answers_without_a_single_option_are_rejected(text: str) -> None:
    assert parse_option(text, OPTIONS) is None


@pytest.mark.parametrize(
    ("text", "candidates", "index"),
    [
        ("He took the box from the table.", OPTIONS, 3),
        ("He took the box.", OPTIONS, 2),
        ("There are 10 of them.", ["1", "10"], 1),
        ("3", ["2", "3"], 1),
        ("No, it did not.", ["yes", "no", "not sure"], 1),
        ("B", ["B", "A"], None),  # letter or text
        ("(B)", ["B", "A"], 1),
        ("b", ["a", "b"], 1),
        ("red", ["red", "red", "blue"], 0),
        ("(C)", ["red", "blue", "red"], 2),
        ("A", ["the only one"], 0),
        ("It's the cook's.", ["the cook's", "the guest's"], 0),
        ("B", ["...", "???"], 1),
        ("Anything", ["...", "???"], None),
        ("3.5 seconds", ["3", "3.5"], 1),
    ],
)
def test_similar_options_are_told_apart(text: str, candidates: Sequence[str], index: int | None) -> None:
    assert parse_option(text, candidates) == index


@given(st.text(), st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_any_text_is_accepted(text: str, candidates: list[str]) -> None:
    index = parse_option(text, candidates)
    assert index is None or 0 <= index < len(candidates)
    assert parse_option(")", candidates) is None or ")" in "".join(candidates)


@given(st.integers(0, 3), st.sampled_from(["{}", "({})", "{}.", "Best option: ({})", "The answer is {}."]))
def test_every_letter_is_parsed(index: int, form: str) -> None:
    assert parse_option(form.format("ABCD"[index]), OPTIONS) == index


# Models with free answers


def test_scores_are_computed_per_task(items: list[BenchmarkItem]) -> None:
    report = evaluate(answering(items, wrong=[find(items, "Moving Direction", 1)]), items, show_progress=False)
    scores = {score.task: score for score in report.tasks}
    assert scores["Moving Direction"].accuracy == pytest.approx(2 / 3)
    assert scores["Moving Direction"].chance == pytest.approx(1 / 3)
    assert [scores[name].count for name in scores] == [1, 3, 1, 1]
    assert report.mean == pytest.approx((1 + 2 / 3 + 1 + 1) / 4)
    assert report.chance == pytest.approx((1 / 2 + 1 / 3 + 1 / 2 + 1 / 4) / 4)
    assert not report.missing
    assert [answer.prediction for answer in report.answers][1:3] == ["Right.", "Right."]


def test_the_prompt_is_that_of_mvbench(items: list[BenchmarkItem]) -> None:
    model = answering(items)
    evaluate(model, [find(items, "Action Sequence")], show_progress=False)
    ((system, human),) = model.prompts
    assert system.text == INSTRUCTION
    assert [block["type"] for block in human.content_blocks] == ["video", "text"]
    question = "Question: What came first?\nOptions:\n(A) Sat down.\n(B) Got up.\nOnly give the best option."
    assert human.text == question


@pytest.mark.parametrize("text", ["", ")", "I cannot see the video.", "(A) or (B)"])
def test_unreadable_answers_count_as_wrong(items: list[BenchmarkItem], text: str) -> None:
    report = evaluate(model_answering(text), items, show_progress=False)
    assert report.mean == 0
    assert sum(score.unreadable for score in report.tasks) == len(items)
    assert {(answer.prediction, answer.text) for answer in report.answers} == {(None, text)}


def test_the_only_option_has_chance_one(items: list[BenchmarkItem]) -> None:
    item = replace(find(items, "Moving Direction"), candidates=("Right.",))
    report = evaluate(model_answering("A"), [item], show_progress=False)
    assert (report.mean, report.chance) == (1, 1)


def test_missing_and_broken_videos_are_reported_and_count_as_wrong(items: list[BenchmarkItem], tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    first, second, third = (find(items, "Moving Direction", number) for number in range(3))
    questions = [first, replace(second, path=broken), replace(third, path=None)]
    report = evaluate(answering(items), questions, show_progress=False)
    assert report.mean == pytest.approx(1 / 3)
    assert report.tasks[0].missing == 2
    assert [one.number for one in report.missing] == [1, 2]
    assert "cannot be read as a video" in report.missing[0].problem
    assert "Moving Direction: video_2.mp4: not in the benchmark's folder" in str(report)


def test_an_evaluation_needs_questions() -> None:
    with pytest.raises(InputError, match="items: must not be empty"):
        evaluate(model_answering("A"), [])


def test_the_table_has_a_row_per_task_and_the_mean(items: list[BenchmarkItem]) -> None:
    report = evaluate(answering(items), [replace(items[0], path=None), *items[1:]], show_progress=False)
    header, *rows = str(report).splitlines()
    assert header.split() == ["task", "accuracy", "chance", "questions", "unreadable", "missing"]
    assert rows[0].split() == ["Action", "Sequence", "0.0%", "50.0%", "1", "0", "1"]
    assert rows[4].split() == ["mean", "of", "4", "tasks", "75.0%", "39.6%", "6", "0", "1"]
    assert len({len(line) for line in (header, *rows[:5])}) == 1


# The answer file


def test_each_answer_is_a_line(items: list[BenchmarkItem], tmp_path: Path) -> None:
    output = tmp_path / "answers.jsonl"
    evaluate(answering(items), items, output=output, show_progress=False)
    header, *answers = lines(output)
    assert header["settings"]["num_frames"] == 16
    assert {(one["task"], one["number"]) for one in answers} == {(item.task, item.number) for item in items}
    (answer,) = [one for one in answers if one["task"] == "Action Sequence"]
    assert answer.pop("seconds") > 0
    assert answer == {
        "task": "Action Sequence",
        "number": 0,
        "video": "ABC.mp4",
        "question": "What came first?",
        "candidates": ["Sat down.", "Got up."],
        "answer": "Got up.",
        "prediction": "Got up.",
        "text": "(B) Got up.",
        "correct": True,
    }


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ConnectionError])
def test_interrupted_evaluations_resume(items: list[BenchmarkItem], tmp_path: Path, stop: type[BaseException]) -> None:
    output = tmp_path / "answers.jsonl"
    model = answering(items)
    last = max(items, key=lambda item: str(item.path))

    def fail(prompt: str) -> str:
        if last.question in prompt:
            raise stop("connection lost")
        return model.script(prompt)

    evaluate(ScriptedModel(script=fail), items[:2], output=output, show_progress=False)
    with pytest.raises(KeyboardInterrupt if stop is KeyboardInterrupt else ModelError, match="connection lost"):
        evaluate(ScriptedModel(script=fail), items, output=output, show_progress=False)
    answered = len(lines(output)) - 1
    assert 2 <= answered < len(items)
    report = evaluate(model, items, output=output, show_progress=False)
    assert report.mean == 1
    assert len(model.prompts) == len(items) - answered
    assert len(lines(output)) == 1 + len(items)


def test_incomplete_lines_are_asked_again(items: list[BenchmarkItem], tmp_path: Path) -> None:
    output = tmp_path / "answers.jsonl"
    evaluate(answering(items), items, output=output, show_progress=False)
    output.write_bytes(output.read_bytes()[:-30])
    model = answering(items)
    assert evaluate(model, items, output=output, show_progress=False).mean == 1
    assert len(model.prompts) == 1
    assert len(lines(output)) == 1 + len(items)


def test_missing_videos_are_tried_again(items: list[BenchmarkItem], tmp_path: Path) -> None:
    output = tmp_path / "answers.jsonl"
    evaluate(answering(items), [replace(items[0], path=None), *items[1:]], output=output, show_progress=False)
    model = answering(items)
    assert evaluate(model, items, output=output, show_progress=False).mean == 1
    assert len(model.prompts) == 1


def test_questions_can_be_added_later(items: list[BenchmarkItem], tmp_path: Path) -> None:
    output = tmp_path / "answers.jsonl"
    evaluate(answering(items), items[:4], output=output, show_progress=False)
    model = answering(items)
    assert len(evaluate(model, items, output=output, show_progress=False).answers) == len(items)
    assert len(model.prompts) == len(items) - 4


def test_answers_with_other_settings_are_refused(items: list[BenchmarkItem], tmp_path: Path) -> None:
    output = tmp_path / "answers.jsonl"
    evaluate(answering(items), items, output=output, show_progress=False)
    with pytest.raises(InputError, match="num_frames was 16, now 8"):
        evaluate(answering(items), items, num_frames=8, output=output)
    with pytest.raises(InputError, match=r"model\._type was 'scripted', now 'videochat-embed'"):
        evaluate(VideoChatEmbed(model="nobody/has-this"), items, output=output)
    other = [replace(items[0], question="What came last?"), *items[1:]]
    with pytest.raises(InputError, match="question 0 of Action Sequence has changed"):
        evaluate(answering(items), other, output=output)


@pytest.mark.parametrize("content", ["notes", "notes\n", "[1]\n", '{"task": 1}\n', '{"settings": {}}\n{"task": 1}\n'])
def test_files_of_another_format_are_not_changed(items: list[BenchmarkItem], tmp_path: Path, content: str) -> None:
    output = tmp_path / "notes.txt"
    output.write_text(content)
    with pytest.raises(InputError, match=r"notes.txt: not an answer file"):
        evaluate(answering(items), items, output=output)
    assert output.read_text() == content


def test_unwritable_files_are_errors(items: list[BenchmarkItem], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        evaluate(answering(items), items, output=tmp_path / "nowhere" / "answers.jsonl", show_progress=False)


# VideoChatEmbed


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, weights: Path, items: list[BenchmarkItem]) -> Path:
    """A model that was trained on two questions, for constrained and for free answers."""
    folder = Path(shutil.copytree(weights, tmp_path_factory.mktemp("taught") / "model"))
    lessons = []
    for item in items[1:3]:
        letter = ascii_uppercase[item.candidates.index(item.answer)]
        with url_block(item, 4) as video:
            messages = build_messages(item, video)
        call = write_tool_call(CHOICE_FIELD, {CHOICE_FIELD: letter})
        lessons += [Lesson(messages, call, [choice_schema(item)]), Lesson(messages, f"({letter}) {item.answer}")]
    teach(folder, lessons)
    return folder


@pytest.mark.parametrize("free_answers", [False, True])
def test_trained_answers_are_correct(taught: Path, items: list[BenchmarkItem], free_answers: bool) -> None:
    model = VideoChatEmbed(model=str(taught), max_tokens=100)
    report = evaluate(model, items[1:3], num_frames=4, free_answers=free_answers, show_progress=False)
    assert report.mean == 1
    assert [answer.text for answer in report.answers] == (["(B) Right.", "(A) Left."] if free_answers else ["B", "A"])


def test_constrained_decoding_always_chooses_an_option(weights: Path, items: list[BenchmarkItem]) -> None:
    model = VideoChatEmbed(model=str(weights), max_tokens=100, batch_size=4)
    report = evaluate(model, items, num_frames=2, show_progress=False)
    assert all(answer.prediction in answer.candidates for answer in report.answers)
    assert len(report.answers) == len(items)
    free = evaluate(model, items[:1], num_frames=2, free_answers=True, show_progress=False)
    assert free.tasks[0].unreadable == 1


def test_each_video_is_read_once(weights: Path, items: list[BenchmarkItem], monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def read_segments(path: Path, *arguments: Any, **options: Any) -> Any:
        read.append(path.name)
        return conversation.read_segments(path, *arguments, **options)

    monkeypatch.setattr("langchain_videochat.embed.visual_cache.read_segments", read_segments)
    model = VideoChatEmbed(model=str(weights), max_tokens=100, dtype="bfloat16")
    evaluate(model, items[1:3] * 3, num_frames=3, show_progress=False)
    assert read == ["video_1.mp4"]


def test_changed_weights_are_other_settings(taught: Path, items: list[BenchmarkItem], tmp_path: Path) -> None:
    folder, output = Path(shutil.copytree(taught, tmp_path / "model")), tmp_path / "answers.jsonl"
    model = VideoChatEmbed(model=str(folder), max_tokens=100)
    evaluate(model, items[1:2], num_frames=4, output=output, show_progress=False)
    evaluate(model, items[1:2], num_frames=4, output=output, show_progress=False)
    (folder / "model.safetensors").touch()
    with pytest.raises(InputError, match="weights was"):
        evaluate(model, items[1:2], num_frames=4, output=output)


def test_an_unavailable_model_is_an_error(items: list[BenchmarkItem], tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError):
        evaluate(VideoChatEmbed(model="nobody/has-this"), items, output=tmp_path / "a.jsonl", show_progress=False)
    assert not (tmp_path / "a.jsonl").exists()


def test_num_frames_must_be_positive(items: list[BenchmarkItem]) -> None:
    with pytest.raises(InputError, match="num_frames: must be positive, got 0"):
        evaluate(model_answering("A"), items, num_frames=0)


# The command


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> Callable[..., Result]:
    """Run the command with the model that the name script:1 refers to."""

    def invoke(*arguments: object, model: BaseChatModel | None = None) -> Result:
        monkeypatch.setattr("langchain.chat_models.init_chat_model", lambda _: model)
        environment = {"COLUMNS": "200", "NO_COLOR": "1"}
        command = ["evaluate", "mvbench", str(data_dir), *map(str, arguments)]
        return CliRunner().invoke(app, command, env=environment)

    return invoke


def test_the_command_prints_the_table(run: Callable[..., Result], taught: Path, tmp_path: Path) -> None:
    output = tmp_path / "answers.jsonl"
    options = ["--model", taught, "--task", "moving_direction", "--num-frames", 4, "--output", output]
    for limit, right in ((1, "100.0%"), (2, "100.0%")):
        result = run(*options, "--limit", limit)
        assert result.exit_code == 0, result.output
        assert f"Moving Direction   {right}" in result.stdout
        assert len(lines(output)) == 1 + limit


def test_the_command_prints_json(run: Callable[..., Result], items: list[BenchmarkItem]) -> None:
    result = run("--model", "script:1", "--json", model=answering(items))
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["mean"], report["missing"]) == (1, [])
    assert report["tasks"][1]["count"] == 3


def test_errors_are_one_message_and_an_exit_code(run: Callable[..., Result], tmp_path: Path) -> None:
    for arguments, message in ((["--task", "juggling"], "unknown task"), (["--model", tmp_path], "error:")):
        result = run(*arguments)
        assert result.exit_code == 1
        assert message in result.stderr
        assert "Traceback" not in result.output


def test_the_help_has_an_example() -> None:
    result = CliRunner().invoke(app, ["evaluate", "mvbench", "--help"])
    assert result.exit_code == 0
    assert "videochat evaluate mvbench" in result.stdout
