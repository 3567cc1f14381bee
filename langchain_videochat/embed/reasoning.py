"""Separating the reasoning of a model from its answer."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from langchain_videochat.embed.stop_strings import overlap


class Delimiters(NamedTuple):
    """The texts before and after the reasoning of a model."""

    start: str
    end: str

    def special_tokens(self, tokenizer: Any) -> Mapping[int, str]:
        """Return the special tokens in these texts, which tokenizers leave out when they decode, by their ids."""
        added = tokenizer.added_tokens_decoder.items()
        return {number: str(token) for number, token in added if token.special and str(token) in self.start + self.end}


THINK = Delimiters("<think>", "</think>")
"""Delimiters of most models."""

CHANNEL = Delimiters("<|channel>thought\n", "<channel|>")
"""Delimiters of Gemma 4."""


def find_delimiters(tokenizer: Any) -> Delimiters:
    """Return the delimiters of the model that a tokenizer belongs to."""
    return CHANNEL if CHANNEL.end in tokenizer.get_vocab() else THINK


class ReasoningFilter:
    """Separates the reasoning of a model from its answer, however the text is split into deltas.

    Args:
        delimiters: What the reasoning is enclosed in.
        is_inside: Whether the text starts inside it; otherwise the first delimiter at the start of the text starts it.

    Example:
        >>> reasoning = ReasoningFilter(THINK, is_inside=True)
        >>> reasoning.feed("It is red.</thi"), reasoning.feed("nk>A bus.")
        (('It is red.', ''), ('', 'A bus.'))
    """

    def __init__(self, delimiters: Delimiters, *, is_inside: bool) -> None:
        self._start, self._end = delimiters
        self._is_inside = is_inside
        self._may_start = not is_inside
        self._skips_whitespace = False
        self._held = ""

    def feed(self, text: str) -> tuple[str, str]:
        """Add text, and return the reasoning and the answer that are certain."""
        self._held += text
        if self._may_start:
            if self._start.startswith(self._held.lstrip()[: len(self._start)]) and not self._starts():
                return "", ""  # undecided until more text arrives
            self._is_inside, self._may_start = self._starts(), False
            self._held = self._held.lstrip().removeprefix(self._start) if self._is_inside else self._held
        thought = self._feed_reasoning() if self._is_inside else ""
        if self._is_inside:
            return thought, ""
        answer, self._held = self._held.lstrip() if self._skips_whitespace else self._held, ""
        self._skips_whitespace = self._skips_whitespace and not answer
        return thought, answer

    def finish(self) -> str:
        """Return the remaining text."""
        return "" if self._is_inside else self._held

    def _feed_reasoning(self) -> str:
        """Return the reasoning that is certain, and note whether it has ended."""
        thought, end, answer = self._held.partition(self._end)
        if end:
            self._is_inside, self._skips_whitespace, self._held = False, True, answer
            return thought
        held = overlap(thought, self._end)
        ready, self._held = thought[: len(thought) - held], thought[len(thought) - held :]
        return ready

    def _starts(self) -> bool:
        return self._held.lstrip().startswith(self._start)
