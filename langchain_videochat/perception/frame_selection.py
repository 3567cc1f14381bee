"""Frames that give an overview: those that show most of what changes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from langchain_videochat.media import sample_frames
from langchain_videochat.perception.frame_changes import THUMBNAIL_SIDE, VISIBLE_CHANGE, Thumbnail
from langchain_videochat.utils.interval import Interval

CANDIDATES_PER_FRAME = 8
"""Frames that are compared for each that is selected."""


def select_frames(source: str | Path, interval: Interval, max_frames: int) -> list[float]:
    """Select the frames of an interval that show most of what changes in it.

    Frames at regular times are compared (in long videos, keyframes). Frames that look like the previously selected
    one are left out, so a still picture yields one frame. If too many are left, the least important are removed:
    importance is the part of the picture that is new, times the square root of the time until the next frame, so that
    a slide of a minute counts more than a shot of a second, but not sixty times as much.

    Args:
        source: A local file.
        interval: The interval; it must be finite.
        max_frames: Maximum number of frames.

    Returns:
        Ascending times in seconds at which frames appear, at least one.

    Raises:
        SourceError: The file does not exist.
        MediaError: The file has no video stream, or none of the frames can be decoded.
    """
    frames = _visible_changes(source, interval, max_frames * CANDIDATES_PER_FRAME)
    while len(frames) > max_frames:
        cuts = [interval.start, *(one.time for one in frames[1:]), interval.end]
        seconds = np.diff(cuts)
        index = int(np.argmin([one.change for one in frames] * np.sqrt(seconds)))
        del frames[index]
        for changed in {0, min(index, len(frames) - 1)}:
            _compare(frames, changed)
    return [one.time for one in frames]


@dataclass(eq=False)
class _Frame:
    time: float
    thumbnail: Thumbnail
    change: float = 1.0
    """The part of the picture that is new since the frame before; for the first frame, since the next."""


def _visible_changes(source: str | Path, interval: Interval, count: int) -> list[_Frame]:
    """Return those of `count` regular frames that differ visibly from the one before."""
    frames: list[_Frame] = []
    for batch in sample_frames(source, times=interval.midpoints(count), size=THUMBNAIL_SIDE):
        for picture, time in zip(batch.frames, batch.times.tolist(), strict=True):
            if frames and not frames[-1].time < time < interval.end:
                continue
            frames.append(_Frame(time, Thumbnail.of(picture)))
            _compare(frames, len(frames) - 1)
            if frames[-1].change < VISIBLE_CHANGE:
                frames.pop()
    if len(frames) > 1:
        _compare(frames, 0)
    return frames


def _compare(frames: list[_Frame], index: int) -> None:
    """Update the change of a frame."""
    if len(frames) > 1:
        other = frames[index - 1] if index else frames[1]
        frames[index].change = frames[index].thumbnail.change_since(other.thumbnail)
