"""Moments as numbered notes, within a number of tokens."""

import logging
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any

from langchain_core.documents import Document
from langchain_core.language_models import BaseLanguageModel

from langchain_videochat.text.citations import times_of
from langchain_videochat.text.prompts import mark_as_data

logger = logging.getLogger(__name__)

Count = Callable[[str], int]
"""Counts the tokens of a text."""

BYTES_PER_TOKEN = 3
"""Bytes of UTF-8 that count as a token where a model has no counter of its own. English prose has four, times and
on-screen text fewer, other scripts about three: rather a token too many than a prompt that is cut off."""

SHARE = 4
"""A condensed note takes at most one part in so many of a prompt, so that each round leaves fewer notes."""

ELLIPSIS = " …"
"""Shows that a text goes on."""


class TokenCounter:
    """Counts tokens as a model does, if it can without fetching anything, else by the bytes of a text.

    Args:
        llm: The model.
    """

    def __init__(self, llm: Any) -> None:
        self._llm = llm

    def __call__(self, text: str) -> int:
        """Count the tokens of a text."""
        return self._count(text)

    @cached_property
    def _count(self) -> Count:
        if not _has_counter(self._llm):
            return approximate_tokens
        try:
            self._llm.get_num_tokens("")
        except Exception as error:  # whatever a tokenizer raises that cannot be fetched
            logger.debug("Tokens are counted approximately, because the model cannot count them: %s", error)
            return approximate_tokens
        return self._llm.get_num_tokens  # type: ignore[no-any-return]


def approximate_tokens(text: str) -> int:
    """Guess how many tokens a text has, in any script.

    Example:
        >>> approximate_tokens("Whisk two eggs"), approximate_tokens("打鸡蛋")
        (5, 3)
    """
    return ceil(len(text.encode(errors="replace")) / BYTES_PER_TOKEN)


def _has_counter(llm: Any) -> bool:
    # The one that langchain-core falls back to fetches GPT-2's vocabulary.
    return isinstance(llm, BaseLanguageModel) and (
        llm.custom_get_token_ids is not None
        or type(llm).get_token_ids is not BaseLanguageModel.get_token_ids
        or type(llm).get_num_tokens is not BaseLanguageModel.get_num_tokens
    )


@dataclass(frozen=True)
class Note:
    """A piece of what a model is given to read."""

    text: str
    """What was perceived, marked as data, under a heading if it is a moment."""

    numbers: tuple[int, ...]
    """The numbers of the moments that it lets the model cite."""


def moment_note(number: int, document: Document) -> Note:
    r"""Write a moment for a model.

    Example:
        >>> moment = Document("Eggs\nOn screen: Whisk", metadata={"start": 7.0, "end": 12.5})
        >>> print(moment_note(1, moment).text)
        [1] 00:07-00:12
        <video_notes>
        Eggs
        On screen: Whisk
        </video_notes>
    """
    return Note(f"[{number}] {times_of(document)}\n{mark_as_data(document.page_content)}", (number,))


def join_notes(notes: Iterable[Note]) -> str:
    """Write notes one below the other."""
    return "".join(map(_spaced, notes)).rstrip()


def fit(documents: Sequence[Document], max_tokens: int, count: Count) -> list[Document]:
    """Keep the most relevant moments that fit into a number of tokens.

    Args:
        documents: Moments, the most relevant first.
        max_tokens: How many tokens they may take as notes.
        count: Counts tokens.

    Returns:
        The first of the moments; the text of the last is cut if it did not fit whole.
    """
    kept: list[Document] = []
    room = max_tokens
    for document in documents:
        shorter = cut(document, len(documents), room, count)
        if shorter is None:
            break
        kept.append(shorter)
        room -= _cost(shorter, len(documents), count)
    return kept


def cut(document: Document, number: int, max_tokens: int, count: Count) -> Document | None:
    """Cut a moment's text so that its note fits into a number of tokens.

    Args:
        document: The moment.
        number: Its number, or a higher one.
        max_tokens: How many tokens the note may take.
        count: Counts tokens.

    Returns:
        The same Document if it fits; None if there is no room for more than its title.
    """

    def with_text(text: str) -> Document:
        return Document(page_content=text, metadata=document.metadata)

    text = longest_start(document.page_content, lambda text: _cost(with_text(text), number, count) <= max_tokens)
    if text == document.page_content:
        return document
    title = document.page_content.partition("\n")[0]
    return with_text(text) if len(text) > len(f"{title}\n{ELLIPSIS}") else None


def longest_start(text: str, fits: Callable[[str], bool]) -> str:
    """Cut a text at its end so far that it fits; empty if nothing of it does.

    Example:
        >>> longest_start("Whisk two eggs", lambda text: len(text) <= 12)
        'Whisk two …'
    """
    if fits(text):
        return text
    length = bisect_left(range(len(text)), True, key=lambda size: not fits(_shorten(text, size))) - 1
    return _shorten(text, length) if length > 0 else ""


def shorten_condensed(text: str, max_tokens: int, count: Count) -> str:
    """Cut what a model condensed to its share of a prompt, so that each round leaves fewer parts, whatever it wrote."""
    return longest_start(text, lambda start: count(mark_as_data(start)) <= max_tokens // SHARE)


def group(notes: Iterable[Note], max_tokens: int, count: Count) -> list[list[Note]]:
    """Cut a row of notes into groups, none of which takes more than a number of tokens if no single note does."""
    groups: list[list[Note]] = []
    room = 0
    for note in notes:
        cost = count(_spaced(note))
        if not groups or cost > room:
            groups.append([])
            room = max_tokens
        groups[-1].append(note)
        room -= cost
    return groups


def _cost(document: Document, number: int, count: Count) -> int:
    return count(_spaced(moment_note(number, document)))


def _spaced(note: Note) -> str:
    return f"{note.text}\n\n"


def _shorten(text: str, length: int) -> str:
    return f"{text[:length].rstrip()}{ELLIPSIS}"
