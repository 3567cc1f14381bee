"""Asks a VideoChatEmbed about clips of Shapes in Motion, and about clips whose order is gone."""

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
from langchain_videochat.evaluation import Item, evaluate, read_items
from langchain_videochat.evaluation.mvbench import TaskScore
from langchain_videochat.evaluation.shapes import EVIDENCE, KINDS
from langchain_videochat.evaluation.shapes.dataset_files import write_clip
from langchain_videochat.evaluation.shapes.question_generation import Evidence, Kind

CRF = 18
"""How strongly rearranged clips are compressed: hardly visibly."""

NEEDS: dict[Evidence, str] = {"picture": "a picture", "frames": "several frames", "order": "their order"}
"""What questions need to be seen, by their evidence."""

Rearrange = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


def answer_in_words(llm: VideoChatEmbed, folder: Path) -> dict[Kind, float]:
    """Ask each question of a benchmark without its options; the share of each kind's answers right word for word."""
    items = read_items(folder)
    right = defaultdict(list)
    for item, answer in zip(items, llm.batch([[_ask(item)] for item in items]), strict=True):
        right[item.task].append(answer.text == item.answer)
    return {kind: fmean(right[_task(kind)]) for kind in KINDS}


def choose_options(llm: VideoChatEmbed, folder: Path) -> dict[Kind, TaskScore]:
    """Ask each question of a benchmark with its options, which the model may leave aside."""
    report = evaluate(llm, read_items(folder), num_frames=8, free_answers=True, show_progress=False)
    scores = {score.task: score for score in report.tasks}
    return {kind: scores[_task(kind)] for kind in KINDS}


def average(by_kind: Mapping[Kind, float]) -> dict[Evidence, float]:
    """Give the means over the kinds of questions that need the same to be seen."""
    alike = {evidence: [kind for kind in KINDS if EVIDENCE[kind] == evidence] for evidence in NEEDS}
    return {evidence: fmean(by_kind[kind] for kind in kinds) for evidence, kinds in alike.items()}


def rearrange(folder: Path, output: Path, change: Rearrange) -> Path:
    """Write a benchmark anew, the frames of its clips changed."""
    shutil.copytree(folder / "json", output / "json")
    for path in sorted((folder / "video").iterdir()):
        write_clip(output / "video" / path.name, change(read_video(path).frames), CRF)
    return output


def shuffle(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put frames into an order that tells nothing: another one for each clip."""
    return np.random.default_rng(int(frames.sum())).permutation(frames)


def repeat(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Show nothing but one frame from the middle."""
    return np.repeat(frames[len(frames) // 2, None], len(frames), axis=0)


def _task(kind: Kind) -> str:
    """Give the name under which `read_items` knows a kind of questions."""
    return kind.title()


def _ask(item: Item) -> HumanMessage:
    assert item.path is not None
    video = {"type": "video", "url": item.path.as_uri(), "mime_type": "video/mp4"}
    return HumanMessage([video, {"type": "text", "text": item.question}])
