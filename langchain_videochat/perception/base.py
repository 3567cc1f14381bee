"""What every perception model has in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from langchain_videochat.media import Cue, FrameBatch
from langchain_videochat.perception.observation import Modality, Observation


@dataclass(frozen=True)
class Frames:
    """A wish for single frames."""

    every: float
    """Seconds between two frames."""

    tolerance: float
    """Seconds by which a frame may be off, so that a nearby key frame will do; 0 for the exact frame."""

    size: int
    """Length of the frames' shorter side in pixels, where the video has that many."""


@dataclass(frozen=True)
class Subtitles:
    """A wish for the video's own subtitles."""


InputT = TypeVar("InputT", FrameBatch, Sequence[Cue])


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

    wants: ClassVar[Frames | Subtitles]
    """What it has to be handed."""

    @abstractmethod
    def perceive(self, batch: InputT) -> Iterable[Observation]:
        """Look at the next part of the video.

        Args:
            batch: What `wants` asks for, following in time on the batch before.

        Returns:
            Observations that can be told now, in any order, none starting before `open_since`.
        """

    def finish(self, end: float) -> Iterable[Observation]:
        """Tell what only the end can tell: the last scene, a line that is still on screen.

        Args:
            end: Seconds at which the stretch ends.
        """
        return ()

    @property
    def open_since(self) -> float | None:
        """Seconds at which the earliest thing began that has not been told yet; None if there is none."""
        return None
