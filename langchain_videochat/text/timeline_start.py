"""The start of a timeline that fits into a limited output."""

from bisect import bisect_right
from collections.abc import Callable

from langchain_videochat.timeline import Timeline

MIN_PART_SECONDS = 0.001
"""Minimum length of a part, because times are written with three decimals."""


def fitting_start(timeline: Timeline, start: float, fits: Callable[[Timeline], bool]) -> tuple[Timeline, float | None]:
    """Return as much of a timeline from `start` on as fits: all modalities up to the same time.

    Args:
        timeline: The timeline, or a slice of it from `start` on.
        start: Seconds.
        fits: Returns whether a timeline fits.

    Returns:
        The timeline, and the time in seconds at which it was cut off; None if it is complete. If not even the first
        part fits, it is returned nevertheless.
    """
    if fits(timeline):
        return timeline, None
    last = timeline.video.duration - MIN_PART_SECONDS
    cuts = sorted({one.start for one in timeline if start + MIN_PART_SECONDS <= one.start <= last})
    fitting = bisect_right(cuts, False, key=lambda cut: not fits(timeline.slice(end=cut)))
    cut = cuts[max(0, fitting - 1)] if cuts else None
    return timeline.slice(end=cut), None if cut is None else round(cut, 3)
