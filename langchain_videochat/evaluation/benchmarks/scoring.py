"""Parsing of the option that an answer names. An answer that names no option, or several, counts as wrong."""

import re
from collections.abc import Iterator, Sequence
from string import ascii_uppercase

_VERDICT = re.compile(
    r"\b(?i:answer|option|choice)\b(?i:\s+is)?[\s:=*\"']*"
    r"(?:[(\[]([a-zA-Z])[)\]]|([A-Z])(?=[ \t]*(?:$|[^\w\s'\u2019]|(?:is|because|since|as)\b)))",
    re.MULTILINE,
)
"""A letter that is called the answer, as in "The answer is B." or "Best option: (b)", but not in "is A man"."""

_MARKED = re.compile(r"\(([a-zA-Z])\)|^[\W_]*([a-zA-Z])[):](?!\w)|^[\W_]*([A-Z])\.(?!\w)", re.MULTILINE)
"""A letter formatted as an option: "(B)" anywhere, "B)", "B:" or "B." at the start of a line."""

_ALONE = re.compile(r"[\W_]*([a-zA-Z])[\W_]*")
"""A text that is a single letter."""


def parse_option(text: str, candidates: Sequence[str]) -> int | None:
    """Return the index of the option that an answer names, by its letter or else by its text.

    Args:
        text: The model's output.
        candidates: Texts of the options.

    Returns:
        Index of the option; None if the answer is empty, or names no option or several.

    Example:
        >>> parse_option("Best option: (B) He took the box.", ["Ate the medicine.", "Took the box."])
        1
        >>> parse_option("He ate the medicine", ["Ate the medicine.", "Took the box."])
        0
        >>> parse_option("", ["Ate the medicine.", "Took the box."]) is None
        True
    """
    for named in _interpretations(text, candidates):
        if named:
            # Options with the same text count as one option.
            texts = {candidates[index] if index < len(candidates) else None for index in named}
            return min(named) if len(texts) == 1 and None not in texts else None
    return None


def _interpretations(text: str, candidates: Sequence[str]) -> Iterator[set[int]]:
    """Yield the options that each interpretation of an answer names, the most reliable interpretation first."""
    whole = _normalize(text)
    equal = {index for index, candidate in enumerate(candidates) if whole and _normalize(candidate) == whole}
    yield equal | _to_indices(match[1] for match in [_ALONE.fullmatch(text)] if match)
    yield _to_indices(match[1] or match[2] for match in _VERDICT.finditer(text))
    yield _to_indices(match[1] or match[2] or match[3] for match in _MARKED.finditer(text))
    yield _contained(_words(text), [_words(candidate) for candidate in candidates])


def _to_indices(letters: Iterator[str]) -> set[int]:
    return {ascii_uppercase.index(letter.upper()) for letter in letters}


def _contained(answer: str, texts: Sequence[str]) -> set[int]:
    """Return the options whose texts an answer contains, except as parts of longer options."""
    for words in sorted(filter(None, texts), key=len, reverse=True):
        answer = f" {answer} ".replace(f" {words} ", f" \0{words.replace(' ', '_')}\0 ").strip()
    return {index for index, words in enumerate(texts) if words and f"\0{words.replace(' ', '_')}\0" in answer}


def _normalize(text: str) -> str:
    return text.strip(" .\n").lower()


def _words(text: str) -> str:
    """Return a text in lower case with single spaces between words and no punctuation."""
    return " ".join(re.findall(r"\w+(?:['\u2019.]\w+)*", text.lower()))
