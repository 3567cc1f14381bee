"""Questions whose answers are known, and the hand-written collections of videos that they are about."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from langchain_core.documents import Document

from langchain_videochat.media import VideoInfo
from langchain_videochat.perception import Observation
from langchain_videochat.timeline import Timeline

HAND_WRITTEN = ("everyday", "work", "languages", "unseen")
"""Names of the collections in `collections/`."""

UNANSWERABLE = "none"
"""Kind of the questions that nothing in the collection answers."""

KINDS = {
    "wh": "who, what, where",
    "para": "a paraphrase of the answer",
    "visual": "something visible",
    "name": "a name",
    "num": "a number",
    "code": "a code",
    "kw": "keywords",
    "typo": "with typing errors",
    "multi": "two conditions",
    "neg": "a negation",
    "temporal": "the order of events",
    "native": "in the language of the video",
    "cross": "in another language than the video",
    UNANSWERABLE: "not answered by any video",
}
"""Kinds of hand-written questions, and what they ask for or how they are written."""


@dataclass(frozen=True)
class GoldSegment:
    """A segment of a video that answers a question."""

    video_id: str
    start: float
    end: float
    """Not before `start`: the time of a single frame has no length."""

    def overlaps(self, start: float, end: float) -> bool:
        """Return whether this segment and an interval have a time in common."""
        return self.start == start or self.start < start < self.end or start < self.start < end


@dataclass(frozen=True)
class Question:
    """A question and the segments that answer it: none if the collection does not."""

    kind: str
    text: str
    gold: tuple[GoldSegment, ...]

    @property
    def video_ids(self) -> list[str]:
        """The videos that answer the question."""
        return list(dict.fromkeys(segment.video_id for segment in self.gold))

    def is_answered_by(self, moment: Document) -> bool:
        """Return whether a moment is in a right video and overlaps the answer there."""
        data = moment.metadata
        return any(
            segment.video_id == data["video_id"] and segment.overlaps(data["start"], data["end"])
            for segment in self.gold
        )


def read_collection(name: str) -> tuple[list[Timeline], list[Question]]:
    """Read a hand-written collection: its timelines, and the questions about them."""
    path = Path(__file__).with_name("collections") / f"{name}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    questions = [
        Question(one["kind"], one["question"], tuple(GoldSegment(*segment) for segment in one["gold"]))
        for one in content["questions"]
    ]
    return [_make_timeline(video) for video in content["videos"]], questions


def _make_timeline(video: dict[str, Any]) -> Timeline:
    observations = list(_make_observations(video))
    duration = max(one.end for one in observations)
    info = VideoInfo(f"/films/{video['id']}.mp4", video["title"], duration, 1280, 720)
    return Timeline.of(info, video["id"], observations)


def _make_observations(video: dict[str, Any]) -> Iterator[Observation]:
    for start, end, modality, text in video["observations"]:
        # Speech recognition detects the language; other models have one of their own.
        language = video["language"] if modality == "speech" else None
        yield Observation(start, end, modality, text, language=language)
