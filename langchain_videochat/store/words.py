"""Tokenization of texts and queries for the full-text index."""

import unicodedata
from dataclasses import dataclass
from itertools import pairwise

import regex

from langchain_videochat.utils.unicode import UNSPACED, fold

MAX_QUERY_WORDS = 64
"""Maximum number of words of a query that are searched: a page of text as a query must not take seconds."""

STEM_LETTERS = 5
"""Words with the same first letters are treated as forms of one word. For inflected languages, five letters work about
as well as a stemmer (McNamee and Mayfield 2004)."""

# Korean too: its words have spaces between them, but particles are attached to them.
_SYLLABIC = rf"[{UNSPACED}\p{{Hangul}}]"
_LETTER = rf"[[^\W_]--{_SYLLABIC}]"

# Marks follow their letter, also those that Unicode's grapheme clusters leave out.
_TOKEN = regex.compile(rf"(?={_SYLLABIC})\X\p{{M}}*|{_LETTER}+", regex.VERSION1)
_RUN = regex.compile(rf"{_SYLLABIC}+", regex.VERSION1)
_WORD = regex.compile(rf"{_LETTER}+(?:[-_'’.,:/@+&#=]+{_LETTER}+)*", regex.VERSION1)  # noqa: RUF001 - typographic apostrophe
_CODE = regex.compile(r"\d|\w[_./:+@#=]\w|\p{Lu}.*\p{Lu}")
_STEM = regex.compile(rf"\X{{1,{STEM_LETTERS}}}")
_IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}")


@dataclass(frozen=True)
class QueryWord:
    """A word of a query, or two adjacent letters of a script without spaces."""

    text: str
    """The word as it is searched: one or several tokens of `index_text`, separated by spaces."""

    is_code: bool
    """Whether it is a code, a number or an acronym, which a search matches exactly."""

    @property
    def phrase(self) -> str:
        """The word as an FTS5 phrase: `AX-4471` matches `AX` followed by `4471`; `eggs` also matches other forms."""
        return f'text : "{self.text}"' if self.is_code else f'stems : "{stems(self.text)}"'


def index_text(text: str) -> str:
    """Return the tokens of a text, separated by spaces: folded words; of scripts without spaces, single letters.

    A letter includes its marks (it is a grapheme cluster), so that no vowel sign is separated from its consonant.

    Example:
        >>> index_text("Where's the AX-4471?"), index_text("打鸡蛋 No⁷"), index_text("चाबी"), index_text("ไข่")
        ('where s the ax 4471', '打 鸡 蛋 no7', 'चाबी', 'ไ ข่')
    """
    return " ".join(_TOKEN.findall(fold(text)))


def stems(words: str) -> str:
    """Return the beginnings of words, by which their forms are found; numbers are kept whole.

    Args:
        words: Tokens of `index_text`.

    Example:
        >>> stems("the tomatoes weigh 123456 g"), stems("स्कूटर")
        ('the tomat weigh 123456 g', 'स्कूटर')
    """
    return " ".join(one if any(map(str.isdigit, one)) else next(_STEM.finditer(one))[0] for one in words.split())


def query_words(query: str) -> list[QueryWord]:
    """Split a query into distinct words.

    Example:
        >>> [word.text for word in query_words("Where's the AX-4471?")]
        ['where', 's', 'the', 'ax 4471']
        >>> [word.text for word in query_words("打鸡蛋")]
        ['打 鸡', '鸡 蛋']
        >>> [word.text for word in query_words("What does Ada say about AX-4471 and NASA?") if word.is_code]
        ['ax 4471', 'nasa']
    """
    text = _IGNORABLE.sub("", unicodedata.normalize("NFKC", query))
    if text.isupper():
        text = text.lower()  # Its capitals do not distinguish acronyms.
    found = [word for one in _WORD.findall(text) for word in _split(one)]
    found += [QueryWord(pair, is_code=False) for run in _RUN.findall(text) for pair in _pairs(index_text(run).split())]
    return list({word.text: word for word in found if word.text}.values())[:MAX_QUERY_WORDS]


def _split(word: str) -> list[QueryWord]:
    if _CODE.search(word):
        return [QueryWord(index_text(word), is_code=True)]
    return [QueryWord(one, is_code=False) for one in index_text(word).split()]


def _pairs(letters: list[str]) -> list[str]:
    return [f"{left} {right}" for left, right in pairwise(letters)] or letters
