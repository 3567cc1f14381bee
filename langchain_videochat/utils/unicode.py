r"""Words of any script, by Unicode's rules.

Python's `re` does not count combining marks as part of a word: its `\w+` cuts Hindi words at every vowel sign. Patterns
for words of any language use the package `regex`, whose `\w` follows Unicode (UTS 18).
"""

import unicodedata

import regex

# Line_Break=SA: scripts of South East Asia in which only a dictionary finds the places where a line may break.
UNSPACED = r"[[\p{scx=Han}\p{Bopomofo}\p{Hiragana}\p{scx=Katakana}\p{Line_Break=SA}]&&\w]"
"""A set for patterns of `regex` (version 1) with the letters and marks of scripts that put no spaces between words:
Chinese, Japanese, Thai, Lao, Khmer, Burmese."""

# Vowels of Arabic, Hebrew and Syriac are mostly omitted, and many people type without accents. In other scripts, such
# as Devanagari, vowel signs are letters. Tatweel only stretches a word.
_IGNORED = regex.compile(
    r"[\p{Default_Ignorable_Code_Point}\u0640]"
    r"|(?<=[\p{Latin}\p{Greek}\p{Arabic}\p{Hebrew}\p{Syriac}\u0640])\p{M}+"
    # Stress marks, and the dots of ё; but й, ї, ў, ѓ and ќ are letters.
    r"|(?<=[\p{Cyrillic}--[гк]])\u0301|(?<=е)\u0308",  # noqa: RUF001 - Cyrillic
    regex.VERSION1,
)
_OTHER_DIGIT = regex.compile(r"[\p{Nd}--[0-9]]", regex.VERSION1)

# Letters that differ from those that people type instead, though not by a mark that Unicode can split off.
_TYPED_AS = str.maketrans("ıłøđħىیکة", "ilodhييكه") | {ord("æ"): "ae", ord("œ"): "oe"}  # noqa: RUF001


def fold(text: str) -> str:
    """Return a text in the form in which words are compared: without case, accents, optional vowels and variants.

    Example:
        >>> fold("Straße İki ＡＸ"), fold("Ещё мой"), fold("مِفْتَاحٌ ٣"), fold("चाबी")
        ('strasse iki ax', 'еще мой', 'مفتاح 3', 'चाबी')
    """  # noqa: RUF002 - full-width letters
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    composed = unicodedata.normalize("NFC", _IGNORED.sub("", decomposed))
    return ascii_digits(composed.translate(_TYPED_AS))


def ascii_digits(text: str) -> str:
    """Replace the decimal digits of other scripts by 0 to 9, one character each.

    Example:
        >>> ascii_digits("०१:३० / ٤٥")
        '01:30 / 45'
    """
    # The Unicode version of Python may be older than that of regex.
    return _OTHER_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0], digit[0])), text)
