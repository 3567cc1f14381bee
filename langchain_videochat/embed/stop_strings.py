"""Ending a text before a stop string."""

from collections.abc import Sequence


class StopFilter:
    """Ends a text before the first stop string, however the text is split into deltas.

    Example:
        >>> stops = StopFilter(("###",))
        >>> stops.feed("Yes.#"), stops.feed("## Human"), stops.found
        ('Yes.', '', True)
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.found = False

    def feed(self, text: str) -> str:
        """Add text, and return what cannot be part of a stop string."""
        self._held += text
        places = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        self.found = bool(places)
        if places:
            return self._held[: min(places)]
        held = max((overlap(self._held, stop) for stop in self._stops), default=0)
        ready, self._held = self._held[: len(self._held) - held], self._held[len(self._held) - held :]
        return ready

    def finish(self) -> str:
        """Return the remaining text."""
        return "" if self.found else self._held


def overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of `text` that is a beginning of `stop`."""
    return next((length for length in range(len(stop) - 1, 0, -1) if text.endswith(stop[:length])), 0)
