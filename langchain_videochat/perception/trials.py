"""Trials: each perceiver of a profile runs alone on a few seconds of a video, to check that its model works."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from langchain_videochat.errors import VideoChatError
from langchain_videochat.media import Damage, VideoInfo, probe
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.perceiver import AnyPerceiver, AudioInputs, ObservationInputs
from langchain_videochat.perception.pipeline import (
    PerceiverFailure,
    PerceptionCallbacks,
    perceive_observations,
    perceive_video,
)
from langchain_videochat.perception.profiles import load_profile
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.memory import PeakMemory

TRIAL_SECONDS = 10.0
"""Seconds of the video that each perceiver processes."""


@dataclass
class Trial:
    """The results and the cost of one perceiver for the start of a video."""

    perceiver: str
    """Its name in the profile."""

    models: tuple[str, ...]
    """The pretrained models that it needs."""

    video_seconds: float
    """Length of the part of the video."""

    load_seconds: float = 0.0
    """Time to load its models, with downloads and imports."""

    seconds: float = 0.0
    """Time to process the part, with reading it."""

    memory: int = 0
    """Bytes by which the memory of the process grew at most, from before its models were loaded."""

    observations: list[Observation] = field(default_factory=list)
    """What it returned, in time order."""

    problems: list[str] = field(default_factory=list)
    """Damage of the video, and missing inputs."""

    error: str | None = None
    """The error; None if it succeeded."""


def try_perceivers(source: str | Path, profile: str | Path = "standard") -> Iterator[Trial]:
    """Run each perceiver of a profile on the first `TRIAL_SECONDS` of a video, one after the other.

    Missing models are downloaded. Perceivers that take Observations receive those of all others, and come last. Errors
    of a perceiver are part of its trial.

    Args:
        source: A local file.
        profile: Name or file of a profile.

    Yields:
        The trial of a perceiver, when it has finished.

    Raises:
        SourceError: The file does not exist.
        MediaError: The file is not a video.
        InputError: The profile is unknown.
    """
    loaded = load_profile(profile)
    names = [name for name, _ in loaded.perceivers]
    perceivers = sorted(zip(names, loaded.create(), strict=True), key=lambda one: _takes_observations(one[1]))
    video = probe(source)
    segment = Interval(0.0, TRIAL_SECONDS).within(video.duration)
    observations: list[Observation] = []
    for name, perceiver in perceivers:
        models = tuple(model.name for model in perceiver.required_models)
        trial = Trial(name, models, segment.duration, problems=_missing_inputs(video, perceiver))
        _run(trial, perceiver, Path(source), segment, observations)
        observations += trial.observations
        yield trial


def _run(trial: Trial, perceiver: AnyPerceiver, source: Path, segment: Interval, others: Sequence[Observation]) -> None:
    damage: list[Damage] = []
    failures: list[PerceiverFailure] = []
    callbacks = PerceptionCallbacks(damage=damage.append, failure=failures.append)
    start = time.perf_counter()
    with PeakMemory() as memory:
        try:
            perceiver.load()
            trial.load_seconds = time.perf_counter() - start
            start = time.perf_counter()
            if _takes_observations(perceiver):
                trial.observations = list(perceive_observations([perceiver], others, callbacks))
            else:
                trial.observations = list(perceive_video(source, [perceiver], segment, callbacks))
            trial.seconds = time.perf_counter() - start
        except Exception as error:
            trial.error = _describe(error)
        finally:
            perceiver.close()
    trial.memory = memory.growth
    trial.problems += [str(one) for one in damage]
    if failures:
        trial.error = _describe(failures[0].error)


def _takes_observations(perceiver: AnyPerceiver) -> bool:
    return isinstance(perceiver.inputs, ObservationInputs)


def _missing_inputs(video: VideoInfo, perceiver: AnyPerceiver) -> list[str]:
    return ["the video has no sound"] if isinstance(perceiver.inputs, AudioInputs) and not video.has_audio else []


def _describe(error: Exception) -> str:
    return str(error) if isinstance(error, VideoChatError) else f"{type(error).__name__}: {error}"
