"""Picture subtitles of DVDs, Blu-rays and broadcasts, read for text recognition."""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.packet import Packet
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import BitmapSubtitle, Subtitle, SubtitleSet
from numpy.typing import NDArray

from langchain_videochat.media.container import MAX_PIXELS, MEDIA_FORMATS, open_container
from langchain_videochat.media.damage import OnDamage, log_damage
from langchain_videochat.media.index import stream_language
from langchain_videochat.media.isolation import isolatable
from langchain_videochat.media.sources import local_path
from langchain_videochat.media.subtitles.cue_tracks import choose_tracks
from langchain_videochat.media.subtitles.cues import MAX_UNKNOWN_SECONDS, Cue, CueProblem, Problems, describe
from langchain_videochat.media.subtitles.embedded_subtitles import is_supported
from langchain_videochat.media.subtitles.subtitle_packets import demux_subtitles
from langchain_videochat.utils.interval import Interval

MAX_SECONDS = 60.0
"""Longest time for which a subtitle is displayed; a longer one in a file stands for an unknown one."""

_SYNC_BYTE, _PALETTE_SEGMENT, _SEGMENT_HEADER, _PALETTE_HEADER, _COLOR_BYTES = 0x0F, 0x12, 6, 2, 6
_BLACK, _WHITE = 16, 235
"""Values of luma in broadcasts."""


@dataclass(frozen=True)
class PictureCue(Cue):
    """A subtitle that is a picture. Its text is empty."""

    luma: NDArray[np.uint8] = field(kw_only=True, repr=False, compare=False)
    """Brightness of each pixel from 0 to 255, [H, W]."""

    opacity: NDArray[np.uint8] = field(kw_only=True, repr=False, compare=False)
    """Opacity of each pixel from 0 to 255, [H, W]."""


@isolatable
def read_subtitle_pictures(
    source: str | Path,
    start: float | None = None,
    end: float | None = None,
    *,
    language: str | None = None,
    on_damage: OnDamage = log_damage,
) -> Iterator[PictureCue]:
    """Read the subtitles of a video that are pictures, in bounded memory.

    Args:
        source: A local file.
        start: Seconds from the start of the video; the start of the video if None.
        end: Seconds; the end of the video if None.
        language: Read only subtitles in this language; if no track is marked with it, those of unknown language.
        on_damage: Called with what cannot be read of the interval; logs a warning by default.

    Yields:
        All subtitles displayed at some time between `start` and `end`, sorted by start. One without an end lasts until
        the next one of its track, `MAX_UNKNOWN_SECONDS` at most.

    Raises:
        SourceError: The file does not exist.
        MediaError: The file cannot be read as a video.
        InputError: The times are invalid.

    Example:
        >>> [(cue.start, cue.luma.shape) for cue in read_subtitle_pictures("talk.mp4")]  # doctest: +SKIP
        [(1.0, (64, 512)), ...]
    """
    interval = Interval.of(start, end)
    path = local_path(source)
    with open_container(path, MEDIA_FORMATS) as container:
        all_tracks = [_PictureTrack(stream) for stream in container.streams.subtitles if _is_picture(stream)]
        tracks = {track.stream.index: track for track in choose_tracks(all_tracks, language)}
        if not tracks:
            return
        streams = [track.stream for track in tracks.values()]
        packets = demux_subtitles(path, container, streams, interval.start, interval.end)
        for cue in _in_order(packets, tracks):
            if cue.end > interval.start and cue.start < interval.end:
                yield replace(cue, start=max(cue.start, 0.0))
        for track in tracks.values():
            for damage in describe(track.name, track.problems):
                on_damage(damage)


def _is_picture(stream: SubtitleStream) -> bool:
    return is_supported(stream) and stream.codec_context.codec.bitmap_sub


def _in_order(
    packets: Iterator[tuple["Packet[Any]", float | None]], tracks: "dict[int, _PictureTrack]"
) -> Iterator[PictureCue]:
    """Yield the cues of all tracks by start; each is complete when the next one of its track arrives."""
    complete: list[tuple[float, int, PictureCue]] = []
    sequence = count()
    for packet, time in packets:
        long = [] if time is None else [cue for track in tracks.values() for cue in track.end_long(time)]
        for cue in (*long, *tracks[packet.stream_index].add(packet, time)):
            heapq.heappush(complete, (cue.start, next(sequence), cue))
        displayed = [track.displayed.start for track in tracks.values() if track.displayed]
        while complete and complete[0][0] <= min(displayed, default=math.inf):
            yield heapq.heappop(complete)[-1]
    for track in tracks.values():
        for cue in track.end():
            heapq.heappush(complete, (cue.start, next(sequence), cue))
    while complete:
        yield heapq.heappop(complete)[-1]


class _PictureTrack:
    """A track of pictures and the one that is being displayed."""

    def __init__(self, stream: SubtitleStream) -> None:
        self.stream = stream
        self.name = f"track {stream.index}"
        self.language = stream_language(stream)
        self.problems = Problems()
        self.displayed: PictureCue | None = None

    def add(self, packet: "Packet[Any]", time: float | None) -> Iterator[PictureCue]:
        """Display the picture of a packet, and yield the one that it replaces."""
        try:
            subtitle = self.stream.codec_context.decode2(packet)
            picture = _render(subtitle) if subtitle else None
        except (av.error.FFmpegError, ValueError):
            self.problems[CueProblem.UNDECODABLE] += 1
            return
        if subtitle is None:
            return  # a part of a picture
        if subtitle.rects and not any(map(_has_pixels, subtitle.rects)):
            self.problems[CueProblem.UNDECODABLE] += 1
        if time is None:
            self.problems[CueProblem.NO_TIME] += 1
            return
        start = time + subtitle.start_display_time / 1000
        shown = self.displayed
        if picture and shown and start <= shown.end and _is_same(picture, shown):
            # Broadcasts repeat what is displayed for viewers who have just tuned in.
            self.displayed = replace(shown, end=max(shown.end, _declared_end(subtitle, packet, time)))
            return
        yield from self.end(start)
        if picture:
            luma, opacity = picture
            end = _declared_end(subtitle, packet, time)
            self.displayed = PictureCue(start, end, "", self.language, self.name, luma=luma, opacity=opacity)

    def end(self, time: float = math.inf) -> Iterator[PictureCue]:
        """End the picture that is displayed, if any, and yield it."""
        if self.displayed:
            cue, self.displayed = self.displayed, None
            end = min(cue.end, time)
            if end > cue.start:
                yield replace(cue, end=end if end < math.inf else cue.start + MAX_UNKNOWN_SECONDS)
            else:
                self.problems[CueProblem.BACKWARDS] += 1

    def end_long(self, time: float) -> Iterator[PictureCue]:
        """End the picture that is displayed, and yield it, if it has been displayed for very long."""
        if self.displayed and time - self.displayed.start > MAX_SECONDS:
            yield from self.end(self.displayed.start + MAX_SECONDS)


def _declared_end(subtitle: SubtitleSet, packet: "Packet[Any]", time: float) -> float:
    """Return when a subtitle ends according to the file; infinity if it does not say so."""
    durations = (subtitle.end_display_time / 1000, float((packet.duration or 0) * packet.time_base))
    return time + min((one for one in durations if 0 < one <= MAX_SECONDS), default=math.inf)


def _is_same(picture: tuple[NDArray[np.uint8], NDArray[np.uint8]], cue: PictureCue) -> bool:
    return np.array_equal(picture[0], cue.luma) and np.array_equal(picture[1], cue.opacity)


def _render(subtitle: SubtitleSet) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """Return the luma and opacity of a subtitle, cropped to the visible part; None if nothing is visible."""
    all_rects = cast("tuple[BitmapSubtitle, ...]", subtitle.rects)
    rects = [rect for rect in all_rects if _has_pixels(rect)]
    if not rects:
        return None
    left, top = min(rect.x for rect in rects), min(rect.y for rect in rects)
    width, height = max(rect.x + rect.width for rect in rects) - left, max(rect.y + rect.height for rect in rects) - top
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width} x {height} pixels are over the limit of {MAX_PIXELS:,}")
    luma, opacity = np.zeros((2, height, width), dtype=np.uint8)
    for rect, (brightness, alpha) in zip(all_rects, _palettes(subtitle), strict=True):
        if _has_pixels(rect):
            indexes = np.frombuffer(memoryview(cast("bytes", rect.planes[0])), dtype=np.uint8)
            indexes = indexes.reshape(rect.height, rect.width)
            area = np.s_[rect.y - top : rect.y - top + rect.height, rect.x - left : rect.x - left + rect.width]
            luma[area], opacity[area] = brightness[indexes], alpha[indexes]
    rows, columns = np.flatnonzero(opacity.any(axis=1)), np.flatnonzero(opacity.any(axis=0))
    if not len(rows):
        return None
    visible = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return luma[visible], opacity[visible]


def _has_pixels(rect: Subtitle) -> bool:
    # Those of damaged pictures are empty.
    return isinstance(rect, BitmapSubtitle) and bool(rect.planes) and rect.width * rect.height > 0


def _palettes(subtitle: SubtitleSet) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Yield the brightness and opacity of the colors of each part of a subtitle, [256].

    PyAV does not show the palette, but can encode the subtitle for a broadcast, where it is easily found.
    """
    encoder = av.CodecContext.create("dvbsub", "w")
    encoder.time_base = Fraction(1, 1000)
    start_display_time = subtitle.start_display_time
    subtitle.start_display_time = 0  # the encoder refuses any other
    encoded = bytes(encoder.encode_subtitle(subtitle))
    subtitle.start_display_time = start_display_time
    position = 0
    while encoded[position : position + 1] == bytes([_SYNC_BYTE]):
        content = position + _SEGMENT_HEADER
        position = content + int.from_bytes(encoded[content - 2 : content], "big")
        if encoded[content - _SEGMENT_HEADER + 1] == _PALETTE_SEGMENT:
            entries = np.frombuffer(encoded[content + _PALETTE_HEADER : position], np.uint8).reshape(-1, _COLOR_BYTES)
            brightness, opacity = np.zeros((2, 256), dtype=np.uint8)
            scaled = (entries[:, 2].astype(int) - _BLACK) * 255 // (_WHITE - _BLACK)
            brightness[entries[:, 0]] = scaled.clip(0, 255)
            opacity[entries[:, 0]] = 255 - entries[:, 5]
            yield brightness, opacity
