"""One pass over a video: everything is read once for all perceivers, and Observations come in time order."""

import heapq
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from operator import attrgetter
from pathlib import Path

from langchain_videochat.errors import ModelUnavailableError, VideoChatError
from langchain_videochat.media import VideoInfo, probe
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.perceiver import AnyPerceiver, ObservationInputs
from langchain_videochat.perception.profiles import Profile, create_perceivers
from langchain_videochat.perception.streams import Chunk, Stream, open_streams
from langchain_videochat.perception.workers import QUEUE_SIZE, OnError, PerceiverWorker
from langchain_videochat.utils.interval import Interval

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PerceiverFailure:
    """An error of a perceiver, whose Observations are missing from then on."""

    perceiver: str
    """Name of its class."""

    modality: str
    """The modality that is missing."""

    error: Exception
    """The error."""

    def __str__(self) -> str:
        return f"no {self.modality} from {self.perceiver}: {self.error}"


@dataclass(frozen=True)
class PerceptionCallbacks:
    """Progress, damage and failure callbacks."""

    progress: Callable[[float], None] = lambda _: None
    """Called repeatedly with the time in seconds up to which the video has been processed."""

    damage: Callable[[float], None] = lambda _: None
    """Called with the seconds of the segment that could not be decoded, for each damaged part."""

    failure: Callable[[PerceiverFailure], None] = lambda one: logger.warning("%s", one, exc_info=one.error)
    """Called for each perceiver that fails; logs a warning by default."""


@dataclass(frozen=True)
class SegmentResult:
    """The result of `perceive_segment`."""

    observations: tuple[Observation, ...]
    """In time order."""

    missing: float
    """Seconds that could not be decoded."""

    failures: tuple[str, ...]
    """Descriptions of the perceivers that failed."""


def perceive(
    source: str | Path,
    profile: str | Path | Sequence[AnyPerceiver] = "standard",
    *,
    start: float | None = None,
    end: float | None = None,
    callbacks: PerceptionCallbacks | None = None,
) -> Iterator[Observation]:
    """Perceive a video or a segment of it, in bounded memory.

    Reading and each perceiver run in separate threads. If one perceiver fails, the results of the others are kept.

    Args:
        source: A local file.
        profile: Name or file of a profile, or perceivers that have not been used before.
        start: Start of the segment in seconds; the start of the video if None.
        end: End of the segment in seconds, exclusive; the end of the video if None.
        callbacks: Progress, damage and failure callbacks.

    Returns:
        Observations in time order, while the video is being read, then those of perceivers that take the Observations
        of others. Observations longer than `spans.MAX_SPAN_SECONDS` come in parts.

    Raises:
        SourceError: The file does not exist.
        MediaError: The file is not a video, or nothing of it can be decoded.
        ModelUnavailableError: A model of the profile is not on this machine and cannot be downloaded.
        InputError: The profile is unknown, `end` is not after `start`, or `start` is not in the video.
        Exception: The error of the first perceiver, if all have failed.
    """
    callbacks = callbacks or PerceptionCallbacks()
    perceivers = create_perceivers(profile) if isinstance(profile, str | Path) else list(profile)
    owned = perceivers if isinstance(profile, str | Path) else []
    observations = perceive_video(source, perceivers, Interval.of(start, end), callbacks)
    return _perceive_all(observations, perceivers, owned, callbacks)


def perceive_segment(
    source: str | Path, profile: Profile, segment: Interval, progress: Callable[[float], None] = lambda _: None
) -> SegmentResult:
    """Perceive a segment of a video. Arguments (without `progress`) and result can be pickled.

    Perceivers that take the Observations of others need the whole video: run them with `perceive_observations`.

    Args:
        source: A local file.
        profile: The profile.
        segment: The segment.
        progress: Called with the time in seconds up to which the video has been processed.

    Raises:
        SourceError: The file does not exist.
        MediaError: The file is not a video, or nothing of it can be decoded.
        ModelUnavailableError: A model of the profile is not on this machine and cannot be downloaded.
        Exception: The error of the first perceiver, if all have failed.
    """
    damage: list[float] = []
    failures: list[PerceiverFailure] = []
    callbacks = PerceptionCallbacks(progress, damage.append, failures.append)
    observations = tuple(perceive_video(source, profile.create(), segment, callbacks))
    return SegmentResult(observations, sum(damage), tuple(map(str, failures)))


def perceive_video(
    source: str | Path, perceivers: Sequence[AnyPerceiver], segment: Interval, callbacks: PerceptionCallbacks
) -> Iterator[Observation]:
    """Run the perceivers that take frames, audio or subtitles; the arguments and errors are those of `perceive`."""
    video = probe(source)
    clipped = segment.within(video.duration) if video.duration else Interval(0.0, 0.0)
    if clipped.end >= video.duration and video.missing > 0:
        callbacks.damage(video.missing)
    return _perceive_video(source, video, perceivers, clipped, callbacks)


def perceive_observations(
    perceivers: Sequence[AnyPerceiver], observations: Iterable[Observation], callbacks: PerceptionCallbacks
) -> Iterator[Observation]:
    """Run the perceivers that take the Observations of others.

    Args:
        perceivers: The perceivers of `perceive`; those that take other inputs are ignored.
        observations: Observations of the whole video, in time order.
        callbacks: The failure callback.
    """
    inputs = list(observations)
    for perceiver in perceivers:
        if isinstance(perceiver.inputs, ObservationInputs):
            batch = [one for one in inputs if one.modality in perceiver.inputs.modalities]
            try:
                yield from perceiver.perceive(batch)
            except ModelUnavailableError:
                raise
            except Exception as error:
                callbacks.failure(PerceiverFailure(type(perceiver).__name__, perceiver.modality, error))


def _perceive_all(
    observations: Iterator[Observation],
    perceivers: list[AnyPerceiver],
    owned: list[AnyPerceiver],
    callbacks: PerceptionCallbacks,
) -> Iterator[Observation]:
    specs = [one.inputs for one in perceivers if isinstance(one.inputs, ObservationInputs)]
    modalities = {modality for spec in specs for modality in spec.modalities}
    kept: list[Observation] = []
    try:
        for observation in observations:
            if observation.modality in modalities:
                kept.append(observation)
            yield observation
        yield from perceive_observations(perceivers, kept, callbacks)
    finally:
        for perceiver in owned:
            perceiver.close()


def _perceive_video(
    source: str | Path,
    video: VideoInfo,
    perceivers: Sequence[AnyPerceiver],
    segment: Interval,
    callbacks: PerceptionCallbacks,
) -> Iterator[Observation]:
    failures: list[PerceiverFailure] = []

    def on_error(perceiver: AnyPerceiver, error: Exception) -> None:
        failures.append(PerceiverFailure(type(perceiver).__name__, perceiver.modality, error))
        callbacks.failure(failures[-1])

    direct = [one for one in perceivers if not isinstance(one.inputs, ObservationInputs)]
    loaded = _load(direct, on_error)
    # Weights that are unavailable raise here, before hours of work; other errors occur again when these perceivers run.
    _load([one for one in perceivers if one not in direct], on_error=lambda *_: None)
    streams = open_streams(source, video, loaded, segment)
    yield from _in_time_order(streams, segment, callbacks, on_error)
    if failures and len(failures) == len(direct):
        raise failures[0].error


def _load(perceivers: Iterable[AnyPerceiver], on_error: OnError) -> list[AnyPerceiver]:
    loaded = []
    for perceiver in perceivers:
        try:
            perceiver.load()
        except ModelUnavailableError as error:
            advice = f'{error.advice}; profile="lite" needs no models'
            raise ModelUnavailableError(error.subject, error.problem, advice) from error
        except Exception as error:
            on_error(perceiver, error)
        else:
            loaded.append(perceiver)
    return loaded


def _in_time_order(
    streams: list[Stream], segment: Interval, callbacks: PerceptionCallbacks, on_error: OnError
) -> Iterator[Observation]:
    workers = {one: PerceiverWorker(one, segment.start, on_error) for stream in streams for one in stream.perceivers}
    pending: list[tuple[tuple[float, float, float], int, Observation]] = []
    sequence = count()
    try:
        while streams:
            stream = min(streams, key=attrgetter("reached"))
            chunk = _next_chunk(stream, on_error)
            if chunk is None:
                streams.remove(stream)
                for perceiver in stream.perceivers:
                    workers[perceiver].finish(segment.end)
            else:
                stream.reached = chunk.reached
                if chunk.missing:
                    callbacks.damage(chunk.missing)
                for perceiver in stream.perceivers:
                    workers[perceiver].submit(chunk.batches.get(perceiver), chunk.reached)
            for worker in workers.values():
                for observation in worker.drain(QUEUE_SIZE if streams else 0):
                    clipped = _clip(observation, segment)
                    heapq.heappush(pending, (clipped.order, next(sequence), clipped))
            watermark = min(worker.watermark for worker in workers.values())
            while pending and pending[0][2].start < watermark:
                yield heapq.heappop(pending)[2]
            callbacks.progress(min(segment.end, *(worker.reached for worker in workers.values())))
    finally:
        for worker in workers.values():
            worker.stop()


def _clip(observation: Observation, segment: Interval) -> Observation:
    """Clip times to the segment: a frame that is displayed at its start may have been displayed before."""
    start, end = (min(max(time, segment.start), segment.end) for time in (observation.start, observation.end))
    return replace(observation, start=start, end=end)


def _next_chunk(stream: Stream, on_error: OnError) -> Chunk | None:
    try:
        return next(stream.chunks, None)
    except VideoChatError as error:
        if stream.required:
            raise
        for perceiver in stream.perceivers:
            on_error(perceiver, error)
        return None
