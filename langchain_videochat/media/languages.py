"""Languages of subtitle and audio tracks: codes and names in files."""

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iso639 import Language

MAX_CODE_LENGTH = 3
"""Letters of a language's code in ISO 639; more are a name."""

# Marks of subtitles for the hard of hearing that are codes of rare languages, too.
_REMARKS = frozenset({"sdh"})


def find_language(tag: str) -> str | None:
    """Return the language tag that a word denotes, or None if it is not a language.

    Args:
        tag: A code of ISO 639 with optional subtags, or a name in English.

    Example:
        >>> find_language("eng"), find_language("pt_BR"), find_language("English"), find_language("und")
        ('eng', 'pt-BR', 'en', None)
    """
    code, *subtags = tag.replace("_", "-").split("-")
    known = primary_language(code)
    if known is None:
        return None
    is_name = len(code) > MAX_CODE_LENGTH
    return "-".join([known if is_name else code, *subtags])


def same_language(wanted: str, tag: str) -> bool:
    """Return whether a language tag has the wanted language, and all of its subtags if it has any.

    Example:
        >>> same_language("en", "eng"), same_language("en", "en-US"), same_language("zh", "yue")
        (True, True, True)
        >>> same_language("en-GB", "en-US")
        False
    """
    wanted_code, *wanted_subtags = wanted.casefold().replace("_", "-").split("-")
    code, *subtags = tag.casefold().replace("_", "-").split("-")
    language, target = _find(code), _find(wanted_code)
    if language is None or target is None:
        return code == wanted_code
    return target.part3 in (language.part3, language.macrolanguage) and set(wanted_subtags) <= set(subtags)


def primary_language(word: str) -> str | None:
    """Return the shortest code of a language by one of its codes or its name in English; None if it is unknown.

    Example:
        >>> primary_language("fre"), primary_language("Greek"), primary_language("yue"), primary_language("draft")
        ('fr', 'el', 'yue', None)
    """
    language = _find(word.casefold())
    return (language.part1 or language.part3) if language else None


def normalize_language(tag: str | None) -> str | None:
    """Return a language tag with the shortest code of its language, as BCP 47 requires.

    Example:
        >>> normalize_language("ger"), normalize_language("pt_BR"), normalize_language(None)
        ('de', 'pt-BR', None)
    """
    if tag is None:
        return None
    code, *subtags = tag.replace("_", "-").split("-")
    return "-".join([primary_language(code) or code, *subtags])


@cache
def _find(word: str) -> "Language | None":
    from iso639 import Language, LanguageNotFoundError

    if len(word) > MAX_CODE_LENGTH:
        return _languages_by_name().get(word)
    if word in _REMARKS:
        return None
    try:
        language = Language.match(word)
    except LanguageNotFoundError:
        return None
    # ISO 639-3 has a code for almost every word of three letters.
    is_common = language.part2t is not None or language.macrolanguage is not None
    return language if is_common and language.scope != "S" else None


@cache
def _languages_by_name() -> "dict[str, Language]":
    from iso639 import ALL_LANGUAGES

    # The others have names such as "Are" and "Even".
    common = [language for language in ALL_LANGUAGES if language.part1]
    names = [(name, language) for language in common for name in (language.name, *_other_names(language))]
    # "Modern Greek (1453-)" is also "Greek, Modern (1453-)".
    return {re.split(" [(]|,", name)[0].casefold(): language for name, language in reversed(names)}


def _other_names(language: "Language") -> Iterator[str]:
    for name in language.other_names or []:
        yield from (name.print, name.inverted)
