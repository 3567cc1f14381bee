"""Which moments of the videos a question is answered from."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from langchain_core.documents import Document

from langchain_videochat.errors import InputError
from langchain_videochat.store.words import index_text, query_words
from langchain_videochat.text.questions import Question
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.timecode import format_timecode


class Library(Protocol):
    """What retrieval needs of a `VideoTimelineStore`, which is one."""

    def search(
        self,
        query: str,
        k: int = 4,
        *,
        video_id: Collection[str] | None = None,
        start: float | None = None,
        end: float | None = None,
    ) -> list[Document]:
        """Find moments, best first."""

    def neighbours(self, moments: Iterable[Document]) -> list[Document]:
        """Find the moments right before and right after others, leaving out those others."""

    def timeline(self, video_id: str, start: float | None = None, end: float | None = None) -> Timeline:
        """Read a video's timeline, or a stretch of it."""

    def videos(self) -> Sequence["Video"]:
        """List the videos."""


class Video(Protocol):
    """A video of a library."""

    @property
    def video_id(self) -> str:
        """Hash of the file's content."""


class TimelineLibrary:
    """One timeline, searched by words.

    Args:
        timeline: The one.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def search(
        self,
        query: str,
        k: int = 4,
        *,
        video_id: Collection[str] | None = None,
        start: float | None = None,
        end: float | None = None,
    ) -> list[Document]:
        """Rank the moments by the words of a query, rare words first.

        Words miss what is said in other words, so all moments are returned, whatever `k` is.
        """
        if video_id is not None and self._timeline.video_id not in video_id:
            return []
        found = [one for one in self._moments if _holds(one.document, start, end)]
        phrases = {index_text(word.text).casefold() for word in query_words(query)}
        counts = {phrase: sum(phrase in one.words for one in found) for phrase in phrases}
        weights = {phrase: 1 + math.log(len(found) / count) for phrase, count in counts.items() if count}
        return [one.document for one in sorted(found, key=lambda one: -one.score(weights))]

    def neighbours(self, _: Iterable[Document]) -> list[Document]:
        """Find none: `search` returned them all."""
        return []

    def timeline(self, video_id: str, start: float | None = None, end: float | None = None) -> Timeline:
        """Give the timeline, or a stretch of it.

        Raises:
            InputError: It is the timeline of another video, or `end` lies before `start`.
        """
        if video_id != self._timeline.video_id:
            problem = f"{video_id!r} is not the video of this timeline"
            raise InputError("video_id", problem, f"Leave it out, or give {self._timeline.video_id!r}")
        return self._timeline.slice(start, end)

    def videos(self) -> Sequence[Video]:
        """List the one video."""
        return [self._timeline]

    @cached_property
    def _moments(self) -> list["_Indexed"]:
        return [_Indexed(document) for document in self._timeline.to_documents("moment")]


@dataclass(frozen=True)
class _Indexed:
    """A moment with its words."""

    document: Document

    @cached_property
    def words(self) -> str:
        return index_text(self.document.page_content).casefold()

    def score(self, weights: dict[str, float]) -> float:
        return sum(weight for phrase, weight in weights.items() if phrase in self.words)


def check_videos(library: Library, question: Question) -> None:
    """Make sure that the videos and the times that a question names are there.

    Raises:
        InputError: There is no such video, or the question is about a time after its end.
    """
    for video_id in question.video_ids or ():
        video = library.timeline(video_id, 0, 0).video  # no more than a page of it, and its facts
        if question.start is None or question.start < video.duration:
            continue
        if not library.timeline(video_id, question.start, question.end).observations:
            problem = f"{format_timecode(question.start)} lies after the end of {video.title!r}"
            raise InputError("start", problem, f"Give a time before {format_timecode(video.duration)}, in seconds")


def find_moments(library: Library, question: Question, k: int) -> list[Document]:
    """Find the moments that a question is about, and after them those right before and after each.

    Args:
        library: Where to look.
        question: What is asked, and about which stretch of which videos.
        k: How many moments to look up.

    Returns:
        The most relevant first.
    """
    found = library.search(question.text, k, video_id=question.video_ids, start=question.start, end=question.end)
    return [*found, *(one for one in library.neighbours(found) if _holds(one, question.start, question.end))]


def all_moments(library: Library, question: Question, most: int) -> list[Document]:
    """Take all moments of the videos that a question is about.

    Args:
        library: Where to look.
        question: What is asked, and about which stretch of which videos. If it names no videos and there are more than
            `most`, those are taken in which the best moments are found.
        most: How many videos to take.

    Returns:
        Moments in time order, one video after the other.
    """
    documents: list[Document] = []
    for video_id in _videos_of(library, question, most):
        timeline = library.timeline(video_id, question.start, question.end)
        documents += [one for one in timeline.to_documents("moment") if _holds(one, question.start, question.end)]
    return documents


def in_time_order(documents: Iterable[Document]) -> list[Document]:
    """Sort moments by time, one video after the other, as the videos first come."""
    videos: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        videos[document.metadata["video_id"]].append(document)
    return [document for moments in videos.values() for document in sorted(moments, key=_times)]


def _videos_of(library: Library, question: Question, most: int) -> Iterable[str]:
    if question.video_ids is not None:
        return dict.fromkeys(question.video_ids)
    every = [video.video_id for video in library.videos()]
    if len(every) <= most:
        return every
    found = library.search(question.text, most, start=question.start, end=question.end)
    return dict.fromkeys(document.metadata["video_id"] for document in found)


def _holds(document: Document, start: float | None, end: float | None) -> bool:
    first, last = _times(document)
    return (end is None or first < end) and (start is None or last > start or first >= start)


def _times(document: Document) -> tuple[float, float]:
    return document.metadata["start"], document.metadata["end"]
