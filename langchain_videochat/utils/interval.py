"""Intervals of time in a video."""

import math
from dataclasses import dataclass
from typing import Self

from langchain_videochat.errors import InputError
from langchain_videochat.utils.timecode import format_seconds


@dataclass(frozen=True)
class Interval:
    """A half-open interval of time in a video: from `start` up to, but not including, `end`.

    Raises:
        InputError: `start` is negative or not finite, or `end` is before `start`.
    """

    start: float = 0.0
    """Seconds from the start of the video."""

    end: float = math.inf
    """Seconds from the start of the video; infinity is the end of the video."""

    def __post_init__(self) -> None:
        if not 0 <= self.start < math.inf:
            raise InputError("start", f"must be 0 or a positive number, got {self.start}", "Give a time in seconds")
        if not self.start <= self.end:
            raise self._order_error()

    @classmethod
    def of(cls, start: float | None, end: float | None) -> Self:
        """Create an interval that is not empty; None is the start or the end of the video.

        Raises:
            InputError: `start` is negative or not finite, or `end` is not after `start`.

        Example:
            >>> Interval.of(3, None)
            Interval(start=3, end=inf)
        """
        interval = cls(0.0 if start is None else start, math.inf if end is None else end)
        if interval.start == interval.end:
            raise interval._order_error()
        return interval

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.end - self.start

    def midpoints(self, count: int) -> list[float]:
        """Return the middle of each of `count` equal parts.

        Example:
            >>> Interval(0, 4).midpoints(2)
            [1.0, 3.0]
        """
        return [self.start + (part + 0.5) / count * self.duration for part in range(count)]

    def within(self, duration: float) -> Self:
        """Return the part of the interval inside a video of `duration` seconds.

        Raises:
            InputError: The interval starts at or after the end of the video.

        Example:
            >>> Interval.of(3, None).within(10.0)
            Interval(start=3, end=10.0)
        """
        if self.start >= duration:
            problem = f"must be before the end of the video ({format_seconds(duration)} s), got {self.start}"
            raise InputError("start", problem, "Give an earlier time in seconds")
        return type(self)(self.start, min(self.end, duration))

    def _order_error(self) -> InputError:
        start, end = format_seconds(self.start), format_seconds(self.end)
        return InputError("start, end", f"end ({end} s) must be after start ({start} s)", "Give times in seconds")
