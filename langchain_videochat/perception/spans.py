"""Observations that span several frames."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from langchain_videochat.perception.observation import Observation

MAX_SPAN_SECONDS = 30.0
"""Length after which an open span is emitted in part.

A logo that stays on screen would otherwise hold back the Observations of the whole video, and keep them in memory. A
Timeline joins the parts."""


class OpenSpans:
    """Observations that have started and whose end is not known yet.

    Example:
        >>> spans = OpenSpans()
        >>> spans.open(Observation(4.0, 4.0, "screen_text", "Whisk two eggs"))
        >>> [observation.end for observation in spans.close(10.0)]
        [10.0]
    """

    def __init__(self) -> None:
        self._open: list[Observation] = []

    def __iter__(self) -> Iterator[Observation]:
        return iter(tuple(self._open))

    @property
    def since(self) -> float | None:
        """Start of the earliest open span in seconds; None if there is none."""
        return min((one.start for one in self._open), default=None)

    def open(self, observation: Observation) -> None:
        """Add a span that starts at `observation.start`."""
        self._open.append(observation)

    def replace(self, before: Observation, after: Observation) -> None:
        """Update an open span."""
        self._open[self._open.index(before)] = after

    def close(self, time: float, has_ended: Callable[[Observation], bool] = lambda _: True) -> list[Observation]:
        """Return the spans that end now, in the order in which they were opened.

        Args:
            time: Their end in seconds.
            has_ended: Selects them; all spans by default.
        """
        ended = [replace(one, end=max(time, one.start)) for one in self._open if has_ended(one)]
        self._open = [one for one in self._open if not has_ended(one)]
        return ended

    def flush_long(self, time: float) -> list[Observation]:
        """Return the spans that have been open for `MAX_SPAN_SECONDS`; each continues as a new span.

        Args:
            time: End of the returned spans and start of the new ones, in seconds.
        """
        long = [one for one in self._open if time - one.start >= MAX_SPAN_SECONDS]
        self._open = [replace(one, start=time, end=time) if one in long else one for one in self._open]
        return [replace(one, end=time) for one in long]
