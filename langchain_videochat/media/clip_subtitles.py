"""Subtitle tracks of clips: those of the video, cut to an interval."""

import logging
import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.stream import SubtitleStream

from langchain_videochat.media.container import MEDIA_FORMATS, open_container
from langchain_videochat.media.index import stream_language, stream_title
from langchain_videochat.media.subtitles.embedded_subtitles import MAX_SECONDS, is_supported
from langchain_videochat.media.subtitles.subtitle_packets import demux_subtitles
from langchain_videochat.utils.interval import Interval

logger = logging.getLogger(__name__)

_MILLISECOND = Fraction(1, 1000)


@dataclass(frozen=True)
class SubtitleFormat:
    """The subtitles that a format of clips can hold; codecs have FFmpeg's names."""

    container: str
    """FFmpeg's name of the container."""

    text_codec: str
    """Codec to which text is converted if its own is not among those that are copied."""

    copied_codecs: frozenset[str]


@dataclass(frozen=True)
class _Event:
    """A packet of a subtitle track, and when it is displayed, in seconds from the start of the clip."""

    start: float
    end: float
    packet: "Packet[Any]"


def write_subtitles(path: Path, interval: Interval, target: Path, form: SubtitleFormat) -> list[int]:
    """Write the subtitles that are displayed in an interval of a video to a file.

    Subtitles that are displayed earlier, too, begin with the interval. What cannot be decoded, and pictures of a codec
    that the format cannot hold, are logged and left out.

    Args:
        path: The video.
        interval: The interval; its start becomes time 0.
        target: The file to write.
        form: The format of the clip.

    Returns:
        The numbers of the tracks in the video. If there are none, the file is not to be read.

    Raises:
        MediaError: The video cannot be opened.
    """
    with open_container(path, MEDIA_FORMATS) as source:
        # The text tracks of Flash videos are metadata.
        found = [] if source.format.name == "flv" else source.streams.subtitles
        streams = {one.index: one for one in found if _can_be_kept(path, one, form)}
        events = _find_events(path, source, streams, interval) if streams else {}
        try:
            return list(events) if events and _write(path, target, streams, events, form) else []
        except av.error.FFmpegError as error:
            logger.warning("%s: its subtitles cannot be copied to a clip: %s", path, error)
            return []


def _can_be_kept(path: Path, stream: SubtitleStream, form: SubtitleFormat) -> bool:
    if is_supported(stream):
        codec = stream.codec_context.codec
        if codec.text_sub or codec.canonical_name in form.copied_codecs:
            return True
    logger.warning("%s: a clip of this format cannot hold the subtitles in track %d", path, stream.index)
    return False


def _find_events(
    path: Path, source: InputContainer, streams: dict[int, SubtitleStream], interval: Interval
) -> dict[int, list[_Event]]:
    """Return the events of each track that are displayed in the interval, by start; tracks without any are left out."""
    timed: dict[int, list[tuple[float, Packet[Any]]]] = {track: [] for track in streams}
    for packet, time in demux_subtitles(path, source, [*streams.values()], interval.start, interval.end):
        if time is not None and time < interval.end:
            timed[packet.stream_index].append((time, packet))
    found = {track: list(_clip(packets, interval)) for track, packets in timed.items()}
    return {track: events for track, events in found.items() if events}


def _clip(packets: list[tuple[float, "Packet[Any]"]], interval: Interval) -> Iterator[_Event]:
    starts = [*sorted(time for time, _ in packets), math.inf]
    for start, packet in sorted(packets, key=lambda one: one[0]):
        duration = float((packet.duration or 0) * packet.time_base)
        # Without a duration, it is displayed until the next one replaces it.
        end = start + duration if 0 < duration < MAX_SECONDS else starts[bisect_right(starts, start)]
        if end > interval.start:
            yield _Event(max(start - interval.start, 0.0), min(end, interval.end) - interval.start, packet)


def _write(
    path: Path,
    target: Path,
    streams: dict[int, SubtitleStream],
    events: dict[int, list[_Event]],
    form: SubtitleFormat,
) -> bool:
    """Write the events of all tracks, and return whether there are any that can be written."""
    with av.open(target, "w", format=form.container) as output:
        packets = [
            packet
            for track, displayed in events.items()
            for packet in _write_track(path, output, streams[track], displayed, form)
        ]
        for packet in sorted(packets, key=lambda one: one.pts or 0):
            output.mux(packet)
    return bool(packets)


def _write_track(
    path: Path, output: OutputContainer, stream: SubtitleStream, events: list[_Event], form: SubtitleFormat
) -> Iterator["Packet[Any]"]:
    """Add a track, and yield its packets."""
    is_copied = stream.codec_context.codec.canonical_name in form.copied_codecs
    track: Any = output.add_stream_from_template(stream) if is_copied else output.add_stream(form.text_codec)
    track.disposition = stream.disposition
    tags = {"language": stream_language(stream), "title": stream_title(stream)}
    track.metadata.update({name: value for name, value in tags.items() if value})
    for event in events:
        packet = event.packet if is_copied else _convert(path, stream, event.packet, track.codec_context)
        if packet is not None:
            packet.stream, packet.time_base = track, _MILLISECOND
            packet.pts = packet.dts = round(event.start * 1000)
            packet.duration = round((event.end - event.start) * 1000)
            yield packet


def _convert(
    path: Path, stream: SubtitleStream, packet: "Packet[Any]", encoder: SubtitleCodecContext
) -> "Packet[Any] | None":
    """Encode a text again; return None if it is empty or cannot be decoded."""
    try:
        decoded = stream.codec_context.decode2(packet)
        if not decoded:
            return None
        if encoder.subtitle_header is None:
            # FFmpeg reads it up to a NUL.
            encoder.subtitle_header = (stream.codec_context.subtitle_header or b"") + b"\0"
        return encoder.encode_subtitle(decoded)
    except av.error.FFmpegError as error:
        logger.warning("%s: a subtitle in track %d cannot be converted: %s", path, stream.index, error)
        return None
