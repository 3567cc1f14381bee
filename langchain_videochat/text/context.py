"""Moments as numbered notes, within a token budget."""

import logging
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import ceil
from typing import Any

from langchain_core.documents import Document
from langchain_core.language_models import BaseLanguageModel

from langchain_videochat.text.citations import format_times
from langchain_videochat.utils.untrusted_text import mark_as_data

logger = logging.getLogger(__name__)

CountTokens = Callable[[str], int]
"""Counts the tokens of a text."""

BYTES_PER_TOKEN = 3
"""Bytes of UTF-8 per token, for models without a tokenizer. English prose has four, other scripts about three, times
and on-screen text fewer: better to count a token too many than to overflow the context."""

CONDENSED_SHARE = 4
"""A condensed note takes at most this fraction (1/4) of a prompt, so that each round leaves fewer notes."""

ELLIPSIS = " …"
"""Marks truncated text."""

_mark_as_data = lru_cache(maxsize=64)(mark_as_data)
"""The text of a moment is marked once to count its tokens, and again for the prompt."""


class TokenCounter:
    """Counts tokens with a model's tokenizer if that needs no download, else estimates them from the size in bytes."""

    def __init__(self, llm: Any) -> None:
        self._llm = llm

    def __call__(self, text: str) -> int:
        """Return the number of tokens in a text."""
        return self._count(text)

    @cached_property
    def _count(self) -> CountTokens:
        if not _has_tokenizer(self._llm):
            return approximate_tokens
        try:
            self._llm.get_num_tokens("")
        except Exception as error:  # loading a tokenizer can fail in any way
            logger.debug("Estimating token counts, because the model's tokenizer failed: %s", error)
            return approximate_tokens
        return self._llm.get_num_tokens  # type: ignore[no-any-return]


def approximate_tokens(text: str) -> int:
    """Estimate the number of tokens in a text of any script.

    Example:
        >>> approximate_tokens("Whisk two eggs"), approximate_tokens("打鸡蛋")
        (5, 3)
    """
    return ceil(len(text.encode(errors="replace")) / BYTES_PER_TOKEN)


def _has_tokenizer(llm: Any) -> bool:
    # langchain-core's default downloads GPT-2's vocabulary.
    return isinstance(llm, BaseLanguageModel) and (
        llm.custom_get_token_ids is not None
        or type(llm).get_token_ids is not BaseLanguageModel.get_token_ids
        or type(llm).get_num_tokens is not BaseLanguageModel.get_num_tokens
    )


@dataclass(frozen=True)
class Note:
    """A note for a language model to read: a moment, or condensed moments."""

    text: str
    """Text marked as data; a moment has a heading."""

    numbers: tuple[int, ...]
    """Numbers of the moments that the note allows the model to cite."""


def moment_note(number: int, document: Document) -> Note:
    r"""Format a moment as a note.

    Example:
        >>> moment = Document("Eggs\nOn screen: Whisk", metadata={"start": 7.0, "end": 12.5})
        >>> print(moment_note(1, moment).text)
        [1] 00:07-00:12
        <video_notes>
        Eggs
        On screen: Whisk
        </video_notes>
    """
    return Note(f"[{number}] {format_times(document)}\n{_mark_as_data(document.page_content)}", (number,))


def join_notes(notes: Iterable[Note]) -> str:
    """Join notes with blank lines."""
    return "".join(map(_with_gap, notes)).rstrip()


def select_fitting(documents: Sequence[Document], max_tokens: int, count_tokens: CountTokens) -> list[Document]:
    """Return the first moments whose notes fit into a token budget; the last one may be truncated.

    Moments whose title alone exceeds the budget are skipped at the start.
    """
    selected: list[Document] = []
    remaining = max_tokens
    for document in documents:
        cost = _cost(document, len(documents), count_tokens)
        if cost <= remaining:
            selected.append(document)
            remaining -= cost
            continue
        truncated = truncate_moment(document, len(documents), remaining, count_tokens)
        if truncated is not None:
            return [*selected, truncated]
        if selected:
            break
        # Its title is too long, but that of another video may not be.
    return selected


def truncate_moment(document: Document, number: int, max_tokens: int, count_tokens: CountTokens) -> Document | None:
    """Truncate a moment so that its note with `number`, or a smaller number, fits into a token budget.

    Returns:
        The same Document if it fits; None if only its title would.
    """

    def with_text(text: str) -> Document:
        return Document(page_content=text, metadata=document.metadata, id=document.id)

    text = truncate_to_fit(
        document.page_content, lambda text: _cost(with_text(text), number, count_tokens) <= max_tokens
    )
    if text == document.page_content:
        return document
    title = document.page_content.partition("\n")[0]
    return with_text(text) if len(text) > len(f"{title}\n{ELLIPSIS}") else None


def truncate_to_fit(text: str, fits: Callable[[str], bool]) -> str:
    """Return the longest start of a text that fits; empty if none does.

    Example:
        >>> truncate_to_fit("Whisk two eggs", lambda text: len(text) <= 12)
        'Whisk two …'
    """
    if fits(text):
        return text
    length = bisect_left(range(len(text)), True, key=lambda size: not fits(_truncate(text, size))) - 1
    return _truncate(text, length) if length > 0 else ""


def truncate_condensed(text: str, max_tokens: int, count_tokens: CountTokens) -> str:
    """Truncate a model's condensed text to its share of a prompt, so that condensing ends whatever the model writes."""
    return truncate_to_fit(text, lambda start: count_tokens(mark_as_data(start)) <= max_tokens // CONDENSED_SHARE)


def group_notes(notes: Iterable[Note], max_tokens: int, count_tokens: CountTokens) -> list[list[Note]]:
    """Split notes into consecutive groups within a token budget; a note that exceeds it makes its own group."""
    groups: list[list[Note]] = []
    remaining = 0
    for note in notes:
        cost = count_tokens(_with_gap(note))
        if not groups or cost > remaining:
            groups.append([])
            remaining = max_tokens
        groups[-1].append(note)
        remaining -= cost
    return groups


def _cost(document: Document, number: int, count_tokens: CountTokens) -> int:
    return count_tokens(_with_gap(moment_note(number, document)))


def _with_gap(note: Note) -> str:
    return f"{note.text}\n\n"


def _truncate(text: str, length: int) -> str:
    return f"{text[:length].rstrip()}{ELLIPSIS}"
