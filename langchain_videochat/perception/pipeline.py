"""One pass over a video: everything is read once for all perceivers, and Observations come in time order."""

import heapq
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from operator import attrgetter
from pathlib import Path

from langchain_videochat.errors import MediaError, ModelUnavailableError
from langchain_videochat.media import Damage, OnDamage, VideoInfo, log_damage, probe, sum_damage
from langchain_videochat.media.damage import DamageKind
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.perceiver import AnyPerceiver, ObservationInputs
from langchain_videochat.perception.profiles import Profile, create_perceivers
from langchain_videochat.perception.streams import Chunk, Stream, open_streams
from langchain_videochat.perception.workers import QUEUE_SIZE, OnError, PerceiverWorker
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.tracing import StageTime, Stopwatch

logger = logging.getLogger(__name__)

MAX_PROBLEMS = 100
"""Maximum number of problems that a `SegmentResult` lists; others are merged."""

MAX_PROBLEM_LENGTH = 500
"""Maximum number of characters of each."""

OnUnreadable = Callable[[Stream, MediaError], None]
"""Called with a stream that cannot be read any further."""


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

    damage: OnDamage = log_damage
    """Called for each damage of the file in the segment; logs a warning by default."""

    failure: Callable[[PerceiverFailure], None] = lambda one: logger.warning("%s", one, exc_info=one.error)
    """Called for each perceiver that fails; logs a warning by default."""

    stage: Callable[[StageTime], None] = lambda _: None
    """Called with the time of each stage: "probe", "load", "decode picture", "decode sound", "read subtitles", and
    "perceive" with the name of each perceiver's class."""


@dataclass(frozen=True)
class SegmentResult:
    """The result of `perceive_segment`."""

    observations: tuple[Observation, ...]
    """In time order."""

    damage: tuple[Damage, ...]
    """What could not be read, at most about 100 different problems."""

    failures: tuple[str, ...]
    """Descriptions of the perceivers that failed."""

    states: tuple[str | None, ...] = ()
    """The state of each perceiver of the profile at the end of the segment; see `Perceiver.state`."""

    stages: tuple[StageTime, ...] = field(default=(), compare=False)
    """How long each stage took, see `PerceptionCallbacks.stage`; not stored in drafts."""


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
    source: str | Path,
    profile: Profile,
    segment: Interval,
    progress: Callable[[float], None] = lambda _: None,
    states: Sequence[str | None] = (),
) -> SegmentResult:
    """Perceive a segment of a video. Arguments (without `progress`) and result can be pickled.

    Perceivers that take the Observations of others need the whole video: run them with `perceive_observations`.

    Args:
        source: A local file.
        profile: The profile.
        segment: The segment.
        progress: Called with the time in seconds up to which the video has been processed.
        states: The `states` of the previous segment's result; if there are none, speakers are numbered from 1 again.

    Raises:
        SourceError: The file does not exist.
        MediaError: The file is not a video.
        ModelUnavailableError: A model of the profile is not on this machine and cannot be downloaded.
        Exception: The error of the first perceiver, if all have failed.
    """
    damage: list[Damage] = []
    failures: list[PerceiverFailure] = []
    stages: list[StageTime] = []
    callbacks = PerceptionCallbacks(progress, damage.append, failures.append, stages.append)
    observations: list[Observation] = []
    perceivers = profile.create()
    for perceiver, state in zip(perceivers, states, strict=False):
        if state is not None:
            perceiver.resume(state)
    perceived = perceive_video(source, perceivers, segment, callbacks)
    # One segment of a video may be unreadable. It is reported as damage then.
    with suppress(MediaError):
        observations.extend(perceived)
    return SegmentResult(
        tuple(observations),
        _limit(sum_damage(damage)),
        tuple(map(str, failures)),
        tuple(perceiver.state for perceiver in perceivers),
        tuple(stages),
    )


def perceive_video(
    source: str | Path, perceivers: Sequence[AnyPerceiver], segment: Interval, callbacks: PerceptionCallbacks
) -> Iterator[Observation]:
    """Run the perceivers that take frames, audio or subtitles; the arguments and errors are those of `perceive`."""
    stopwatch = Stopwatch("probe")
    with stopwatch.running():
        video = probe(source)
    _report_stages([stopwatch], callbacks)
    clipped = segment.within(video.duration) if video.duration else Interval(0.0, 0.0)
    for damage in _damage_of_file(video, clipped):
        callbacks.damage(damage)
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


def _damage_of_file(video: VideoInfo, segment: Interval) -> Iterator[Damage]:
    """Yield the damage of a whole file that is to be reported with a segment: its length with one segment only."""
    yield from (one for one in video.damage if segment.start == 0 or not one.seconds)
    if segment.end >= video.duration and video.missing > 0:
        yield Damage("picture", "the file ends early", video.missing)


def _limit(damage: Sequence[Damage]) -> tuple[Damage, ...]:
    """Limit the descriptions that are stored: a file can be damaged in any number of ways."""
    more = (replace(one, problem="there is more damage") for one in damage[MAX_PROBLEMS:])
    kept = (replace(one, problem=one.problem[:MAX_PROBLEM_LENGTH]) for one in damage[:MAX_PROBLEMS])
    return sum_damage([*kept, *more])


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
    errors: dict[AnyPerceiver, Exception] = {}
    unreadable: dict[DamageKind, MediaError] = {}

    def on_error(perceiver: AnyPerceiver, error: Exception) -> None:
        errors.setdefault(perceiver, error)
        callbacks.failure(PerceiverFailure(type(perceiver).__name__, perceiver.modality, error))

    def on_unreadable(stream: Stream, error: MediaError) -> None:
        for perceiver in stream.perceivers:
            errors.setdefault(perceiver, error)
        # Two streams may read the same sound.
        if unreadable.setdefault(stream.kind, error) is error:
            problem = f"{stream.kind} cannot be read: {error.problem}"
            callbacks.damage(Damage(stream.kind, problem, segment.end - stream.reached))

    loading = Stopwatch("load")
    direct = [one for one in perceivers if not isinstance(one.inputs, ObservationInputs)]
    with loading.running():
        loaded = _load(direct, on_error)
        # Unavailable weights raise here, before hours of work; other errors occur again when these perceivers run.
        _load([one for one in perceivers if one not in direct], on_error=lambda *_: None)
    _report_stages([loading], callbacks)
    streams = open_streams(source, video, loaded, segment)
    is_empty = True
    for observation in _in_time_order(streams, segment, callbacks, on_error, on_unreadable):
        is_empty = False
        yield observation
    if errors and len(errors) == len(direct):
        raise next(iter(errors.values()))
    if is_empty and "picture" in unreadable:
        raise unreadable["picture"]


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
    streams: list[Stream],
    segment: Interval,
    callbacks: PerceptionCallbacks,
    on_error: OnError,
    on_unreadable: OnUnreadable,
) -> Iterator[Observation]:
    workers = {
        one: PerceiverWorker(one, segment.start, on_error, callbacks.damage)
        for stream in streams
        for one in stream.perceivers
    }
    stopwatches = [*(one.stopwatch for one in streams), *(one.stopwatch for one in workers.values())]
    pending: list[tuple[tuple[float, float, float], int, Observation]] = []
    sequence = count()
    try:
        while streams:
            stream = min(streams, key=attrgetter("reached"))
            chunk = _next_chunk(stream, on_unreadable)
            if chunk is None:
                streams.remove(stream)
                for perceiver in stream.perceivers:
                    workers[perceiver].finish(segment.end)
            else:
                stream.reached = chunk.reached
                for damage in chunk.damage:
                    callbacks.damage(damage)
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
        _report_stages(stopwatches, callbacks)


def _report_stages(stopwatches: Iterable[Stopwatch], callbacks: PerceptionCallbacks) -> None:
    for stage in (one.stage() for one in stopwatches):
        if stage is not None:
            callbacks.stage(stage)


def _clip(observation: Observation, segment: Interval) -> Observation:
    """Clip times to the segment: a frame that is displayed at its start may have been displayed before."""
    start, end = (min(max(time, segment.start), segment.end) for time in (observation.start, observation.end))
    return replace(observation, start=start, end=end)


def _next_chunk(stream: Stream, on_unreadable: OnUnreadable) -> Chunk | None:
    try:
        return next(stream.chunks, None)
    except MediaError as error:
        on_unreadable(stream, error)
        return None
