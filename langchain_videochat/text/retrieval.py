"""Retrieval of the moments that a question is answered from."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from langchain_core.documents import Document

from langchain_videochat.errors import InputError
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.store.hits import TimedWords, timed_words
from langchain_videochat.store.words import index_text, query_words
from langchain_videochat.text.questions import ParsedQuestion
from langchain_videochat.timeline import Timeline
from langchain_videochat.timeline.documents import moment_key
from langchain_videochat.utils.timecode import format_timecode

MIN_NOTE_TOKENS = 100
"""Few moments take fewer tokens. The budget divided by this is how many moments are requested."""


class TimelineLibrary:
    """A single timeline, searched by words, with the methods of `VideoTimelineStore` that are used here."""

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
        """Return all moments, ranked by the words of a query, of which rare ones count for more.

        `k` is ignored, because matching words misses paraphrases.
        """
        if video_id is not None and self._timeline.video_id not in video_id:
            return []
        found = [one for one in self._moments if overlaps(one.document, start, end)]
        phrases = {word.text for word in query_words(query)}
        counts = {phrase: sum(phrase in one.words for one in found) for phrase in phrases}
        weights = {phrase: 1 + math.log(len(found) / count) for phrase, count in counts.items() if count}
        return [one.document for one in sorted(found, key=lambda one: -one.score(weights))]

    def neighbors(self, _: Iterable[Document]) -> list[Document]:
        """Return none: `search` returned all moments."""
        return []

    def timed_words(self, moments: Iterable[Document]) -> list[list[TimedWords]]:
        """Return the words of the observations of each moment, with their times."""
        return [timed_words(self._timeline.slice(*moment_times(moment))) for moment in moments]

    def timeline(self, video_id: str, start: float | None = None, end: float | None = None) -> Timeline:
        """Return the timeline, or a part of it.

        Raises:
            InputError: The timeline is of another video, or `end` is before `start`.
        """
        if video_id != self._timeline.video_id:
            problem = f"{video_id!r} is not the video of this timeline"
            raise InputError("video_id", problem, f"Omit it, or use {self._timeline.video_id!r}")
        return self._timeline.slice(start, end)

    def videos(self) -> Sequence[Timeline]:
        """Return the only video."""
        return [self._timeline]

    @cached_property
    def _moments(self) -> list["_IndexedMoment"]:
        return [_IndexedMoment(document) for document in self._timeline.to_documents("moment")]


Library = VideoTimelineStore | TimelineLibrary
"""What has whole timelines, and can search them."""


@dataclass(frozen=True)
class FoundMoments:
    """The moments that a question is answered from."""

    question: ParsedQuestion

    documents: Sequence[Document]
    """The moments, in the order of their numbers."""

    ranking: Sequence[int] = ()
    """Their numbers, best first, if a retriever found them."""

    are_excerpts: bool = False
    """Whether the model may ask for all moments instead."""


@dataclass(frozen=True)
class _IndexedMoment:
    document: Document

    @cached_property
    def words(self) -> str:
        return index_text(self.document.page_content)

    def score(self, weights: dict[str, float]) -> float:
        return sum(weight for phrase, weight in weights.items() if phrase in self.words)


def check_videos(library: Library, question: ParsedQuestion) -> None:
    """Check that the videos and the time range of a question exist.

    Raises:
        InputError: A video is unknown, or the time range starts after the end of one.
    """
    for video_id in question.video_ids or ():
        video = library.timeline(video_id, 0, 0).video  # an empty interval: facts only, no Observations
        if question.start is None or question.start < video.duration:
            continue
        # Sound and subtitles may outlast the frames.
        if not library.timeline(video_id, question.start, question.end).observations:
            problem = f"{format_timecode(question.start)} is after the end of {video.title!r}"
            raise InputError("start", problem, f"Give a time before {format_timecode(video.duration)}, in seconds")


def find_moments(library: Library, question: ParsedQuestion, k: int, max_tokens: int) -> list[Document]:
    """Return moments that match a question: the `k` best ones, their neighbors, then the next best ones.

    Args:
        library: Where to search.
        question: The question.
        k: Number of moments that get neighbors.
        max_tokens: The budget of the notes, which determines how many moments are requested.
    """
    limit = max(k, max_tokens // MIN_NOTE_TOKENS)
    found = library.search(question.text, limit, video_id=question.video_ids, start=question.start, end=question.end)
    best, others = found[:k], found[k:]
    moments = [*best, *_neighbors(library, question, best), *others]
    # A neighbor that was found itself keeps its place, with the metadata of what was found.
    return list({moment_key(one): one for one in moments}.values())


def has_more_moments(library: Library, question: ParsedQuestion, found: Sequence[Document], max_videos: int) -> bool:
    """Return whether the videos that a question is about have other moments than these."""
    if _neighbors(library, question, found):
        return True
    video_ids = question.video_ids
    if video_ids is None:
        video_ids = tuple(video.video_id for video in library.videos())
        if len(video_ids) > max_videos:
            return False  # the videos of the best moments are used, and all their moments were found
    return not {one.metadata["video_id"] for one in found}.issuperset(video_ids)


def list_moments(library: Library, question: ParsedQuestion, max_videos: int) -> list[Document]:
    """Return all moments of the videos that a question is about, in chronological order, video by video.

    If the question names no videos and the library has more than `max_videos`, the videos of the `max_videos` best
    moments are used.
    """
    documents: list[Document] = []
    for video_id in _select_videos(library, question, max_videos):
        timeline = library.timeline(video_id, question.start, question.end)
        documents += [one for one in timeline.to_documents("moment") if overlaps(one, question.start, question.end)]
    return documents


def sort_by_time(documents: Iterable[Document]) -> list[Document]:
    """Sort moments by time within each video; videos keep the order of their first moments."""
    videos: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        videos[document.metadata["video_id"]].append(document)
    return [document for moments in videos.values() for document in sorted(moments, key=moment_times)]


def _select_videos(library: Library, question: ParsedQuestion, max_videos: int) -> Iterable[str]:
    if question.video_ids is not None:
        return dict.fromkeys(question.video_ids)
    video_ids = [video.video_id for video in library.videos()]
    if len(video_ids) <= max_videos:
        return video_ids
    found = library.search(question.text, max_videos, start=question.start, end=question.end)
    return dict.fromkeys(document.metadata["video_id"] for document in found)


def _neighbors(library: Library, question: ParsedQuestion, moments: Sequence[Document]) -> list[Document]:
    return [one for one in library.neighbors(moments) if overlaps(one, question.start, question.end)]


def overlaps(moment: Document, start: float | None, end: float | None) -> bool:
    """Return whether a moment overlaps an interval in seconds; None is the start or the end of the video."""
    first, last = moment_times(moment)
    return (end is None or first < end) and (start is None or last > start or first >= start)


def moment_times(document: Document) -> tuple[float, float]:
    """Return the start and the end of a moment in seconds."""
    return document.metadata["start"], document.metadata["end"]
