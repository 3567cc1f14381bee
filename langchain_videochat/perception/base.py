"""What every perception model has in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from langchain_videochat.errors import InputError
from langchain_videochat.media import AudioChunk, Cue, FrameBatch
from langchain_videochat.perception.observation import Modality, Observation


@dataclass(frozen=True)
class Frames:
    """A wish for single frames.

    Raises:
        InputError: A value is out of range.
    """

    every: float
    """Seconds between two frames."""

    tolerance: float
    """Seconds by which a frame may be off, so that a nearby key frame will do; 0 for the exact frame."""

    size: int
    """Length of the frames' shorter side in pixels; smaller videos come as they are."""

    def __post_init__(self) -> None:
        if not (self.every > 0 and self.tolerance >= 0 and self.size >= 1):
            problem = f"every {self.every} s, {self.tolerance} s off, {self.size} pixels: this makes no frames"
            raise InputError("Frames", problem, "Give a number above 0 for `every`")


@dataclass(frozen=True)
class Sound:
    """A wish for the sound: mono, 16,000 samples a second."""

    seconds: float = 30.0
    """Length of a chunk."""

    unless_subtitles: bool = False
    """Whether it can be left out where the video has subtitles."""


@dataclass(frozen=True)
class Subtitles:
    """A wish for the video's own subtitles."""


@dataclass(frozen=True)
class ObservationInputs:
    """A wish for what other perceivers have told, once all of it is there."""

    modalities: tuple[Modality, ...]
    """Which of it."""


Inputs = Frames | Sound | Subtitles | ObservationInputs

InputT = TypeVar("InputT", FrameBatch, AudioChunk, Sequence[Cue], Sequence[Observation])


class Perceiver(ABC, Generic[InputT]):
    """A perception model: it is handed frames, or what else it wants, and yields Observations.

    One object perceives one stretch of one video. Weights are loaded at first use and shared between objects.

    Example:
        >>> class Brightness(Perceiver[FrameBatch]):
        ...     modality = "tag"
        ...     wants = Frames(every=2.0, tolerance=1.0, size=64)
        ...
        ...     def perceive(self, batch):
        ...         for frame, time in zip(batch.frames, batch.times):
        ...             yield Observation(time, time, "tag", "bright" if frame.mean() > 127 else "dark")
    """

    modality: ClassVar[Modality]
    """The modality of its Observations."""

    inputs: Inputs
    """What it has to be handed."""

    def load(self) -> None:
        """Load the weights now and not at first use, so that what is missing shows before work begins.

        Raises:
            ModelUnavailableError: The weights cannot be had on this machine.
            ModelError: They are damaged, or of another kind of model.
        """

    def close(self) -> None:
        """Give the weights back; they leave the memory when nobody else uses them."""

    @abstractmethod
    def perceive(self, batch: InputT) -> Iterable[Observation]:
        """Look at the next part of the video.

        Args:
            batch: What `inputs` asks for, following in time on the batch before.

        Returns:
            Observations that can be told now, in any order, none starting before `pending_since`. An end after that of
            the stretch is cut.
        """

    def finish(self, end: float) -> Iterable[Observation]:
        """Tell what only the end can tell: the last scene, a line that is still on screen.

        Args:
            end: Seconds at which the stretch ends.
        """
        return ()

    @property
    def pending_since(self) -> float | None:
        """Seconds at which the earliest thing began that has not been told yet; None if there is none."""
        return None
