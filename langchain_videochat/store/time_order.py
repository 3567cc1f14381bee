"""Order in time: the moments after or before an anchor, and first or last occurrences."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import Any, Literal, get_args

from langchain_core.documents import Document

from langchain_videochat.errors import InputError
from langchain_videochat.store.filters import Filter
from langchain_videochat.timeline.documents import with_metadata
from langchain_videochat.utils.interval import Interval

Occurrence = Literal["first", "last"]

ABOUT_AS_WELL = 0.8
"""Moments with this share of the best score match about as well as the best one."""

NEARNESS_WEIGHT = 0.2
"""Added to the score of a moment right at an anchor: about what the best of unrelated texts scores. So the nearest
moments come first if nothing matches the query, and a clear match comes first wherever it is."""

NEAR_SECONDS = 60.0
"""Distance from an anchor at which a moment gains half of that."""

MAX_ANCHORS = 10
"""Maximum number of anchors: something may happen several times in a video, and in several videos."""

MIN_ANCHOR_SCORE = 0.15
"""Hits with a lower score are unrelated. Unrelated texts often score higher, so this finds only the clearest cases."""


@dataclass(frozen=True)
class Anchor:
    """A hit that other moments are before or after."""

    video_id: str
    interval: Interval
    citation: str

    @classmethod
    def of(cls, moment: Document) -> "Anchor":
        """Return the hit of a search result."""
        data = moment.metadata
        return cls(data["video_id"], Interval(data["hit_start"], data["hit_end"]), data["citation"])

    def to_metadata(self, name: str) -> dict[str, Any]:
        """Return its times and citation as metadata of the moments that it was used for."""
        values = {"start": self.interval.start, "end": self.interval.end, "citation": self.citation}
        return {f"{name}_{key}": value for key, value in values.items()}


def choose_anchors(name: str, text: str, found: Sequence[Document]) -> tuple[Anchor, ...]:
    """Choose the results of a search that match about as well as the best one.

    Args:
        name: The argument of the search, for the error.
        text: What was searched for.
        found: The results, best first.

    Raises:
        InputError: Nothing matches.
    """
    best = found[0].metadata["score"] if found else 0.0
    if best < MIN_ANCHOR_SCORE:
        advice = "Describe in other words what is seen, heard or shown then, or give a time as start or end"
        raise InputError(name, f"nothing in these videos matches {text!r}", advice)
    return tuple(Anchor.of(one) for one in found if one.metadata["score"] >= ABOUT_AS_WELL * best)


@dataclass(frozen=True)
class Placement:
    """A moment, and the nearest anchors that it is after and before; None where a search has none."""

    video_id: str
    moment: Interval
    after: Anchor | None = None
    before: Anchor | None = None

    @property
    def nearness(self) -> float:
        """How near the nearer anchor is: 1 if it borders on the moment, 1/2 at `NEAR_SECONDS`, 1/3 at twice that."""
        gaps = []
        if self.after is not None:
            gaps.append(self.moment.start - self.after.interval.end)
        if self.before is not None:
            gaps.append(self.before.interval.start - self.moment.end)
        return 1 / (1 + max(min(gaps, default=0.0), 0.0) / NEAR_SECONDS)

    @property
    def part(self) -> Interval:
        """The part of the moment between the anchors."""
        start, end = _between(self.after, self.before)
        return Interval(max(self.moment.start, start), min(self.moment.end, end))

    def narrow(self, condition: Filter) -> Filter:
        """Narrow a filter to the interval between the anchors, which the observations of a hit must be in."""
        if self.after is None and self.before is None:
            return condition
        start, end = _between(self.after, self.before)
        given = condition.interval or Interval()
        start = max(given.start, start)
        return replace(condition, interval=Interval(start, max(start, min(given.end, end))))

    def add_anchors(self, moment: Document) -> Document:
        """Return a moment with the times and citations of the anchors in its metadata."""
        after = {} if self.after is None else self.after.to_metadata("after")
        before = {} if self.before is None else self.before.to_metadata("before")
        return with_metadata(moment, after | before)


@dataclass(frozen=True)
class TimeOrder:
    """Which moments a search returns because of their order in time, and in which order.

    Raises:
        InputError: `occurrence` is unknown.
    """

    after: tuple[Anchor, ...] | None = None
    """Only moments after one of these, if not None."""

    before: tuple[Anchor, ...] | None = None
    """Only moments before one of these, if not None."""

    occurrence: Occurrence | None = None
    """Only moments that match about as well as the best one, and the first or the last of a video first."""

    def __post_init__(self) -> None:
        if self.occurrence not in (None, *get_args(Occurrence)):
            advice = f"Choose one of {', '.join(get_args(Occurrence))}"
            raise InputError("occurrence", f"unknown occurrence {self.occurrence!r}", advice)

    def narrow(self, condition: Filter) -> Filter:
        """Narrow a filter to the videos of the anchors."""
        for anchors in (self.after, self.before):
            if anchors is not None:
                condition = condition.narrow(video_ids={one.video_id: None for one in anchors}.keys())
        return condition

    def arrange(self, scores: Mapping[int, float], places: Mapping[int, tuple[str, Interval]]) -> dict[int, Placement]:
        """Choose moments, and order them.

        Args:
            scores: How well each moment matches, by number, best first.
            places: Their videos and intervals.

        Returns:
            The chosen moments by number, in their order.

        Example:
            >>> places = {number: ("c0ffee", Interval(10 * number, 10 * number + 10)) for number in (1, 2, 3)}
            >>> list(TimeOrder(occurrence="first").arrange({3: 0.5, 1: 0.45, 2: 0.1}, places))
            [1, 3]
        """
        placed = {number: self._place(*places[number]) for number in scores if number in places}
        chosen = {number: one for number, one in placed.items() if one is not None}
        order = self._nearest_first if self.occurrence is None else self._occurrences
        return {number: chosen[number] for number in order(chosen, scores)}

    def _place(self, video_id: str, moment: Interval) -> Placement | None:
        """Return a moment with its nearest anchors; None if all anchors are on the wrong side of it."""
        after = [one for one in self.after or () if one.video_id == video_id and one.interval.end < moment.end]
        before = [one for one in self.before or () if one.video_id == video_id and one.interval.start > moment.start]
        if (self.after is not None and not after) or (self.before is not None and not before):
            return None
        last = max(after, default=None, key=lambda one: one.interval.end)
        first = min(before, default=None, key=lambda one: one.interval.start)
        start, end = _between(last, first)
        return Placement(video_id, moment, last, first) if start < end else None

    def _nearest_first(self, chosen: Mapping[int, Placement], scores: Mapping[int, float]) -> Iterable[int]:
        return sorted(chosen, key=lambda number: -scores[number] - NEARNESS_WEIGHT * chosen[number].nearness)

    def _occurrences(self, chosen: Mapping[int, Placement], scores: Mapping[int, float]) -> Iterable[int]:
        """Return the moments that match about as well as the best one: the first of each video, then the second ones.

        Videos are in the order of their best moments.
        """
        best = max((scores[number] for number in chosen), default=0.0)
        videos = defaultdict(list)
        for number, one in chosen.items():
            if scores[number] >= ABOUT_AS_WELL * best:
                videos[one.video_id].append(number)
        for numbers in videos.values():
            numbers.sort(key=lambda number: chosen[number].moment.start, reverse=self.occurrence == "last")
        return (number for number in chain.from_iterable(zip_longest(*videos.values())) if number is not None)


def _between(after: Anchor | None, before: Anchor | None) -> tuple[float, float]:
    start = 0.0 if after is None else after.interval.end
    return start, Interval().end if before is None else before.interval.start
