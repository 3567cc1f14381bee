"""The Observation: text that holds between two times of a video."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from langchain_videochat.errors import InputError

Modality = Literal[
    "action",
    "caption",
    "tag",
    "object",
    "region",
    "speech",
    "subtitle",
    "screen_text",
    "scene",
    "summary",
]
"""What an Observation tells of."""

MODALITIES: tuple[Modality, ...] = get_args(Modality)
"""All modalities."""

Box = tuple[float, float, float, float]
"""A place in the picture: x0, y0, x1, y1, each 0 to 1 from the left and from the top."""


@dataclass(frozen=True)
class Observation:
    """What one perception model noticed, with the stretch of the video where it holds (paper 3.1.1).

    Raises:
        InputError: A time is negative, not finite or out of order, or a field is outside its range.

    Example:
        >>> Observation(start=3.0, end=7.5, modality="screen_text", text="Whisk two eggs").end
        7.5
    """

    start: float
    """Seconds from the first presented frame."""

    end: float
    """Seconds from the first presented frame, not before `start`."""

    modality: Modality
    """Which sense it comes from."""

    text: str
    """What was noticed."""

    score: float | None = None
    """The model's confidence, 0 to 1."""

    box: Box | None = None
    """Where in the picture: x0, y0, x1, y1, each 0 to 1 from the left and from the top."""

    language: str | None = None
    """The text's language as a BCP 47 tag, where known."""

    source: str | None = None
    """The model or track that noticed it."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end) and 0 <= self.start <= self.end):
            raise self._error("start, end", f"{self.start} to {self.end} is no stretch of time in seconds")
        if self.modality not in MODALITIES:
            raise self._error("modality", f"{self.modality!r} is none of {', '.join(MODALITIES)}")
        if self.score is not None and not 0 <= self.score <= 1:
            raise self._error("score", f"{self.score} is not between 0 and 1")
        if self.box is not None and not all(0 <= edge <= 1 for edge in self.box):
            raise self._error("box", f"{self.box} is not made of numbers between 0 and 1")

    @property
    def order(self) -> tuple[float, float, float]:
        """By what Observations are sorted: by time, and what begins together in the order of reading."""
        left, top = self.box[:2] if self.box else (0.0, 0.0)
        return self.start, top, left

    def _error(self, field: str, problem: str) -> InputError:
        return InputError(f"Observation.{field}", problem, f"Correct it for {self.text[:40]!r}")
