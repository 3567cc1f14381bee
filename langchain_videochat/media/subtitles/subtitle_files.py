"""Subtitle files: SubRip, WebVTT and SubStation Alpha, whatever their suffix says."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from langchain_videochat.media.damage import Damage
from langchain_videochat.media.subtitles.cue_tracks import CueTrack
from langchain_videochat.media.subtitles.cues import ParsedCue, Problems
from langchain_videochat.media.subtitles.subrip import parse_subrip
from langchain_videochat.media.subtitles.substation import is_substation, parse_substation
from langchain_videochat.media.subtitles.subtitle_text import decode_text, encoding_remarks, find_encoding
from langchain_videochat.media.subtitles.webvtt import is_webvtt, parse_webvtt
from langchain_videochat.utils.plain_text import plain_line

MAX_BYTES = 16 * 1024**2
"""Maximum size of a subtitle file: ten times that of a day of subtitles."""

MAX_NAME_LENGTH = 255
"""Maximum number of characters in the name of a file on common file systems."""


def read_subtitle_file(file: Path, language: str | None = None, encoding: str | None = None) -> CueTrack:
    """Read a subtitle file. The result is cached until the file changes.

    Args:
        file: The file.
        language: The language of the subtitles.
        encoding: The encoding; detected if None.

    Returns:
        Its cues; none if the file cannot be read, with the reason as damage.
    """
    name = plain_line(file.name, MAX_NAME_LENGTH)
    try:
        status = file.stat()
        if status.st_size > MAX_BYTES:
            raise ValueError(f"{status.st_size:,} bytes are over the limit of {MAX_BYTES:,}")
        return _read(file, language, encoding, status.st_size, status.st_mtime_ns)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        return CueTrack(name, language, damage=(Damage("subtitle", f"{name}: cannot be read ({reason})"),))


@lru_cache(maxsize=8)
def _read(file: Path, language: str | None, encoding: str | None, size: int, modified: int) -> CueTrack:
    data = file.read_bytes()
    chosen = encoding or find_encoding(data)
    text, replaced = decode_text(data, chosen)
    problems = Problems()
    cues = list(_parse(text, problems))
    if text.strip() and not cues and not problems and not is_webvtt(text):
        raise ValueError("no subtitles found")
    remarks = encoding_remarks(chosen, replaced, is_guess=encoding is None)
    return CueTrack.of(plain_line(file.name, MAX_NAME_LENGTH), language, cues, problems, remarks)


def _parse(text: str, problems: Problems) -> Iterator[ParsedCue]:
    if is_webvtt(text):
        return parse_webvtt(text, problems)
    if is_substation(text):
        return parse_substation(text, problems)
    return parse_subrip(text, problems)
