"""Text subtitles in the video file itself."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import av
from av.packet import Packet
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle

from langchain_videochat.media.container import MEDIA_FORMATS, open_container
from langchain_videochat.media.damage import Damage
from langchain_videochat.media.index import stream_language
from langchain_videochat.media.subtitles.cue_tracks import CueTrack
from langchain_videochat.media.subtitles.cues import CueProblem, ParsedCue, Problems
from langchain_videochat.media.subtitles.subrip import plain_text
from langchain_videochat.media.subtitles.substation import actor, event_text
from langchain_videochat.media.subtitles.subtitle_packets import demux_subtitles
from langchain_videochat.media.subtitles.subtitle_text import (
    decode_text,
    encoding_remarks,
    find_encoding,
    marked_encoding,
)
from langchain_videochat.media.subtitles.webvtt import parse_cue_text

logger = logging.getLogger(__name__)

MAX_SECONDS = 24 * 3600.0
"""Longest time for which a cue is displayed; a longer one in a file stands for an unknown one."""

_EVENT_FIELDS = 9
"""Fields of an ASS event in a packet: order, layer, style, name, three margins, effect, text."""

_LENGTH_BYTES = 2
"""Bytes before the text of QuickTime and MP4, which hold its length."""

_RAW_TEXT_CODECS = {"subrip": "subrip", "srt": "subrip", "text": "subrip", "webvtt": "webvtt"}
_RAW_TEXT_CODECS |= {"ass": "ass", "ssa": "ass", "mov_text": "mov_text"}
"""Codecs whose packets hold text, and its format."""


@dataclass(frozen=True)
class _Payload:
    """The content of a packet."""

    start: float
    end: float
    data: bytes


@dataclass
class _Track:
    """The packets of a track."""

    stream: SubtitleStream
    format: str
    payloads: list[_Payload] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)


def read_embedded_subtitles(path: Path, encoding: str | None = None) -> tuple[CueTrack, ...]:
    """Read all text tracks of a video. The result is cached until the file changes.

    Args:
        path: The video.
        encoding: Encoding of the tracks that are not UTF-8; detected if None.

    Raises:
        MediaError: The file cannot be read as a video.
    """
    status = path.stat()
    return _read(path, encoding, status.st_size, status.st_mtime_ns)


def is_supported(stream: SubtitleStream) -> bool:
    """Return whether the format of a subtitle track is known."""
    return stream.codec_context is not None and stream.codec_context.codec is not None


@lru_cache(maxsize=4)
def _read(path: Path, encoding: str | None, size: int, modified: int) -> tuple[CueTrack, ...]:
    with open_container(path, MEDIA_FORMATS) as container:
        unknown = [stream for stream in container.streams.subtitles if not is_supported(stream)]
        known = [stream for stream in container.streams.subtitles if is_supported(stream)]
        if container.format.name == "flv":
            known = []  # its text tracks are metadata
        tracks = {stream.index: _Track(stream, _format(stream)) for stream in known if _is_text(path, stream)}
        if tracks:
            # The cues are spread over the whole file.
            for packet, start in demux_subtitles(path, container, [track.stream for track in tracks.values()]):
                _add(tracks[packet.stream_index], packet, start)
        return (*(_parse(track, encoding) for track in tracks.values()), *map(_unsupported, unknown))


def _is_text(path: Path, stream: SubtitleStream) -> bool:
    if stream.codec_context.codec.text_sub:
        return True
    logger.info("%s: track %d, which is not text, is left to text recognition", path, stream.index)
    return False


def _format(stream: SubtitleStream) -> str:
    # FFmpeg decodes all other formats to ASS.
    return _RAW_TEXT_CODECS.get(stream.codec_context.name, "decoded")


def _unsupported(stream: SubtitleStream) -> CueTrack:
    name = f"track {stream.index}"
    damage = Damage("subtitle", f"{name}: the format of these subtitles is not supported")
    return CueTrack(name, stream_language(stream), damage=(damage,))


def _add(track: _Track, packet: "Packet[Any]", start: float | None) -> None:
    if start is None:
        track.problems[CueProblem.NO_TIME] += 1
        return
    duration = float((packet.duration or 0) * packet.time_base)
    end = start + duration if 0 < duration < MAX_SECONDS else math.nan
    if track.format != "decoded":
        track.payloads.append(_Payload(start, end, bytes(packet)))
        return
    try:
        events = cast("list[AssSubtitle]", packet.decode())
        track.payloads += [_Payload(start, end, event.ass) for event in events]
    except av.error.FFmpegError:
        track.problems[CueProblem.UNDECODABLE] += 1


def _parse(track: _Track, encoding: str | None) -> CueTrack:
    contents = [_content(track.format, payload.data) for payload in track.payloads]
    chosen = find_encoding(b"\n".join(contents))
    if encoding is not None and chosen != "utf-8":
        chosen = encoding
    cues: list[ParsedCue] = []
    replaced_in_track = 0
    for payload, content in zip(track.payloads, contents, strict=True):
        text, replaced = decode_text(content, marked_encoding(content) or chosen)
        replaced_in_track += replaced
        # Without text, it ends the one before.
        parts = list(_split_speakers(track.format, text)) or [(None, "")]
        cues += [ParsedCue(payload.start, payload.end, part, speaker) for speaker, part in parts]
    remarks = encoding_remarks(chosen, replaced_in_track, is_guess=encoding is None)
    name = f"track {track.stream.index}"
    return CueTrack.of(name, stream_language(track.stream), cues, track.problems, remarks)


def _content(text_format: str, data: bytes) -> bytes:
    """Return the text of a packet."""
    if text_format != "mov_text":
        return data
    length = int.from_bytes(data[:_LENGTH_BYTES], "big")
    return data[_LENGTH_BYTES : _LENGTH_BYTES + length]


def _split_speakers(text_format: str, text: str) -> Iterator[tuple[str | None, str]]:
    """Yield what each speaker (None if unknown) says, without formatting."""
    if text_format in ("ass", "decoded"):
        fields = text.split(",", _EVENT_FIELDS - 1)
        if len(fields) == _EVENT_FIELDS:
            yield actor(fields[3]), event_text(fields[-1])
    elif text_format == "webvtt":
        yield from parse_cue_text(text)
    else:
        yield None, plain_text(text) if text_format == "subrip" else text
