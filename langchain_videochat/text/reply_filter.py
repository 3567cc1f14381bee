"""Replies of a language model, without the marker by which it asks for the whole video."""

from collections.abc import AsyncIterator, Iterator

import regex

from langchain_videochat.text.prompts import NOT_SHOWN
from langchain_videochat.utils.thinking import thinking_length

# The forms in which models write WHOLE_VIDEO. mark_as_data neutralizes all of them in text from videos, because "<" is
# directly followed by a letter or a slash: a model that quotes such text does not write the marker.
_MARKER = r"[<\uff1c]/?whole(?:\\?[_ -])?video[ ]?/?[>\uff1e]"
_ANYWHERE = regex.compile(_MARKER, regex.IGNORECASE)
_AT_START = regex.compile(rf"[^\p{{L}}\p{{N}}]{{0,50}}?{_MARKER}", regex.IGNORECASE)

_MARKUP = " \n\t.:*_`\"'”»。"
"""What may follow a marker: the end of a sentence, of bold text, code or quotes."""

_OMITTED = "…"
"""Replaces a marker within an answer. Without it, the text around the marker could join to another one."""


class ReplyFilter:
    """Removes the marker `WHOLE_VIDEO` from a reply while it streams.

    Markup and letter case make no difference. Thinking before the marker is recognized if its opening tag is part of
    the reply. Text is held back only while it may be the start of a marker, and, if the
    model may ask for the whole video, while the reply begins with thinking.

    Args:
        may_ask: Whether the model may ask for the whole video: then a reply that begins with the marker is dropped.
            Otherwise the rest of such a reply is the answer, or `NOT_SHOWN` if nothing else was written.

    Example:
        >>> list(ReplyFilter().filter(iter(["Two ", "<WHOLE", "SALE> eggs"])))
        ['Two ', '<WHOLESALE> eggs', '']
        >>> list(ReplyFilter().filter(iter(["**<WHOLE", "_VIDEO>**"])))
        ['The video does not show this.']
    """

    def __init__(self, may_ask: bool = False) -> None:
        self._may_ask = may_ask
        self._has_marker = False
        self._is_start = True
        self._is_empty = True
        self._held = ""

    @property
    def asks_for_all(self) -> bool:
        """Whether the model asks for the whole video, as far as the reply has been read."""
        return self._may_ask and self._has_marker

    def filter(self, deltas: Iterator[str]) -> Iterator[str]:
        """Filter the deltas of a reply."""
        for delta in deltas:
            if ready := self._feed(delta):
                yield ready
        yield self._finish()

    async def afilter(self, deltas: AsyncIterator[str]) -> AsyncIterator[str]:
        """Filter the deltas of a reply."""
        async for delta in deltas:
            if ready := self._feed(delta):
                yield ready
        yield self._finish()

    def _feed(self, delta: str) -> str:
        """Return the text that is certain to be part of an answer after another delta."""
        self._held += delta
        if self._is_start and not self._read_start():
            return ""
        unfinished = _find_unfinished(self._held)
        ready, self._held = self._held[:unfinished], self._held[unfinished:]
        return self._release(ready)

    def _finish(self) -> str:
        rest = self._release(self._held)
        return NOT_SHOWN if self._has_marker and self._is_empty and not self._may_ask else rest

    def _read_start(self) -> bool:
        """Return whether the start of the reply is complete; if it is a marker, drop it."""
        length = thinking_length(self._held) if self._may_ask else 0
        if length is None:
            return False
        marker = _AT_START.match(self._held, length, partial=True)
        if marker is not None and marker.partial:
            return False
        self._is_start = False
        if marker is not None:
            self._has_marker = True
            self._held = self._held[marker.end() :]
        return True

    def _release(self, text: str) -> str:
        if self.asks_for_all:
            return ""
        if self._has_marker and self._is_empty:
            text = text.lstrip(_MARKUP)
        self._is_empty = self._is_empty and not text
        return _ANYWHERE.sub(_OMITTED, text)


def _find_unfinished(text: str) -> int:
    """Return the position from which the next delta may complete a marker."""
    position = 0
    while (marker := _ANYWHERE.search(text, position, partial=True)) is not None:
        if marker.partial:
            return int(marker.start())
        position = marker.end()
    return len(text)
