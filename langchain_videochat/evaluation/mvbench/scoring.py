"""Which option an answer names. An answer that names none, or several, is right in no case."""

import re
from collections.abc import Iterator, Sequence
from string import ascii_uppercase

_VERDICT = re.compile(
    r"\b(?i:answer|option|choice)\b(?i:\s+is)?[\s:=*\"']*"
    r"(?:[(\[]([a-zA-Z])[)\]]|([A-Z])(?=[ \t]*(?:$|[^\w\s'\u2019]|(?:is|because|since|as)\b)))",
    re.MULTILINE,
)
"""An option that is called the answer, as in "The answer is B." or "Best option: (b)", but not in "is A man"."""

_MARKED = re.compile(r"\(([a-zA-Z])\)|^[\W_]*([a-zA-Z])[):](?!\w)|^[\W_]*([A-Z])\.(?!\w)", re.MULTILINE)
"""A letter that is written as one of an option: "(B)" anywhere, "B)", "B:" or "B." at the start of a line."""

_ALONE = re.compile(r"[\W_]*([a-zA-Z])[\W_]*")
"""Nothing but a letter."""


def read_option(text: str, candidates: Sequence[str]) -> int | None:
    """Tell which option an answer names, by its letter or else by its text.

    Args:
        text: What the model wrote.
        candidates: The options' texts.

    Returns:
        The option's place, from 0; None where the answer is empty, or names no option or several.

    Example:
        >>> read_option("Best option: (B) He took the box.", ["Ate the medicine.", "Took the box."])
        1
        >>> read_option("He ate the medicine", ["Ate the medicine.", "Took the box."])
        0
        >>> read_option("", ["Ate the medicine.", "Took the box."]) is None
        True
    """
    for named in _readings(text, candidates):
        if named:
            # Options of the same text are one option.
            texts = {candidates[place] if place < len(candidates) else None for place in named}
            return min(named) if len(texts) == 1 and None not in texts else None
    return None


def _readings(text: str, candidates: Sequence[str]) -> Iterator[set[int]]:
    """Yield the options that an answer names, read in one way after another, the surest first."""
    whole = _bare(text)
    equal = {place for place, candidate in enumerate(candidates) if whole and _bare(candidate) == whole}
    yield equal | _letters(match[1] for match in [_ALONE.fullmatch(text)] if match)
    yield _letters(match[1] or match[2] for match in _VERDICT.finditer(text))
    yield _letters(match[1] or match[2] or match[3] for match in _MARKED.finditer(text))
    yield _contained(_words(text), [_words(candidate) for candidate in candidates])


def _letters(letters: Iterator[str]) -> set[int]:
    return {ascii_uppercase.index(letter.upper()) for letter in letters}


def _contained(said: str, texts: Sequence[str]) -> set[int]:
    """Find the options whose text stands in an answer, but for those that are only a part of a longer one's."""
    for words in sorted(filter(None, texts), key=len, reverse=True):
        said = f" {said} ".replace(f" {words} ", f" \0{words.replace(' ', '_')}\0 ").strip()
    return {place for place, words in enumerate(texts) if words and f"\0{words.replace(' ', '_')}\0" in said}


def _bare(text: str) -> str:
    return text.strip(" .\n").lower()


def _words(text: str) -> str:
    """Write a text in small letters, with a blank between words and nothing else."""
    return " ".join(re.findall(r"\w+(?:['\u2019.]\w+)*", text.lower()))
