"""Splitting of text in any script into words and sentences."""

import math
import re

# Thai, Lao, Burmese, Khmer, Japanese and Chinese have no spaces between words.
_SPACELESS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")

LETTERS_PER_WORD = 2
"""Letters that count as one word in scripts without spaces."""

_EDGES = re.compile(r"^\W+|\W+$")
_SENTENCE_END = re.compile(r"(?<=[.!?…।։؟۔])[\"'”’»)\]]*\s+|(?<=[。！？])")  # noqa: RUF001 - other scripts


def split_words(text: str) -> list[str]:
    """Split a text into lower-case words, or into letters in scripts without spaces.

    Example:
        >>> split_words("First, the cat jumps."), split_words("打鸡蛋。")
        (['first', 'the', 'cat', 'jumps'], ['打', '鸡', '蛋'])
    """
    spaced = _SPACELESS.sub(r" \g<0> ", text.casefold()).split()
    return [word for part in spaced if (word := _EDGES.sub("", part))]


def count_words(text: str) -> int:
    """Count the words of a text.

    Example:
        >>> count_words("First, the cat jumps."), count_words("打鸡蛋，然后加入糖。")
        (4, 4)
    """  # noqa: RUF002 - Chinese
    letters = len(_SPACELESS.findall(text))
    return len(split_words(text)) - letters + math.ceil(letters / LETTERS_PER_WORD)


def split_sentences(text: str) -> list[str]:
    """Split a text into sentences.

    Example:
        >>> split_sentences('She says "Hello." Then she waves.')
        ['She says "Hello.', 'Then she waves.']
    """
    return [sentence for part in _SENTENCE_END.split(text) if (sentence := part.strip())]
