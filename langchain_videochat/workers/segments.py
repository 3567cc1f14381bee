"""Planning and performing the perception of a video in segments, without access to a store.

Arguments (without `on_progress`) and results can be pickled: `perform` and `summarize` may run in other processes.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from langchain_videochat.perception import (
    PerceptionCallbacks,
    Profile,
    SegmentResult,
    perceive_observations,
    perceive_segment,
)
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.interval import Interval

SEGMENT_SECONDS = 600.0
"""Length of a segment in seconds: an interruption costs at most the perception of one."""

OVERLAP_SECONDS = 2.0
"""Seconds by which a segment starts before the end of the previous one, so that nothing is lost at the boundary."""


@dataclass(frozen=True)
class SegmentTask:
    """A segment to perceive."""

    path: Path
    """Its local file."""

    profile: Profile
    """Its perceivers."""

    number: int
    """Its number from 0."""

    interval: Interval
    """Its interval including the overlap."""

    states: tuple[str | None, ...] = ()
    """The states of the perceivers at the end of the previous segment."""


def count_segments(duration: float) -> int:
    """Return the number of segments of a video of `duration` seconds: at least one."""
    return max(1, math.ceil(duration / SEGMENT_SECONDS))


def segment_start(number: int) -> float:
    """Return the start of a segment in seconds, without the overlap."""
    return number * SEGMENT_SECONDS


def segment_seconds(number: int, duration: float) -> float:
    """Return the length of a segment of a video of `duration` seconds, without the overlap.

    Example:
        >>> segment_seconds(0, 1500.0), segment_seconds(2, 1500.0)
        (600.0, 300.0)
    """
    return min(SEGMENT_SECONDS, max(0.0, duration - segment_start(number)))


def plan(path: Path, duration: float, profile: Profile, results: Mapping[int, SegmentResult]) -> list[SegmentTask]:
    """Return the segments of a video of `duration` seconds that have no result yet, or one with failures."""
    tasks = []
    for number in range(count_segments(duration)):
        if number not in results or results[number].failures:
            start = segment_start(number)
            interval = Interval(max(0.0, start - OVERLAP_SECONDS), start + SEGMENT_SECONDS)
            tasks.append(SegmentTask(path, profile, number, interval))
    return tasks


def perform(task: SegmentTask, on_progress: Callable[[float], None] = lambda _: None) -> SegmentResult:
    """Perceive a segment; `on_progress` and the errors are those of `perceive_segment`."""
    return perceive_segment(task.path, task.profile, task.interval, on_progress, task.states)


def summarize(
    timeline: Timeline, profile: Profile, on_progress: Callable[[float], None] = lambda _: None
) -> tuple[Timeline, list[str]]:
    """Run the perceivers that take the observations of others; the errors are those of `perceive_observations`.

    Args:
        timeline: Observations of all segments.
        profile: Perceivers to run; those that take frames, audio or subtitles are skipped.
        on_progress: Called with the end of each new observation, in seconds of video.

    Returns:
        The timeline with the new observations added, and descriptions of the perceivers that failed.
    """
    failures: list[str] = []
    callbacks = PerceptionCallbacks(failure=lambda failure: failures.append(str(failure)))
    summaries = []
    for summary in perceive_observations(profile.create(), timeline, callbacks):
        summaries.append(summary)
        on_progress(summary.end)
    return Timeline.of(timeline.video, timeline.video_id, [*timeline, *summaries]), failures
