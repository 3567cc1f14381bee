"""Asks a VideoChatEmbed about clips of Shapes in Motion, in words, and shows it clips whose order is gone."""

import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from langchain_core.messages import HumanMessage
from numpy.typing import NDArray

from langchain_videochat import VideoChatEmbed
from langchain_videochat.embed import read_video
from langchain_videochat.evaluation import Item
from langchain_videochat.evaluation.shapes.files import write_clip

AT_ONCE = 64
"""Questions that are asked at once; the model answers `batch_size` of them together."""

CRF = 18
"""How strongly rearranged clips are compressed: hardly visibly."""

Rearrange = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


def answer_in_words(llm: VideoChatEmbed, items: Sequence[Item]) -> dict[str, float]:
    """Ask each question without its options; the share of each task's answers that are right word for word."""
    right = defaultdict(list)
    for first in range(0, len(items), AT_ONCE):
        part = items[first : first + AT_ONCE]
        for item, answer in zip(part, llm.batch([[_ask(item)] for item in part]), strict=True):
            right[item.task].append(answer.text == item.answer)
    return {task: fmean(answers) for task, answers in right.items()}


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


def _ask(item: Item) -> HumanMessage:
    assert item.path is not None
    video = {"type": "video", "url": item.path.as_uri(), "mime_type": "video/mp4"}
    return HumanMessage([video, {"type": "text", "text": item.question}])
