"""One pass over a video: everything is decoded once, shared by all perceivers, and told in time order."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.errors import InputError
from langchain_videochat.media import FrameBatch, probe, read_subtitles, sample_frames
from langchain_videochat.perception.base import Frames, Perceiver, Subtitles
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.profiles import create_perceivers


def perceive(
    source: str | Path,
    profile: str | Sequence[Perceiver[Any]] = "standard",
    *,
    start: float | None = None,
    end: float | None = None,
    on_progress: Callable[[float], None] = lambda _: None,
    on_damage: Callable[[float], None] = lambda _: None,
) -> Iterator[Observation]:
    """Perceive a video, or a stretch of it, in bounded memory.

    Args:
        source: A local file.
        profile: A profile's name, or perceivers that have not been used yet.
        start: Seconds at which the stretch begins; the start of the video if None.
        end: Seconds, not included, at which it ends; the end of the video if None.
        on_progress: Called now and then with the seconds of the video up to which perception has come.
        on_damage: Called with seconds of the stretch that could not be read, for each part of it.

    Yields:
        Observations in their order, while the video is still being read. What lasts longer than
        `spans.LONGEST_SPAN` comes in pieces.

    Raises:
        SourceError: There is no such file.
        MediaError: The file is no video, or nothing of it can be decoded.
        ModelUnavailableError: A model of the profile cannot be had.
        InputError: There is no such profile, or `end` is not after `start`.
    """
    perceivers = create_perceivers(profile) if isinstance(profile, str) else list(profile)
    video = probe(source)
    low = 0.0 if start is None else start
    high = video.duration if end is None else min(end, video.duration)
    if low < 0 or (end is not None and end <= low):
        raise InputError("start, end", f"{start} to {end} is no stretch of time", "Give seconds, start before end")
    if high >= video.duration and video.missing > 0:
        on_damage(video.missing)
    return _in_time_order(_feeds(source, perceivers, low, high, on_damage), high, on_progress)


@dataclass
class _Feed:
    """One kind of input on its way to the perceivers that want it."""

    perceivers: list[Perceiver[Any]]
    steps: Iterator[tuple[float, list[Observation]]]
    """Seconds up to which the input has been handed out, and what was perceived in it."""
    reached: float

    @property
    def told_until(self) -> float:
        """Seconds before which no further Observation begins."""
        return min([self.reached, *(one.open_since for one in self.perceivers if one.open_since is not None)])


def _feeds(
    source: str | Path, perceivers: list[Perceiver[Any]], low: float, high: float, on_damage: Callable[[float], None]
) -> list[_Feed]:
    watching = {one: one.wants for one in perceivers if isinstance(one.wants, Frames)}
    subtitled = [one for one in perceivers if isinstance(one.wants, Subtitles)]
    feeds = []
    if subtitled:
        feeds.append(_Feed(subtitled, _subtitle_steps(source, subtitled, low, high), low))
    if watching:
        feeds.append(_Feed(list(watching), _frame_steps(source, watching, low, high, on_damage), low))
    return feeds


def _in_time_order(feeds: list[_Feed], end: float, on_progress: Callable[[float], None]) -> Iterator[Observation]:
    pending: list[tuple[tuple[float, float, float], int, Observation]] = []
    number = count()
    live = list(feeds)
    while live:
        feed = min(live, key=lambda one: one.reached)
        step = next(feed.steps, None)
        if step is None:
            live.remove(feed)
            observations = [told for one in feed.perceivers for told in one.finish(end)]
        else:
            feed.reached, observations = step
        for observation in observations:
            heapq.heappush(pending, (observation.order, next(number), observation))
        told_until = min((one.told_until for one in live), default=inf)
        while pending and pending[0][2].start < told_until:
            yield heapq.heappop(pending)[2]
        on_progress(min((one.reached for one in live), default=end))


def _subtitle_steps(
    source: str | Path, perceivers: list[Perceiver[Any]], low: float, high: float
) -> Iterator[tuple[float, list[Observation]]]:
    cues = read_subtitles(source, low, high)
    yield high, [told for one in perceivers for told in one.perceive(cues)]


def _frame_steps(
    source: str | Path,
    wishes: dict[Perceiver[Any], Frames],
    low: float,
    high: float,
    on_damage: Callable[[float], None],
) -> Iterator[tuple[float, list[Observation]]]:
    grids = {one: np.arange(low, high, wish.every).round(6) for one, wish in wishes.items()}
    shown = dict.fromkeys(wishes, -inf)
    asked = np.unique(np.concatenate(list(grids.values())))
    batches = sample_frames(
        source,
        times=asked.tolist(),
        size=max(wish.size for wish in wishes.values()),
        tolerance=min(wish.tolerance for wish in wishes.values()),
    )
    position = 0
    for batch in batches:
        times = asked[position : position + len(batch.times)]
        position += len(times)
        observations: list[Observation] = []
        for perceiver, grid in grids.items():
            part = _select(batch, np.isin(times, grid) & (batch.times < high), shown[perceiver])
            if len(part.times):
                shown[perceiver] = float(part.times[-1])
                observations += perceiver.perceive(part)
        if batch.missing:
            on_damage(batch.missing * min(wish.every for wish in wishes.values()))
        yield float(batch.times[-1]), observations


def _select(batch: FrameBatch, wanted: NDArray[np.bool_], after: float) -> FrameBatch:
    """Keep the frames that a perceiver wants, each once: one that stays on display comes for several times."""
    fresh = np.diff(batch.times, prepend=-inf) > 0
    keep = wanted & fresh & (batch.times > after)
    return FrameBatch(batch.frames[keep], batch.times[keep])
