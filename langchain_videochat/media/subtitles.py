"""Subtitles of a video: embedded text tracks and sidecar files."""

import html
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle

from langchain_videochat.media.container import open_container
from langchain_videochat.media.packets import demux, index_packets
from langchain_videochat.media.sources import local_path
from langchain_videochat.utils.interval import Interval

logger = logging.getLogger(__name__)

SIDECAR_SUFFIXES = (".ass", ".srt", ".ssa", ".vtt")
MAX_SIDECAR_BYTES = 16 * 1024**2

# Between the video's name and the suffix: nothing, or a language and perhaps a remark, as in "talk.pt-BR.forced.srt".
_SIDECAR_TAGS = re.compile(r"(?:\.(?P<language>[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*)(?:\.\w+)?)?")
_WEBVTT_TIME_TAG = re.compile(r"<[\d:.]+>")


@dataclass(frozen=True)
class Cue:
    """A subtitle and the time it is displayed."""

    start: float
    """Seconds from the first frame of the video."""

    end: float
    """Seconds from the first frame of the video."""

    text: str
    """Text on one line, without formatting."""

    language: str | None
    """Language tag of the track or in the file's name, for example "en" or "eng"; None if unknown."""

    track: str
    """Origin: the name of the sidecar file, or "track 2" of the video itself."""


def read_subtitles(source: str | Path, start: float | None = None, end: float | None = None) -> list[Cue]:
    """Read the text subtitles of a video, from the file itself and from sidecar files.

    Sidecar files are `<name of the video>.srt`, `.vtt`, `.ass` or `.ssa`, optionally with a language as in
    `talk.en.srt`; unreadable ones are skipped with a warning. Tracks of pictures are skipped, too.

    Args:
        source: A local file.
        start: Seconds from the first frame of the video; the start of the video if None.
        end: Seconds; the end of the video if None.

    Returns:
        All cues displayed at some time between `start` and `end`, with their full times, sorted by time.

    Raises:
        SourceError: The file does not exist.
        MediaError: The file cannot be read as a video.
        InputError: The times are invalid.

    Example:
        >>> read_subtitles("talk.mp4")  # doctest: +SKIP
        [Cue(start=1.0, end=2.5, text='Hello.', language='en', track='talk.en.srt'), ...]
    """
    interval = Interval.of(start, end)
    path = local_path(source)
    displayed = [
        replace(cue, start=max(cue.start, 0.0), text=text)
        for cue in chain(_embedded_cues(path), _sidecar_cues(path))
        if (text := " ".join(cue.text.split())) and cue.end > interval.start and cue.start < interval.end
    ]
    return sorted(displayed, key=lambda cue: (cue.start, cue.end))


def _embedded_cues(path: Path) -> list[Cue]:
    status = path.stat()
    return _read_embedded_cues(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _read_embedded_cues(path: Path, size: int, modified: int) -> list[Cue]:
    # Cached until the file changes: the cues are spread over the whole file.
    with open_container(path) as container:
        tracks = [stream for stream in container.streams.subtitles if _is_text(path, stream)]
        if not tracks:
            return []
        return list(_track_cues(container, tracks, index_packets(path).start_time))


def _is_text(path: Path, stream: SubtitleStream) -> bool:
    codec = stream.codec_context.codec if stream.codec_context else None
    if codec and codec.text_sub:
        return True
    logger.info("%s: skipping subtitle track %d, which is not text", path, stream.index)
    return False


def _track_cues(container: InputContainer, tracks: list[SubtitleStream], start_time: float) -> Iterator[Cue]:
    for packet in demux(container, *tracks):
        if packet.pts is None or packet.time_base is None:
            continue
        start = float(packet.pts * packet.time_base) - start_time
        end = start + float((packet.duration or 0) * packet.time_base)
        track = packet.stream
        language = None if track.language in (None, "und") else track.language
        yield Cue(start, end, _packet_text(packet), language, f"track {track.index}")


def _packet_text(packet: "Packet[Any]") -> str:
    from pysubs2 import SSAEvent

    try:
        rects = cast("list[AssSubtitle]", packet.decode())
    except av.error.FFmpegError as error:
        logger.warning("%s: unreadable subtitle: %s", packet.stream, error)
        return ""
    # FFmpeg decodes every subtitle format to an ASS event, whose text follows eight other fields.
    lines = (rect.ass.decode("utf-8", "replace").split(",", 8)[-1] for rect in rects)
    return " ".join(SSAEvent(text=line).plaintext for line in lines)


def _sidecar_cues(path: Path) -> Iterator[Cue]:
    for file in sorted(path.parent.iterdir()):
        if not (file.name.startswith(path.stem) and file.name.lower().endswith(SIDECAR_SUFFIXES)):
            continue
        tags = _SIDECAR_TAGS.fullmatch(file.stem.removeprefix(path.stem))
        if tags and file.is_file():
            yield from _read_sidecar(file, tags["language"])


def _read_sidecar(file: Path, language: str | None) -> list[Cue]:
    from pysubs2 import SSAFile
    from pysubs2.exceptions import Pysubs2Error

    try:
        size = file.stat().st_size
        if size > MAX_SIDECAR_BYTES:
            raise ValueError(f"{size} bytes are over the limit of {MAX_SIDECAR_BYTES}")
        events = SSAFile.from_string(_decode(file.read_bytes()), format_=file.suffix.lower().removeprefix(".")).events
        if size and not events:
            raise ValueError("no subtitles found")
        return [
            Cue(event.start / 1000, event.end / 1000, _plain_text(event.plaintext), language, file.name)
            for event in events
            if event.is_text
        ]
    except (OSError, ValueError, Pysubs2Error) as error:
        logger.warning("%s: skipping this subtitle file: %s", file, error)
        return []


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        from charset_normalizer import from_bytes

        guess = from_bytes(data).best()
        if guess is None:
            raise ValueError("unknown text encoding") from None
        return str(guess)


def _plain_text(text: str) -> str:
    """Remove the WebVTT markup that pysubs2 keeps: the times of single words and escapes such as `&amp;`."""
    return html.unescape(_WEBVTT_TIME_TAG.sub("", text))
