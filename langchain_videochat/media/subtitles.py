"""Subtitles of a video: its own text tracks, and the files that lie beside it."""

import html
import logging
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle

from langchain_videochat.errors import InputError
from langchain_videochat.media.container import open_container
from langchain_videochat.media.packets import demux, index_packets
from langchain_videochat.media.sources import local_path

logger = logging.getLogger(__name__)

SIDE_CAR_ENDINGS = (".ass", ".srt", ".ssa", ".vtt")
MAX_SIDE_CAR_BYTES = 16 * 1024**2

# Between the video's name and the ending: nothing, or a language and perhaps a remark, as in "talk.pt-BR.forced.srt".
_SIDE_CAR_MIDDLE = re.compile(r"(?:\.(?P<language>[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*)(?:\.\w+)?)?")
_WEBVTT_TIME_TAG = re.compile(r"<[\d:.]+>")


@dataclass(frozen=True)
class Cue:
    """One subtitle."""

    start: float
    """Seconds from the first frame of the video."""

    end: float
    """Seconds from the first frame of the video."""

    text: str
    """What is read, on one line and without formatting."""

    language: str | None
    """The tag of the track or in the file's name, as "en" or "eng"; None where there is none."""

    track: str
    """Where it comes from: the side-car file's name, or "track 2" of the video itself."""


def read_subtitles(source: str | Path, start: float | None = None, end: float | None = None) -> list[Cue]:
    """Read the subtitles that come as text.

    Side-car files are `<video's name>.srt`, `.vtt`, `.ass` or `.ssa`, with or without a language as in `talk.en.srt`;
    one that cannot be read is left out with a warning. Tracks that are pictures are left out.

    Args:
        source: A local file.
        start: Seconds from the first frame of the video; the start of the video if None.
        end: Seconds; the end of the video if None.

    Returns:
        All cues that are on display at some time from `start` to `end`, with their own times, sorted by these.

    Raises:
        SourceError: There is no such file.
        MediaError: The file cannot be read as a video.
        InputError: The times make no sense.

    Example:
        >>> read_subtitles("talk.mp4")  # doctest: +SKIP
        [Cue(start=1.0, end=2.5, text='Hello.', language='en', track='talk.en.srt'), ...]
    """
    first = 0.0 if start is None else start
    last = math.inf if end is None else end
    if not (0 <= first < last):
        raise InputError("start, end", f"{start} to {end} is no stretch of time", "Give seconds, start before end")
    path = local_path(source)
    cues = (_clean(cue) for cues in (_embedded(path), _beside(path)) for cue in cues)
    shown = (cue for cue in cues if cue.text and cue.end > 0 and cue.start < last and cue.end > first)
    return sorted(shown, key=lambda cue: (cue.start, cue.end))


def _clean(cue: Cue) -> Cue:
    return Cue(max(cue.start, 0.0), cue.end, " ".join(cue.text.split()), cue.language, cue.track)


def _embedded(path: Path) -> list[Cue]:
    status = path.stat()
    return _read_embedded(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _read_embedded(path: Path, size: int, modified: int) -> list[Cue]:
    """Read all tracks; cues lie scattered over the whole file, so one that has not changed is read once."""
    with open_container(path) as container:
        tracks = [stream for stream in container.streams.subtitles if _is_text(path, stream)]
        if not tracks:
            return []
        return list(_track_cues(container, tracks, index_packets(path).origin))


def _is_text(path: Path, stream: SubtitleStream) -> bool:
    codec = stream.codec_context.codec if stream.codec_context else None
    if codec and codec.text_sub:
        return True
    logger.info("%s: subtitle track %d is not text and is left out", path, stream.index)
    return False


def _track_cues(container: InputContainer, tracks: list[SubtitleStream], origin: float) -> Iterator[Cue]:
    for packet in demux(container, *tracks):
        if packet.pts is None or packet.time_base is None:
            continue
        start = float(packet.pts * packet.time_base) - origin
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
    # FFmpeg puts eight fields before the text of every kind of subtitle.
    lines = (rect.ass.decode("utf-8", "replace").split(",", 8)[-1] for rect in rects)
    return " ".join(SSAEvent(text=line).plaintext for line in lines)


def _beside(path: Path) -> Iterator[Cue]:
    for file in sorted(path.parent.iterdir()):
        if not (file.name.startswith(path.stem) and file.name.lower().endswith(SIDE_CAR_ENDINGS)):
            continue
        middle = _SIDE_CAR_MIDDLE.fullmatch(file.stem.removeprefix(path.stem))
        if middle and file.is_file():
            yield from _side_car(file, middle["language"])


def _side_car(file: Path, language: str | None) -> list[Cue]:
    from pysubs2 import SSAFile
    from pysubs2.exceptions import Pysubs2Error

    try:
        size = file.stat().st_size
        if size > MAX_SIDE_CAR_BYTES:
            raise ValueError(f"{size} bytes are more than {MAX_SIDE_CAR_BYTES}")
        events = SSAFile.from_string(_decode(file.read_bytes()), format_=file.suffix.lower().removeprefix(".")).events
        if size and not events:
            raise ValueError("it contains no subtitle")
        return [
            Cue(event.start / 1000, event.end / 1000, _plain(event.plaintext), language, file.name)
            for event in events
            if event.is_text
        ]
    except (OSError, ValueError, Pysubs2Error) as error:
        logger.warning("%s: this subtitle file is left out: %s", file, error)
        return []


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        from charset_normalizer import from_bytes

        guess = from_bytes(data).best()
        if guess is None:
            raise ValueError("its encoding cannot be told") from None
        return str(guess)


def _plain(text: str) -> str:
    """Remove what pysubs2 leaves of WebVTT: the times of single words, and escapes as `&amp;`."""
    return html.unescape(_WEBVTT_TIME_TAG.sub("", text))
