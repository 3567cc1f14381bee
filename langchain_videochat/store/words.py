"""The words of a text, as the full-text index sees them, and the words of a query that matter."""

import re
import unicodedata
from dataclasses import dataclass
from itertools import pairwise

MAX_QUERY_WORDS = 64
"""Words of a query that are looked up: a whole page as a query must not take seconds."""

# Scripts that put no spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese; and Korean, whose particles
# stick to its words.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_CHARACTER = re.compile(f"([{_UNSPACED}])")
_RUN = re.compile(f"[{_UNSPACED}]+")
_WORD = re.compile(r"\w+(?:[-'’.,:/@+&#=]+\w+)*")  # noqa: RUF001 - the apostrophe of print
_CODE = re.compile(r"\d|\w[-_./:+@#]\w|[A-Z].*[A-Z]")


@dataclass(frozen=True)
class QueryWord:
    """A word of a query, or two neighbouring characters of a script without spaces."""

    text: str
    """The word, as it is looked up."""

    named: bool
    """It looks like a code, a number or a name, which is meant as it is spelled."""

    @property
    def phrase(self) -> str:
        """The word as a phrase of FTS5: `AX-4471` finds `AX` followed by `4471`."""
        return f'"{self.text}"'


def index_text(text: str) -> str:
    """Prepare a text for the index: compatibility forms made equal, unspaced scripts cut into characters.

    Example:
        >>> index_text("打鸡蛋 No⁷")
        ' 打  鸡  蛋  No7'
    """
    return _CHARACTER.sub(r" \1 ", unicodedata.normalize("NFKC", text))


def query_words(query: str) -> list[QueryWord]:
    """Take a query apart into the different words to look for.

    Example:
        >>> [word.text for word in query_words("Where's the AX-4471?")]
        ["Where's", 'the', 'AX-4471']
        >>> [word.text for word in query_words("打鸡蛋")]
        ['打 鸡', '鸡 蛋']
        >>> [word.text for word in query_words("what does Ada say about AX-4471") if word.named]
        ['Ada', 'AX-4471']
    """
    text = unicodedata.normalize("NFKC", query)
    words = _WORD.findall(_RUN.sub(" ", text))
    found = {word.lower(): QueryWord(word, _is_named(word, first=word == words[0])) for word in words}
    pairs = [pair for run in _RUN.findall(text) for pair in _pairs(run)]
    found.update({pair: QueryWord(pair, named=False) for pair in pairs})
    return list(found.values())[:MAX_QUERY_WORDS]


def _is_named(word: str, *, first: bool) -> bool:
    return bool(_CODE.search(word)) or (word[0].isupper() and not first)


def _pairs(run: str) -> list[str]:
    return [f"{left} {right}" for left, right in pairwise(run)] or [run]
