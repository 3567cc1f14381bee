"""Text from files, which may have any length and contain any characters."""

import unicodedata

_REPLACEMENTS = {"Cc": " ", "Zl": " ", "Zp": " ", "Cs": "\ufffd"}
"""Replacements for characters of some Unicode categories: controls, line and paragraph separators, lone surrogates."""


def plain_line(text: str, max_length: int) -> str:
    r"""Return a text as one line of limited length, without control characters.

    Example:
        >>> plain_line("Whisk\n\x1b[31mtwo eggs", 100), plain_line("Whisk two eggs", 10)
        ('Whisk  [31mtwo eggs', 'Whisk two…')
    """
    text = text.strip()
    start = "".join(_REPLACEMENTS.get(unicodedata.category(char), char) for char in text[:max_length]).strip()
    return start if len(text) <= max_length else f"{start[: max_length - 1].rstrip()}…"
