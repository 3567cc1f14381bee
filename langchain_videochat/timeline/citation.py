"""Citations: URLs of intervals of a video, which browsers can play."""

from pathlib import Path

from langchain_videochat.media.sources import is_remote_address
from langchain_videochat.utils.timecode import format_seconds


def source_uri(source: str) -> str:
    """Return the `file:` URL of a path; a URL is returned unchanged, and an empty source stays empty.

    Example:
        >>> source_uri("/films/a b.mp4"), source_uri("https://example.org/a.mp4")
        ('file:///films/a%20b.mp4', 'https://example.org/a.mp4')
    """
    if not source:
        return ""
    is_url = is_remote_address(source) or source.lower().startswith("file:")
    return source if is_url else Path(source).absolute().as_uri()


def citation(source: str, start: float, end: float) -> str:
    """Return the URL of an interval of a video, with a W3C media fragment.

    Args:
        source: Path or URL of the video.
        start: Seconds from the start of the video.
        end: Seconds from the start of the video. Left out if it equals `start`: a fragment must not be empty.

    Example:
        >>> citation("/films/yoga.mp4", 3, 7)
        'file:///films/yoga.mp4#t=3,7'
    """
    first, last = format_seconds(start), format_seconds(end)
    return f"{source_uri(source)}#t={first}" + (f",{last}" if last != first else "")
