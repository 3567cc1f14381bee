"""Observations: statements about an interval of a video."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from langchain_videochat.errors import InputError
from langchain_videochat.perception.modalities import find_modality
from langchain_videochat.utils.interval import Interval

Box = tuple[float, float, float, float]
"""A region of a frame: x0, y0, x1, y1, each from 0 to 1, measured from the top left."""


def scale_box(edges: Iterable[float], width: float, height: float) -> Box:
    """Convert edges in pixels to a Box: clipped to the frame, and rounded to four digits."""
    sides = (width, height, width, height)
    x0, y0, x1, y1 = (round(min(max(edge / side, 0.0), 1.0), 4) for edge, side in zip(edges, sides, strict=True))
    return x0, y0, x1, y1


@dataclass(frozen=True)
class Observation:
    """A finding of a perception model in an interval of the video (paper 3.1.1).

    Raises:
        InputError: The times are not an interval, the modality is unknown, or a field is out of range.

    Example:
        >>> Observation(start=3.0, end=7.5, modality="screen_text", text="Whisk two eggs").end
        7.5
    """

    start: float
    """Seconds from the start of the video."""

    end: float
    """Seconds from the start of the video, not before `start`."""

    modality: str
    """Kind of observation: the name of a `Modality`."""

    text: str
    """The finding, for example a caption or a transcript; empty if the finding is a vector."""

    score: float | None = None
    """The model's confidence, from 0 to 1."""

    box: Box | None = None
    """Where in the frame."""

    language: str | None = None
    """Language of the text as a BCP 47 tag, if known."""

    source: str | None = None
    """The model or track that it comes from."""

    speaker: str | None = None
    """Who speaks, if known."""

    vector: str | None = None
    """Embedding of the frame, as `frame_vectors.dump_vector` returns it."""

    def __post_init__(self) -> None:
        Interval(self.start, self.end)
        find_modality(self.modality)
        if math.isinf(self.end):
            raise self._error("end", f"must be finite, got {self.end}")
        if self.score is not None and not 0 <= self.score <= 1:
            raise self._error("score", f"must be from 0 to 1, got {self.score}")
        if self.box is not None and not all(0 <= edge <= 1 for edge in self.box):
            raise self._error("box", f"must be numbers from 0 to 1, got {self.box}")

    @property
    def order(self) -> tuple[float, float, float]:
        """Sort key: by start; simultaneous Observations in reading order."""
        left, top = self.box[:2] if self.box else (0.0, 0.0)
        return self.start, top, left

    @property
    def attributed_text(self) -> str:
        """The text, after the name of the speaker if it is known: "Ada Lovelace: We start"."""
        return f"{self.speaker}: {self.text}" if self.speaker else self.text

    def _error(self, field: str, problem: str) -> InputError:
        return InputError(f"Observation.{field}", problem, f"Correct it for {self.text[:40]!r}")
