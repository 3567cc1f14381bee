"""Times as people read and write them."""

import re

from langchain_videochat.errors import InputError

_CLOCK = re.compile(r"(?:(?:(\d{1,4}):)?([0-5]?\d):)?(\d{1,9}(?:\.\d+)?)")


def format_timecode(seconds: float) -> str:
    """Write a time as people read it on a player.

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
    """Write seconds with as many decimals as they have, three at most.

    Example:
        >>> format_seconds(3600.25), format_seconds(12.0)
        ('3600.25', '12')
    """
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def parse_timecode(text: str) -> float:
    """Read a time that people write: seconds, `mm:ss` or `h:mm:ss`, each with decimals or without.

    Returns:
        Seconds.

    Raises:
        InputError: The text is no such time.

    Example:
        >>> parse_timecode("7.5"), parse_timecode("01:07"), parse_timecode("1:02:03")
        (7.5, 67.0, 3723.0)
    """
    parts = _CLOCK.fullmatch(text.strip())
    if parts is None or (parts[2] is not None and float(parts[3]) >= 60):  # noqa: PLR2004 - a minute
        raise InputError("time", f"{text!r} is no time", "Write seconds, mm:ss or h:mm:ss")
    return float(parts[1] or 0) * 3600 + float(parts[2] or 0) * 60 + float(parts[3])
