"""One pass over a video: everything is read once, shared by all perceivers, and told in time order."""

import heapq
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from operator import attrgetter
from pathlib import Path
from typing import Any

from langchain_videochat.errors import InputError, ModelUnavailableError, VideoChatError
from langchain_videochat.media import VideoInfo, probe
from langchain_videochat.perception.base import ObservationInputs, Perceiver
from langchain_videochat.perception.observation import Modality, Observation
from langchain_videochat.perception.profiles import create_perceivers
from langchain_videochat.perception.streams import Chunk, Stream, open_feeds
from langchain_videochat.perception.workers import QUEUE, OnError, PerceiverWorker

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """A perceiver that could not do its work."""

    perceiver: str
    """Its class."""

    modality: Modality
    """What is missing now."""

    error: Exception
    """Why."""

    def __str__(self) -> str:
        return f"no {self.modality} from {self.perceiver}: {self.error}"


def log_failure(failure: Failure) -> None:
    """Warn of a failure in the log."""
    _LOG.warning("%s", failure, exc_info=failure.error)


@dataclass(frozen=True)
class PerceptionCallbacks:
    """Who is told how perception goes."""

    progress: Callable[[float], None] = lambda _: None
    """Called now and then with the seconds of the video up to which perception has come."""

    damage: Callable[[float], None] = lambda _: None
    """Called with seconds of the stretch that could not be read, for each part of it."""

    failure: Callable[[Failure], None] = log_failure
    """Called for each perceiver that failed; a warning in the log unless given."""


def perceive(
    source: str | Path,
    profile: str | Path | Sequence[Perceiver[Any]] = "standard",
    *,
    start: float | None = None,
    end: float | None = None,
    listener: PerceptionCallbacks | None = None,
) -> Iterator[Observation]:
    """Perceive a video, or a stretch of it, in bounded memory.

    Reading and every perceiver have a thread of their own. A perceiver that fails does not stop the others.

    Args:
        source: A local file.
        profile: A profile's name or file, or perceivers that have not been used yet.
        start: Seconds at which the stretch begins; the start of the video if None.
        end: Seconds, not included, at which it ends; the end of the video if None.
        listener: Who is told of progress, damage and failures.

    Returns:
        Observations in their order, while the video is still being read; at the end, in an order of their own, those
        that perceivers make of what others have told. What lasts longer than `spans.LONGEST_SPAN` comes in pieces.

    Raises:
        SourceError: There is no such file.
        MediaError: The file is no video, or nothing of it can be decoded.
        ModelUnavailableError: A model of the profile cannot be had.
        InputError: There is no such profile, or `end` is not after `start`.
        Exception: What the first perceiver raised, where all have failed.
    """
    listener = listener or PerceptionCallbacks()
    perceivers = create_perceivers(profile) if isinstance(profile, str | Path) else list(profile)
    own = perceivers if isinstance(profile, str | Path) else []
    seen = watch(source, perceivers, start, end, listener)
    return _watch_and_reflect(seen, perceivers, own, listener)


def watch(
    source: str | Path,
    perceivers: Sequence[Perceiver[Any]],
    start: float | None,
    end: float | None,
    listener: PerceptionCallbacks,
) -> Iterator[Observation]:
    """Do the part of `perceive` that needs the video."""
    video = probe(source)
    low = 0.0 if start is None else start
    high = video.duration if end is None else min(end, video.duration)
    if low < 0 or (end is not None and end <= low):
        raise InputError("start, end", f"{start} to {end} is no stretch of time", "Give seconds, start before end")
    if high >= video.duration and video.missing > 0:
        listener.damage(video.missing)
    return _watch(source, video, perceivers, low, high, listener)


def reflect(
    perceivers: Sequence[Perceiver[Any]], told: Iterable[Observation], listener: PerceptionCallbacks
) -> Iterator[Observation]:
    """Hand what was told to the perceivers that want it.

    Args:
        perceivers: Those of `perceive`; the others are left out.
        told: Observations in time order.
        listener: Who is told of failures.
    """
    observations = list(told)
    for perceiver in perceivers:
        if isinstance(perceiver.inputs, ObservationInputs):
            wanted = [one for one in observations if one.modality in perceiver.inputs.modalities]
            try:
                yield from perceiver.perceive(wanted)
            except ModelUnavailableError:
                raise
            except Exception as error:
                listener.failure(Failure(type(perceiver).__name__, perceiver.modality, error))


def _watch_and_reflect(
    seen: Iterator[Observation],
    perceivers: list[Perceiver[Any]],
    own: list[Perceiver[Any]],
    listener: PerceptionCallbacks,
) -> Iterator[Observation]:
    wanted = {
        modality
        for one in perceivers
        if isinstance(one.inputs, ObservationInputs)
        for modality in one.inputs.modalities
    }
    told: list[Observation] = []
    try:
        for observation in seen:
            if observation.modality in wanted:
                told.append(observation)
            yield observation
        yield from reflect(perceivers, told, listener)
    finally:
        for perceiver in own:
            perceiver.close()


def _watch(
    source: str | Path,
    video: VideoInfo,
    perceivers: Sequence[Perceiver[Any]],
    low: float,
    high: float,
    listener: PerceptionCallbacks,
) -> Iterator[Observation]:
    failures: list[Failure] = []

    def on_error(perceiver: Perceiver[Any], error: Exception) -> None:
        failures.append(Failure(type(perceiver).__name__, perceiver.modality, error))
        listener.failure(failures[-1])

    watchers = [one for one in perceivers if not isinstance(one.inputs, ObservationInputs)]
    able = _load(watchers, on_error)
    # What fails here for another reason than that it cannot be had fails again, and is reported, when it is due.
    _load([one for one in perceivers if one not in watchers], on_error=lambda *_: None)
    feeds = open_feeds(source, video, able, low, high)
    yield from _in_time_order(feeds, low, high, listener, on_error)
    if failures and len(failures) == len(watchers):
        raise failures[0].error


def _load(perceivers: Iterable[Perceiver[Any]], on_error: OnError) -> list[Perceiver[Any]]:
    able = []
    for perceiver in perceivers:
        try:
            perceiver.load()
        except ModelUnavailableError as error:
            advice = f'{error.advice}; profile="lite" does without'
            raise ModelUnavailableError(error.subject, error.problem, advice) from error
        except Exception as error:
            on_error(perceiver, error)
        else:
            able.append(perceiver)
    return able


def _in_time_order(
    feeds: list[Stream], start: float, end: float, listener: PerceptionCallbacks, on_error: OnError
) -> Iterator[Observation]:
    lanes = {one: PerceiverWorker(one, start, on_error) for feed in feeds for one in feed.perceivers}
    pending: list[tuple[tuple[float, float, float], int, Observation]] = []
    number = count()
    try:
        while feeds:
            feed = min(feeds, key=attrgetter("reached"))
            step = _next_step(feed, on_error)
            if step is None:
                feeds.remove(feed)
                for perceiver in feed.perceivers:
                    lanes[perceiver].finish(end)
            else:
                feed.reached = step.reached
                if step.damage:
                    listener.damage(step.damage)
                for perceiver in feed.perceivers:
                    lanes[perceiver].hand(step.parts.get(perceiver), step.reached)
            for lane in lanes.values():
                for observation in lane.take(QUEUE if feeds else 0):
                    told = _within(observation, start, end)
                    heapq.heappush(pending, (told.order, next(number), told))
            watermark = min(lane.watermark for lane in lanes.values())
            while pending and pending[0][2].start < watermark:
                yield heapq.heappop(pending)[2]
            listener.progress(min(end, *(lane.reached for lane in lanes.values())))
    finally:
        for lane in lanes.values():
            lane.stop()


def _within(observation: Observation, start: float, end: float) -> Observation:
    """Cut off what lies outside of the stretch: what is on display at its start has been there before."""
    return replace(
        observation, start=min(max(observation.start, start), end), end=min(max(observation.end, start), end)
    )


def _next_step(feed: Stream, on_error: OnError) -> Chunk | None:
    try:
        return next(feed.steps, None)
    except VideoChatError as error:
        if feed.essential:
            raise
        for perceiver in feed.perceivers:
            on_error(perceiver, error)
        return None
