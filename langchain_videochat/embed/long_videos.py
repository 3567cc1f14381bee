"""Long videos: cutting them into segments, and fitting the segments into a token budget.

Eight frames cannot represent an hour (the paper's first limitation). So a long video is cut into segments of equal
length, each with as many frames and tokens as a short video, and with its own timestamps. If there are too many:

- "merge" encodes every segment, once for all questions, and merges the most similar tokens of neighbors. Details that
  are visible for a second or two may get lost.
- "retrieve" encodes only the segments that a search in the timeline finds for the question. This is the cheapest
  option, and limited to what the timeline contains.
- "map_reduce" encodes every segment, once for all questions, answers the question for each part of the video within the
  budget, and then from these answers. It misses the least, and generates one more answer per part and question.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from langchain_videochat.utils.interval import Interval

if TYPE_CHECKING:
    from langchain_videochat.embed.visual_cache import MediaFacts

T = TypeVar("T")

SEGMENTS = 8
"""Segments per prompt, if the model leaves a choice: more have fewer tokens each."""


Overflow = Literal["merge", "retrieve", "map_reduce"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoBudget:
    """How much of a video a prompt may contain, as documented for the fields of `VideoChatEmbed`."""

    segment_seconds: float | None
    """Maximum length of a segment; None keeps a video in one segment."""

    max_segments: int
    segment_tokens: int
    """Maximum tokens of a segment, or of an image, for models that leave a choice."""

    overflow: Overflow
    retriever: BaseRetriever | None

    audio_seconds: float
    """Maximum length of a segment whose audio is added, for models with audio input."""


def select_segments(video: "MediaFacts", interval: Interval, question: str, budget: VideoBudget) -> list[Interval]:
    """Return the segments of a video to encode, in time order. `question` is the query for "retrieve".

    Raises:
        InputError: The interval starts after the end of the video.
    """
    segments = _split(interval.within(video.duration), budget.segment_seconds)
    if budget.overflow != "retrieve" or len(segments) <= budget.max_segments:
        return segments
    found = [
        segment
        for document in _search(video.video_id, interval, question, budget.retriever)
        for segment in segments
        if _overlaps(document, segment)
    ]
    if not found:
        logger.warning("Nothing was found in the timeline: using segments spread over the whole video")
        found = [segments[place] for place in np.linspace(0, len(segments) - 1, budget.max_segments).astype(int)]
    best = list(dict.fromkeys(found))[: budget.max_segments]
    return sorted(best, key=lambda segment: segment.start)


def merge_times(times: Sequence[tuple[float, ...]], count: int) -> list[tuple[float, ...]]:
    """Return the timestamps of segments after merging them into `count`, given those of each segment.

    Example:
        >>> merge_times([(1.0, 3.0), (5.0, 7.0), (9.0, 11.0)], 2)
        [(3.0, 7.0), (9.0, 11.0)]
    """
    return [thin_out(tuple(chain.from_iterable(members)), len(members)) for members in divide(times, count)]


def divide(items: Sequence[T], count: int) -> list[list[T]]:
    """Divide items into `count` groups of neighbors, whose sizes differ by one at most."""
    return [[items[place] for place in places] for places in np.array_split(np.arange(len(items)), count)]


def thin_out(items: Sequence[T], step: int) -> tuple[T, ...]:
    """Return one of each `step` items, from the middle.

    Example:
        >>> thin_out("abcdef", 3)
        ('b', 'e')
    """
    return tuple(items[step // 2 :: step])


def _split(interval: Interval, seconds: float | None) -> list[Interval]:
    # From 0.2 to 2.1 are 1.9000000000000001 seconds.
    count = 1 if seconds is None else max(1, int(np.ceil(round(interval.duration / seconds, 6))))
    bounds = np.linspace(interval.start, interval.end, count + 1).tolist()
    return [Interval(start, end) for start, end in pairwise(bounds)]


def _search(video_id: str, interval: Interval, question: str, retriever: BaseRetriever | None) -> list[Document]:
    assert retriever is not None  # noqa: S101 - checked by the chat model
    if not question.strip():
        return []
    # Our retriever filters by these fields. Others search everything, and results of other videos are dropped.
    filters: dict[str, Any] = {"video_id": video_id}
    if interval.start > 0:
        filters["start"] = interval.start
    if interval.end < float("inf"):
        filters["end"] = interval.end
    supported = {name: value for name, value in filters.items() if name in type(retriever).model_fields}
    documents = retriever.invoke(question, **supported)
    return [document for document in documents if document.metadata.get("video_id", video_id) == video_id]


def _overlaps(document: Document, segment: Interval) -> bool:
    start = document.metadata.get("start", float("inf"))
    end = document.metadata.get("end", start)
    return bool(start < segment.end and (end > segment.start or start >= segment.start))
