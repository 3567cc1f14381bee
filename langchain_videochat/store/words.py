"""Tokenization of texts and queries for the full-text index."""

import re
import unicodedata
from dataclasses import dataclass
from itertools import pairwise

MAX_QUERY_WORDS = 64
"""Maximum number of words of a query that are searched: a page of text as a query must not take seconds."""

# Scripts without spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese; and Korean, whose particles are
# attached to words.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_CHARACTER = re.compile(f"([{_UNSPACED}])")
_RUN = re.compile(f"[{_UNSPACED}]+")
_WORD = re.compile(r"\w+(?:[-'’.,:/@+&#=]+\w+)*")  # noqa: RUF001 - typographic apostrophe
_CODE = re.compile(r"\d|\w[-_./:+@#]\w|[A-Z].*[A-Z]")


@dataclass(frozen=True)
class QueryWord:
    """A word of a query, or two adjacent characters of a script without spaces."""

    text: str
    """The word as it is searched."""

    is_name: bool
    """Whether it looks like a code, a number or a name, which must match exactly."""

    @property
    def phrase(self) -> str:
        """The word as an FTS5 phrase: `AX-4471` matches `AX` followed by `4471`."""
        return f'"{self.text}"'


def index_text(text: str) -> str:
    """Normalize a text for the index: apply NFKC and split unspaced scripts into characters.

    Example:
        >>> index_text("打鸡蛋 No⁷")
        ' 打  鸡  蛋  No7'
    """
    return _CHARACTER.sub(r" \1 ", unicodedata.normalize("NFKC", text))


def query_words(query: str) -> list[QueryWord]:
    """Split a query into distinct words.

    Example:
        >>> [word.text for word in query_words("Where's the AX-4471?")]
        ["Where's", 'the', 'AX-4471']
        >>> [word.text for word in query_words("打鸡蛋")]
        ['打 鸡', '鸡 蛋']
        >>> [word.text for word in query_words("what does Ada say about AX-4471") if word.is_name]
        ['Ada', 'AX-4471']
    """
    text = unicodedata.normalize("NFKC", query)
    words = _WORD.findall(_RUN.sub(" ", text))
    found = {word.lower(): QueryWord(word, _is_name(word, first=word == words[0])) for word in words}
    pairs = [pair for run in _RUN.findall(text) for pair in _pairs(run)]
    found.update({pair: QueryWord(pair, is_name=False) for pair in pairs})
    return list(found.values())[:MAX_QUERY_WORDS]


def _is_name(word: str, *, first: bool) -> bool:
    return bool(_CODE.search(word)) or (word[0].isupper() and not first)


def _pairs(run: str) -> list[str]:
    return [f"{left} {right}" for left, right in pairwise(run)] or [run]
