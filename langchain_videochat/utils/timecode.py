"""Timecodes: times as people read and write them."""

import re

from langchain_videochat.errors import InputError

_TIMECODE = re.compile(r"(?:(?:(\d{1,4}):)?([0-5]?\d):)?(\d{1,9}(?:\.\d+)?)")


def format_timecode(seconds: float) -> str:
    """Format a time as video players show it.

    Args:
        seconds: Seconds from the start of the video.

    Returns:
        `mm:ss`, or `h:mm:ss` from one hour on, rounded down to whole seconds.

    Example:
        >>> format_timecode(67.9), format_timecode(3723)
        ('01:07', '1:02:03')
    """
    minutes, second = divmod(int(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02d}:{second:02d}" if hour else f"{minute:02d}:{second:02d}"


def format_seconds(seconds: float) -> str:
    """Format seconds with at most three decimals and without trailing zeros.

    Example:
        >>> format_seconds(3600.25), format_seconds(12.0)
        ('3600.25', '12')
    """
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def parse_timecode(text: str) -> float:
    """Parse a time written as seconds, `mm:ss` or `h:mm:ss`, each with optional decimals.

    Returns:
        Seconds.

    Raises:
        InputError: The text has none of these forms.

    Example:
        >>> parse_timecode("7.5"), parse_timecode("01:07"), parse_timecode("1:02:03")
        (7.5, 67.0, 3723.0)
    """
    parts = _TIMECODE.fullmatch(text.strip())
    if parts is None or (parts[2] is not None and float(parts[3]) >= 60):  # noqa: PLR2004 - a minute
        raise InputError("time", f"{text!r} is not a valid time", "Write seconds, mm:ss or h:mm:ss")
    return float(parts[1] or 0) * 3600 + float(parts[2] or 0) * 60 + float(parts[3])
