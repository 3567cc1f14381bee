"""Evaluation of a VideoChatEmbed on clips of Shapes in Motion, with and without the order of their frames."""

import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean

import numpy as np
from langchain_core.messages import HumanMessage
from numpy.typing import NDArray

from langchain_videochat import VideoChatEmbed
from langchain_videochat.embed import read_video
from langchain_videochat.evaluation import BenchmarkItem, evaluate, read_items
from langchain_videochat.evaluation.mvbench import TaskScore
from langchain_videochat.evaluation.shapes import EVIDENCE, KINDS
from langchain_videochat.evaluation.shapes.dataset_files import write_clip
from langchain_videochat.evaluation.shapes.question_generation import Evidence, QuestionKind

CRF = 18
"""x264's constant rate factor of rearranged clips: almost no loss."""

NEEDS: dict[Evidence, str] = {"picture": "a picture", "frames": "several frames", "order": "their order"}
"""Descriptions of the kinds of evidence."""

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


def _task(kind: QuestionKind) -> str:
    """Return the task name of a kind of questions."""
    return kind.title()


def _ask(item: BenchmarkItem) -> HumanMessage:
    assert item.path is not None
    video = {"type": "video", "url": item.path.as_uri(), "mime_type": "video/mp4"}
    return HumanMessage([video, {"type": "text", "text": item.question}])
