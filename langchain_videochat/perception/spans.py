"""Things that go on for a while: told when they end, or piece by piece when they go on for long."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from langchain_videochat.perception.observation import Observation

LONGEST_SPAN = 30.0
"""Seconds after which something that goes on is told in a piece, so that a logo does not hold back a whole film.

A Timeline joins the pieces."""


class OpenSpans:
    """What is going on at present, each with the time since when.

    Example:
        >>> spans = OpenSpans()
        >>> spans.open(Observation(4.0, 4.0, "screen_text", "Whisk two eggs"))
        >>> [told.end for told in spans.close(10.0)]
        [10.0]
    """

    def __init__(self) -> None:
        self._open: list[Observation] = []

    def __iter__(self) -> Iterator[Observation]:
        return iter(tuple(self._open))

    @property
    def since(self) -> float | None:
        """Seconds at which the earliest one began."""
        return min((one.start for one in self._open), default=None)

    def open(self, observation: Observation) -> None:
        """Take note of what begins at `observation.start`."""
        self._open.append(observation)

    def replace(self, before: Observation, after: Observation) -> None:
        """Correct what is known of something that goes on."""
        self._open[self._open.index(before)] = after

    def close(self, time: float, ended: Callable[[Observation], bool] = lambda _: True) -> list[Observation]:
        """Tell what ends at a time, in the order in which it was opened.

        Args:
            time: Seconds.
            ended: Whether one ends now; all do unless given.
        """
        told = [replace(one, end=max(time, one.start)) for one in self._open if ended(one)]
        self._open = [one for one in self._open if not ended(one)]
        return told

    def flush_long(self, time: float) -> list[Observation]:
        """Tell a piece of each that has gone on for `LONGEST_SPAN`; it goes on from `time`."""
        long = [one for one in self._open if time - one.start >= LONGEST_SPAN]
        self._open = [replace(one, start=time, end=time) if one in long else one for one in self._open]
        return [replace(one, end=time) for one in long]
