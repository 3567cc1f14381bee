"""Tracks: detections of one object in successive frames, joined into one Observation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from langchain_videochat.perception.observation import Box, Observation
from langchain_videochat.perception.spans import MAX_SPAN_SECONDS

MIN_IOU = 0.2
"""Intersection over union from which two boxes show the same object: it moved by less than two thirds of its width.

Trackers require more between adjacent frames (SORT: 0.3), but ours are a second apart."""

MAX_MISSED = 1
"""Successive frames in which an object may be undetected: detectors miss some."""

MAX_MISSED_SECONDS = 5.0
"""Seconds for which it may be undetected: if nothing moves, there are ten seconds between two frames."""

PLACES = ("left", "centre", "right")
"""The thirds of a frame, by the centre of a box."""


@dataclass(frozen=True, order=True)
class Detection:
    """An object that was detected in one frame."""

    label: str
    box: Box
    score: float
    """The detector's confidence, from 0 to 1."""


@dataclass(frozen=True)
class _ObjectTrack:
    start: float
    until: float
    first: Detection
    last: Detection
    best: Detection
    missed: int = 0

    def extend(self, until: float, detection: Detection) -> "_ObjectTrack":
        best = max(self.best, detection, key=attrgetter("score"))
        return replace(self, until=until, last=detection, best=best, missed=0)


class Tracks:
    """An IoU tracker (Bochinski, Eiselein and Sikora, 2017).

    A detection extends the track of the same label whose last box it overlaps most; otherwise it starts a new track.

    Args:
        source: The detector's name, for the Observations.

    Example:
        >>> tracks = Tracks()
        >>> for second in (3.0, 4.0, 5.0):
        ...     ended = tracks.add(second, second + 1.0, [Detection("dog", (0.1, 0.5, 0.3, 0.9), 0.8)])
        >>> [(one.start, one.end, one.text) for one in tracks.close()]
        [(3.0, 6.0, 'dog, left')]
    """

    def __init__(self, source: str | None = None) -> None:
        self._source = source
        self._open: list[_ObjectTrack] = []

    @property
    def since(self) -> float | None:
        """Start of the earliest open track in seconds; None if there is none."""
        return min((track.start for track in self._open), default=None)

    def add(self, time: float, until: float, detections: Iterable[Detection]) -> list[Observation]:
        """Add the detections of the next frame.

        Args:
            time: Time of the frame in seconds.
            until: Time of the following frame: detections hold until then.
            detections: Detections in any order.

        Returns:
            Tracks that have ended, and parts of tracks that have been open for `MAX_SPAN_SECONDS`. The place and score
            of a part are its own.
        """
        found = sorted(detections)
        matches = _match([track.last for track in self._open], found)
        observations, continued = [], []
        for index, track in enumerate(self._open):
            if index not in matches:
                continued.append(replace(track, missed=track.missed + 1))
            elif time - track.start < MAX_SPAN_SECONDS:
                continued.append(track.extend(until, found[matches[index]]))
            else:
                observations.append(self._observe(track, time))
                continued.append(_start_track(time, until, found[matches[index]]))
        new = [_start_track(time, until, one) for index, one in enumerate(found) if index not in matches.values()]
        ended = [track for track in continued if _has_gone(track, until)]
        self._open = [track for track in continued if not _has_gone(track, until)] + new
        return observations + [self._observe(track, track.until) for track in ended]

    def close(self) -> list[Observation]:
        """End all tracks and return them."""
        observations = [self._observe(track, track.until) for track in self._open]
        self._open = []
        return observations

    def _observe(self, track: _ObjectTrack, end: float) -> Observation:
        return Observation(
            start=track.start,
            end=end,
            modality="object",
            text=f"{track.first.label}, {describe_place(track.first.box, track.last.box)}",
            score=track.best.score,
            box=track.best.box,
            source=self._source,
        )


def describe_place(first: Box, last: Box) -> str:
    """Describe where an object is, or between which places it moves.

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


def _has_gone(track: _ObjectTrack, until: float) -> bool:
    return track.missed > MAX_MISSED or (track.missed > 0 and until - track.until > MAX_MISSED_SECONDS)


def _start_track(time: float, until: float, detection: Detection) -> _ObjectTrack:
    return _ObjectTrack(time, until, detection, detection, detection)


def _match(before: Sequence[Detection], after: Sequence[Detection]) -> dict[int, int]:
    """Match detections of the same label by their indices, greedily by decreasing overlap."""
    overlaps = {
        (i, j): _iou(one.box, other.box)
        for i, one in enumerate(before)
        for j, other in enumerate(after)
        if one.label == other.label
    }
    matches: dict[int, int] = {}
    for i, j in sorted(overlaps, key=lambda pair: -overlaps[pair]):
        if overlaps[i, j] >= MIN_IOU and i not in matches and j not in matches.values():
            matches[i] = j
    return matches


def _iou(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    intersection = width * height
    return intersection / (_area(one) + _area(other) - intersection)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
