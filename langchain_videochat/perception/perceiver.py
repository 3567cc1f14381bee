"""The interface that all perceivers implement."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from langchain_videochat.errors import InputError
from langchain_videochat.media import AudioChunk, Cue, Damage, FrameBatch
from langchain_videochat.media.tracks import Track
from langchain_videochat.perception.modalities import Modality, register_modality
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.spans import OpenSpans

MAX_HOLD_SECONDS = 10.0
"""Seconds after which a perceiver receives a frame even if nothing has changed."""


@dataclass(frozen=True)
class FrameInputs:
    """Frames at regular intervals; the perceiver receives `FrameBatch`es.

    With `min_change`, the perceiver receives only frames in which something has changed, and at least one every ten
    seconds unless the same frame stays on display: what it finds in a frame holds until the next one that it receives.

    Raises:
        InputError: A value is out of range.
    """

    every: float
    """Seconds between two frames."""

    tolerance: float
    """Seconds by which a frame may be off, so that a nearby keyframe can be used; 0 for the exact frame."""

    size: int
    """Length of the frames' shorter side in pixels; smaller videos are not scaled up."""

    min_change: float = 0.0
    """Part of the picture that must differ from the last frame that the perceiver received, from 0 to 1; 0 for all
    frames. `VISIBLE_CHANGE` and `NEW_VIEW` in `frame_changes` suit most perceivers."""

    min_seconds: float = 0.0
    """Minimum number of seconds between two frames that `min_change` selects."""

    def __post_init__(self) -> None:
        if not self.every > 0:
            raise InputError("every", f"must be positive, got {self.every}", "Give the seconds between two frames")
        if not self.tolerance >= 0:
            raise InputError("tolerance", f"must not be negative, got {self.tolerance}", "Give seconds")
        if self.size < 1:
            raise InputError("size", f"must be positive, got {self.size}", "Give the shorter side in pixels")
        if not 0 <= self.min_change <= 1:
            raise InputError("min_change", f"must be from 0 to 1, got {self.min_change}", "Give a part of the picture")
        if not self.min_seconds >= 0:
            raise InputError("min_seconds", f"must not be negative, got {self.min_seconds}", "Give seconds")


@dataclass(frozen=True)
class AudioInputs:
    """The audio track: mono, 16,000 samples per second; the perceiver receives `AudioChunk`s."""

    chunk_seconds: float = 30.0
    """Length of a chunk."""

    prefer_subtitles: bool = False
    """Skip videos that have subtitles."""

    track: Track | None = None
    """Number or language of the audio track; the default track if None."""


@dataclass(frozen=True)
class SubtitleInputs:
    """The video's own subtitles; the perceiver receives all `Cue`s with text of a segment at once."""

    language: str | None = None
    """Language of the subtitles, for example "en"; all if None."""

    encoding: str | None = None
    """Encoding of sidecar files; detected if None."""

    pictures: bool = False
    """Whether the perceiver also receives subtitles that are pictures, one `PictureCue` at a time."""


@dataclass(frozen=True)
class ObservationInputs:
    """Observations of other perceivers; the perceiver receives all of them at once, after the rest of the video."""

    modalities: tuple[str, ...]
    """Names of the modalities that it receives."""


Inputs = FrameInputs | AudioInputs | SubtitleInputs | ObservationInputs

InputsT = TypeVar("InputsT", bound=Inputs)
BatchT = TypeVar("BatchT", FrameBatch, AudioChunk, Sequence[Cue], Sequence[Observation])


@dataclass(frozen=True)
class RequiredModel:
    """A pretrained model that a perceiver needs."""

    name: str
    """Its id on the Hugging Face Hub, its name, or a path."""

    find: Callable[[], Path | None]
    """Returns the path of its files on this machine; None if they have to be downloaded."""

    fetch: Callable[[], Path]
    """Returns the path of its files, downloading them with a progress bar if necessary."""


class Perceiver(ABC, Generic[InputsT, BatchT]):
    """A perception model: receives parts of a video and returns Observations.

    The type arguments are the inputs that it asks for and the batches that it receives: `FrameInputs` and
    `FrameBatch`, `AudioInputs` and `AudioChunk`, `SubtitleInputs` and `Sequence[Cue]`, or `ObservationInputs` and
    `Sequence[Observation]`. An instance processes one segment of one video.

    Example:
        >>> class Brightness(Perceiver[FrameInputs, FrameBatch]):
        ...     modality = "tag"
        ...     inputs = FrameInputs(every=2.0, tolerance=1.0, size=64)
        ...
        ...     def perceive(self, batch):
        ...         for frame, time in zip(batch.frames, batch.times.tolist()):
        ...             yield Observation(time, time + 2.0, "tag", "bright" if frame.mean() > 127 else "dark")
    """

    modality: ClassVar[str]
    """The modality of its Observations."""

    defines: ClassVar[tuple[Modality, ...]] = ()
    """Modalities that it adds to the built-in ones; registered when the class is defined."""

    inputs: InputsT
    """What it receives."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for modality in cls.defines:
            register_modality(modality)

    @cached_property
    def open_spans(self) -> OpenSpans:
        """Observations that have started and not ended yet; `finish` closes them."""
        return OpenSpans()

    @cached_property
    def damage(self) -> list[Damage]:
        """What `perceive` and `finish` could not use of the file; they append to it, and the pipeline reports it.

        The pipeline removes what it has reported. Perceivers of Observations read no file, and report none.
        """
        return []

    @property
    def required_models(self) -> tuple[RequiredModel, ...]:
        """The pretrained models that it needs and that no package contains."""
        return ()

    def load(self) -> None:
        """Load the weights now rather than at first use.

        Raises:
            ModelUnavailableError: The weights are not on this machine and cannot be downloaded.
            ModelError: They are damaged or belong to another kind of model.
        """

    def close(self) -> None:
        """Release the weights; they are freed when no other perceiver uses them."""

    @property
    def state(self) -> str | None:
        """State for the perceiver of the video's next segment; None if there is none.

        It is read after `finish`, and saved with the Observations of the segment: keep it below a megabyte.
        """
        return None

    def resume(self, state: str) -> None:
        """Continue from the `state` at the end of the previous segment; called before `perceive`.

        The state was read from a store, and may be damaged.
        """

    @property
    def is_sequential(self) -> bool:
        """Whether it needs the `state` of the previous segment, so that a video is perceived in order."""
        return type(self).resume is not Perceiver.resume

    @abstractmethod
    def perceive(self, batch: BatchT) -> Iterable[Observation]:
        """Process the next part of the segment.

        Args:
            batch: The inputs that follow those of the previous call.

        Returns:
            Finished Observations in any order, none starting before `pending_since`. They are clipped to the segment.
        """

    def finish(self, end: float) -> Iterable[Observation]:
        """Return the remaining Observations, such as the last scene or text that is still on screen.

        Args:
            end: End of the segment in seconds.
        """
        return self.open_spans.close(end)

    @property
    def pending_since(self) -> float | None:
        """Start of the earliest Observation that is still to come, in seconds; None if nothing is pending."""
        return self.open_spans.since


AnyPerceiver = Perceiver[Any, Any]
