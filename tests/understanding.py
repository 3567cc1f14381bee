"""Evaluation of a VideoChatEmbed on clips of Shapes in Motion: by kind of question, with and without the order of their
frames, in conversations of various forms, and on various backgrounds."""

import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import numpy as np
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from numpy.typing import NDArray

from langchain_videochat import VideoChatEmbed
from langchain_videochat.embed import read_video
from langchain_videochat.evaluation import BenchmarkItem, evaluate, read_items
from langchain_videochat.evaluation.mvbench import TaskScore
from langchain_videochat.evaluation.shapes import (
    EVIDENCE,
    KINDS,
    ShapesQuestion,
    find_scene,
    generate_questions,
    render,
)
from langchain_videochat.evaluation.shapes.dataset_files import write_clip
from langchain_videochat.evaluation.shapes.question_generation import Evidence, QuestionKind
from langchain_videochat.evaluation.shapes.rendering import stands_out
from langchain_videochat.evaluation.shapes.varied_samples import name_visual

CRF = 18
"""x264's constant rate factor of rearranged clips: almost no loss."""

NEEDS: dict[Evidence, str] = {"picture": "a picture", "frames": "several frames", "order": "their order"}
"""Descriptions of the kinds of evidence."""

BRIGHTNESSES = (20, 60, 120, 180, 230)
"""Brightnesses of backgrounds, of 255. The first two are about as dark as those of most training clips."""

Rearrange = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


def answer_in_words(llm: VideoChatEmbed, folder: Path) -> dict[QuestionKind, float]:
    """Ask questions without options; return the fraction of exactly correct answers for each kind."""
    items = read_items(folder)
    correct = defaultdict(list)
    for item, answer in zip(items, llm.batch([[_ask(item)] for item in items]), strict=True):
        correct[item.task].append(answer.text == item.answer)
    return {kind: fmean(correct[_task(kind)]) for kind in KINDS}


def choose_options(llm: VideoChatEmbed, folder: Path) -> dict[QuestionKind, TaskScore]:
    """Ask questions with options, without constrained decoding; return the score of each kind."""
    report = evaluate(llm, read_items(folder), num_frames=8, free_answers=True, show_progress=False)
    scores = {score.task: score for score in report.tasks}
    return {kind: scores[_task(kind)] for kind in KINDS}


def average(by_kind: Mapping[QuestionKind, float]) -> dict[Evidence, float]:
    """Return the means over the kinds of questions with the same evidence."""
    by_evidence = {evidence: [kind for kind in KINDS if EVIDENCE[kind] == evidence] for evidence in NEEDS}
    return {evidence: fmean(by_kind[kind] for kind in kinds) for evidence, kinds in by_evidence.items()}


def rearrange(folder: Path, output: Path, change: Rearrange) -> Path:
    """Copy a benchmark with changed frames."""
    shutil.copytree(folder / "json", output / "json")
    for path in sorted((folder / "video").iterdir()):
        write_clip(output / "video" / path.name, change(read_video(path).frames), CRF)
    return output


def shuffle(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shuffle frames, in a different order for each clip."""
    return np.random.default_rng(int(frames.sum())).permutation(frames)


def repeat(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat the middle frame."""
    return np.repeat(frames[len(frames) // 2, None], len(frames), axis=0)


@dataclass(frozen=True)
class AskedClip:
    """A clip and a question about it."""

    video: dict[str, Any]
    """Content block."""

    question: ShapesQuestion


def write_asked_clips(folder: Path, number: int, brightness: float | None = None) -> list[AskedClip]:
    """Write clips of the test split on a background of some brightness, 0 to 1, and draw a question about each."""
    scenes = ((index, find_scene("test", index)) for index in count())
    visible = ((index, scene) for index, scene in scenes if brightness is None or stands_out(scene, brightness))
    clips = []
    for index, scene in islice(visible, number):
        path = folder / f"{index}.mp4"
        write_clip(path, render(scene, index, brightness), CRF)
        question = Random(index).choice(generate_questions(scene, Random(index)))
        clips.append(AskedClip({"type": "video", "url": path.as_uri(), "mime_type": "video/mp4"}, question))
    return clips


def _ask_together(first: AskedClip, second: AskedClip, asked: AskedClip, *labels: str) -> list[BaseMessage]:
    """Ask about one of two videos in a message, each after its label if there are any."""
    ordinal = "first" if asked is first else "second"
    videos = [first.video, second.video]
    labeled = [part for pair in zip(labels, videos, strict=True) for part in pair] if labels else videos
    return [HumanMessage([*labeled, name_visual(asked.question, ordinal, "video").text])]


FORMS: Mapping[str, Callable[[AskedClip, AskedClip], list[BaseMessage]]] = {
    "a video, then a question": lambda clip, _: [HumanMessage([clip.video, clip.question.text])],
    "a question, then a video": lambda clip, _: [HumanMessage([clip.question.text, clip.video])],
    "a message with a question, then one with a video": lambda clip, _: [
        HumanMessage(clip.question.text),
        HumanMessage([clip.video]),
    ],
    "two videos, about the first": lambda clip, other: _ask_together(clip, other, clip),
    "two videos, about the second": lambda clip, other: _ask_together(other, clip, clip),
    "two labeled videos": lambda clip, other: _ask_together(other, clip, clip, "First video:", "Second video:"),
    "a second video in a later turn": lambda clip, other: [
        HumanMessage([other.video, other.question.text]),
        AIMessage(other.question.answer),
        HumanMessage([clip.video, clip.question.text]),
    ],
}
"""Conversations that ask the question about a clip. Some of them have another clip."""


def answer_in_form(llm: VideoChatEmbed, clips: Sequence[AskedClip], form: str) -> float:
    """Ask about clips in conversations of one of `FORMS`; return the fraction of exactly correct answers."""
    others = [*clips[1:], *clips[:1]]
    answers = llm.batch([FORMS[form](clip, other) for clip, other in zip(clips, others, strict=True)])
    return fmean(answer.text == clip.question.answer for answer, clip in zip(answers, clips, strict=True))


def _task(kind: QuestionKind) -> str:
    """Return the task name of a kind of questions."""
    return kind.title()


def _ask(item: BenchmarkItem) -> HumanMessage:
    assert item.path is not None
    video = {"type": "video", "url": item.path.as_uri(), "mime_type": "video/mp4"}
    return HumanMessage([video, {"type": "text", "text": item.question}])
