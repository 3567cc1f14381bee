"""Tracks: boxes of neighbouring frames that show one thing, told as one Observation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from langchain_videochat.perception.observation import Box, Observation
from langchain_videochat.perception.spans import LONGEST_SPAN

LEAST_OVERLAP = 0.2
"""Intersection over union from which two boxes show one thing; below it has moved by over two thirds of its width.

Less than what trackers ask of neighbouring frames (SORT: 0.3), since ours lie a second apart."""

MOST_MISSED = 1
"""Samples in a row in which a thing may go unseen: detectors miss one now and then."""

PLACES = ("left", "centre", "right")
"""The thirds of the picture, by the centre of a box."""


@dataclass(frozen=True, order=True)
class Detection:
    """A thing that was found in a frame."""

    label: str
    """What it is."""

    box: Box
    """Where it is, as in an Observation."""

    score: float
    """How sure that is, 0 to 1."""


@dataclass(frozen=True)
class _Track:
    start: float
    until: float
    first: Detection
    last: Detection
    surest: Detection
    missed: int = 0

    def go_on(self, until: float, detection: Detection) -> "_Track":
        surest = max(self.surest, detection, key=attrgetter("score"))
        return replace(self, until=until, last=detection, surest=surest, missed=0)


class Tracks:
    """Follows what is in the picture, frame by frame.

    A detection goes on with the track of its label whose last box it overlaps most (the IOU tracker of Bochinski,
    Eiselein and Sikora, 2017); what goes on with none begins one. Several things of one label are several tracks.

    Args:
        source: The model that detects, for the Observations.

    Example:
        >>> tracks = Tracks()
        >>> for second in (3.0, 4.0, 5.0):
        ...     told = tracks.add(second, second + 1.0, [Detection("dog", (0.1, 0.5, 0.3, 0.9), 0.8)])
        >>> [(one.start, one.end, one.text) for one in tracks.close()]
        [(3.0, 6.0, 'dog, left')]
    """

    def __init__(self, source: str | None = None) -> None:
        self._source = source
        self._open: list[_Track] = []

    @property
    def since(self) -> float | None:
        """Seconds at which the earliest open track, or the piece of it that has not been told, began."""
        return min((track.start for track in self._open), default=None)

    def add(self, time: float, until: float, detections: Iterable[Detection]) -> list[Observation]:
        """Go on with what was found in the next sample.

        Args:
            time: Its seconds.
            until: Seconds of the sample after it: what is found holds that long.
            detections: What was found, in any order.

        Returns:
            Tracks whose thing is gone, and pieces of those that have gone on for `LONGEST_SPAN`. A piece tells of
            itself alone: where the thing was in it, and the highest score in it.
        """
        found = sorted(detections)
        matches = _match([track.last for track in self._open], found)
        told, going_on = [], []
        for number, track in enumerate(self._open):
            if number not in matches:
                going_on.append(replace(track, missed=track.missed + 1))
            elif time - track.start < LONGEST_SPAN:
                going_on.append(track.go_on(until, found[matches[number]]))
            else:
                told.append(self._observe(track, time))
                going_on.append(_begin(time, until, found[matches[number]]))
        new = [_begin(time, until, found[number]) for number in range(len(found)) if number not in matches.values()]
        gone = [track for track in going_on if track.missed > MOST_MISSED]
        self._open = [track for track in going_on if track.missed <= MOST_MISSED] + new
        return told + [self._observe(track, track.until) for track in gone]

    def close(self) -> list[Observation]:
        """Tell the tracks that are still open."""
        told = [self._observe(track, track.until) for track in self._open]
        self._open = []
        return told

    def _observe(self, track: _Track, end: float) -> Observation:
        return Observation(
            start=track.start,
            end=end,
            modality="object",
            text=f"{track.first.label}, {describe_place(track.first.box, track.last.box)}",
            score=track.surest.score,
            box=track.surest.box,
            source=self._source,
        )


def describe_place(first: Box, last: Box) -> str:
    """Say in words where a thing is, or where it goes.

    Args:
        first: Its box at the beginning.
        last: Its box at the end.

    Example:
        >>> describe_place((0.0, 0.5, 0.2, 0.9), (0.1, 0.5, 0.3, 0.9))
        'left'
        >>> describe_place((0.0, 0.5, 0.2, 0.9), (0.7, 0.5, 0.9, 0.9))
        'from left to right'
    """
    before, after = _place(first), _place(last)
    return before if before == after else f"from {before} to {after}"


def _place(box: Box) -> str:
    centre = (box[0] + box[2]) / 2
    return PLACES[min(int(centre * len(PLACES)), len(PLACES) - 1)]


def _begin(time: float, until: float, detection: Detection) -> _Track:
    return _Track(time, until, detection, detection, detection)


def _match(before: Sequence[Detection], after: Sequence[Detection]) -> dict[int, int]:
    """Pair detections of one label by their positions, those that overlap most first."""
    overlaps = {
        (i, j): _overlap(one.box, other.box)
        for i, one in enumerate(before)
        for j, other in enumerate(after)
        if one.label == other.label
    }
    matches: dict[int, int] = {}
    for i, j in sorted(overlaps, key=lambda pair: -overlaps[pair]):
        if overlaps[i, j] >= LEAST_OVERLAP and i not in matches and j not in matches.values():
            matches[i] = j
    return matches


def _overlap(one: Box, other: Box) -> float:
    """Compute the intersection over the union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(one) + _area(other) - shared)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
