"""The index of a media file: the presentation times of its packets, found without decoding."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from av.stream import Disposition, Stream
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

from langchain_videochat.errors import MediaError
from langchain_videochat.media.clock import MAX_PACKET_SECONDS, Clock, ClockRules, repair_timestamps
from langchain_videochat.media.container import MEDIA_FORMATS, open_container
from langchain_videochat.media.damage import Damage, DamageKind
from langchain_videochat.media.info import MAX_LANGUAGE_LENGTH, MAX_TITLE_LENGTH, StreamInfo
from langchain_videochat.media.packets import StreamPackets, read_packets
from langchain_videochat.utils.plain_text import plain_line

MIN_FRAME_SECONDS, MAX_FRAME_SECONDS = 0.001, 600.0
"""Bounds of the time between frames; a header that declares another frame rate is damaged."""

DEFAULT_FRAME_RATE = 25
"""Frames per second of a video whose frame rate is unknown."""

UNSEEKABLE_FORMATS = ("mpeg",)
"""Formats in which the packets after a seek can differ: program streams are parsed from the middle of a packet."""

MAX_HEADER_ERROR = 0.2
"""Seconds by which a header may declare more than the file contains without being truncated."""

MAX_PRIMING_SECONDS = 1.0
"""Longest sound that encoders put before the first audible sample."""


@dataclass(frozen=True, eq=False)
class StreamIndex:
    """The packets of a stream on the clock that a player shows."""

    packets: StreamPackets
    """The packets in file order."""

    times: NDArray[np.float64]
    """When each packet is presented, in seconds; NaN if it is not, [N]."""

    pixel_aspect: Fraction | None
    """Width of a stored pixel divided by its height; None if the file does not declare it."""

    lacks_order: bool
    """Whether the codec may reorder frames but the timestamps are in decoding order, as in AVI."""

    @cached_property
    def presented(self) -> NDArray[np.intp]:
        """Positions in `packets` of the presented packets, in presentation order, without repeated times, [N]."""
        order = np.argsort(self.times, kind="stable")
        times, first = np.unique(self.times[order], return_index=True)
        return order[first[~np.isnan(times)]]

    @cached_property
    def presented_times(self) -> NDArray[np.float64]:
        """When the frames or sounds in `presented` appear, in seconds, ascending, [N]."""
        return self.times[self.presented]

    @cached_property
    def keyframes(self) -> NDArray[np.bool_]:
        """Whether each presented packet is a keyframe; the first one counts as one, whatever it depends on, [N]."""
        keyframes = self.packets.keyframes[self.presented]
        keyframes[0] = True
        return keyframes

    @cached_property
    def start(self) -> float:
        """Time at which the first packet is presented, in seconds."""
        return float(self.presented_times[0])

    @cached_property
    def end(self) -> float:
        """Time at which the last packet ends, in seconds."""
        last = self.presented[-1]
        duration = self.packets.seconds(self.packets.durations[last]) or self.mean_duration or 1 / DEFAULT_FRAME_RATE
        return float(self.times[last] + min(duration, MAX_PACKET_SECONDS))

    def displayed_time(self, time: float) -> float:
        """Return the time at which the frame that is displayed at a time appears; all in seconds."""
        position = int(np.searchsorted(self.presented_times, time, side="right")) - 1
        return float(self.presented_times[max(0, position)])

    @cached_property
    def mean_duration(self) -> float:
        """Mean time between two presented packets, in seconds; 0 if there is only one."""
        times = self.presented_times
        return float((times[-1] - times[0]) / max(1, len(times) - 1))

    @property
    def frame_rate(self) -> float | None:
        """Mean frames per second; None if there is only one."""
        return 1 / self.mean_duration if self.mean_duration else None


@dataclass(frozen=True, eq=False)
class MediaIndex:
    """All streams of a file, and the packets of its pictures and sound."""

    tracks: tuple[StreamInfo, ...]
    """All streams, in file order."""

    streams: Mapping[int, StreamIndex]
    """The video and audio streams that present anything, by track."""

    start_time: float
    """Timestamp of time 0, in seconds."""

    duration: float
    """Seconds from time 0 to the end of the picture or sound that ends last."""

    declared_duration: float
    """Seconds according to the header; more than `duration` if the file is truncated."""

    is_continuous: bool
    """Whether all times are timestamps minus `start_time`."""

    can_seek: bool
    """Whether a seek yields the same packets as reading from the beginning."""

    damage: tuple[Damage, ...]
    """What is wrong with the timestamps."""


def index_media(path: Path) -> MediaIndex:
    """Read the packet headers of all video and audio streams. The index is cached until the file changes.

    Raises:
        MediaError: The file cannot be opened, or none of its packets can be read.
    """
    status = path.stat()
    return _index_media(path, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class _Header:
    """What the header declares about a stream."""

    pixel_aspect: Fraction | None
    may_reorder: bool
    """Whether its codec may reorder frames."""
    start: float | None
    """Timestamp of its first sample in seconds, if known."""
    end: float | None
    """Timestamp of its end in seconds, if it is reliable."""

    @classmethod
    def of(cls, stream: Stream, *, counts_frames: bool) -> "_Header":
        start, end = _declared_start(stream), None
        if counts_frames and start is not None and stream.time_base and stream.frames and stream.duration:
            end = start + float(stream.duration * stream.time_base)
        codec = stream.codec_context
        return cls(
            getattr(stream, "sample_aspect_ratio", None), getattr(codec, "has_b_frames", False), start=start, end=end
        )


@lru_cache(maxsize=4)
def _index_media(path: Path, size: int, modified: int) -> MediaIndex:
    with open_container(path, MEDIA_FORMATS) as container:
        streams = [stream for stream in container.streams if _is_presented(stream)]
        packets = read_packets(container, streams)
        if not any(found.presented.any() for found in packets.values()):
            problem = "none of its pictures and sound can be found"
            raise MediaError(path, problem, "The file is damaged: copy or export it again")
        tracks = tuple(map(_describe, container.streams))
        rules = ClockRules.of(container)
        form = container.format.name
        # Only MP4 and QuickTime count their frames reliably.
        counts_frames = "mov" in form.split(",")
        headers = {stream.index: _Header.of(stream, counts_frames=counts_frames) for stream in streams}
    repaired = {track: repair_timestamps(found, rules) for track, found in packets.items()}
    guessed = [
        track for track, found in repaired.items() if rules.has_clock and (found.pts != packets[track].pts).any()
    ]
    packets, impossible = _repair_frame_rates(tracks, repaired)
    clock = Clock.of(packets, rules)
    indexes = {
        track: _index_stream(headers[track], found, clock.times(track, found)) for track, found in packets.items()
    }
    indexes = {track: index for track, index in indexes.items() if len(index.presented)}
    start_time = min(_start(tracks[track], index, headers[track]) for track, index in indexes.items())
    indexes = {track: replace(index, times=(index.times - start_time).round(6)) for track, index in indexes.items()}
    duration = round(max(index.end for index in indexes.values()), 6)
    ends = (headers[track].end for track in indexes if track not in impossible)
    declared = max((end - start_time for end in ends if end is not None), default=duration)
    is_continuous = clock.is_continuous and not impossible and not guessed
    return MediaIndex(
        tracks=tracks,
        streams=indexes,
        start_time=start_time,
        duration=duration,
        declared_duration=declared if declared > duration + MAX_HEADER_ERROR else duration,
        is_continuous=is_continuous,
        can_seek=is_continuous and form not in UNSEEKABLE_FORMATS,
        damage=(
            *(Damage("clock", f"track {track} has impossible timestamps; they were guessed") for track in guessed),
            *impossible.values(),
            *clock.damage(),
            *_stray_damage(tracks, indexes),
        ),
    )


def _index_stream(header: _Header, packets: StreamPackets, times: NDArray[np.float64]) -> StreamIndex:
    lacks_order = header.may_reorder and packets.is_in_decoding_order
    return StreamIndex(packets, times, header.pixel_aspect, lacks_order)


def _is_presented(stream: Stream) -> bool:
    is_still = stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails)
    return stream.type in ("video", "audio") and not is_still and stream.codec_context is not None


def _describe(stream: Stream) -> StreamInfo:
    codec = stream.codec_context
    return StreamInfo(
        kind=stream.type,
        codec=codec.name if codec else "unknown",
        language=stream_language(stream),
        track=stream.index,
        title=stream_title(stream),
        is_default=bool(stream.disposition & Disposition.default),
        width=codec.width if isinstance(codec, VideoCodecContext) else 0,
        height=codec.height if isinstance(codec, VideoCodecContext) else 0,
    )


def stream_language(stream: Stream) -> str | None:
    """Return the language tag of a stream, None if unknown."""
    tag = plain_line(stream.language or "", MAX_LANGUAGE_LENGTH)
    return None if tag in ("", "und") else tag


def stream_title(stream: Stream) -> str | None:
    """Return the title of a stream, None if unknown."""
    title = stream.metadata.get("title") or stream.metadata.get("name")  # in MP4
    return plain_line(title or "", MAX_TITLE_LENGTH) or None


def _declared_start(stream: Stream) -> float | None:
    if stream.start_time is None or stream.time_base is None:
        return None
    return float(stream.start_time * stream.time_base)


def _start(track: StreamInfo, index: StreamIndex, header: _Header) -> float:
    """Return when a stream starts: encoders put inaudible samples before the first one, and headers say how many."""
    if track.kind == "audio" and header.start is not None and 0 < header.start - index.start < MAX_PRIMING_SECONDS:
        return header.start
    return index.start


def _repair_frame_rates(
    tracks: Sequence[StreamInfo], packets: Mapping[int, StreamPackets]
) -> tuple[dict[int, StreamPackets], dict[int, Damage]]:
    """Replace impossible frame rates: the frames are spread over the time of the sound, or shown at 25 per second.

    Returns:
        All packets, and the damage of each track that was repaired.
    """
    repaired, damage = dict(packets), {}
    sound = max((found.span for track, found in packets.items() if tracks[track].kind == "audio"), default=0.0)
    for track, found in packets.items():
        steps = np.abs(np.diff(found.decoding_times[found.presented]))
        frame_seconds = float(np.median(steps)) if len(steps) else MIN_FRAME_SECONDS
        if tracks[track].kind == "video" and not MIN_FRAME_SECONDS <= frame_seconds <= MAX_FRAME_SECONDS and found.span:
            seconds = sound or len(steps) / DEFAULT_FRAME_RATE
            repaired[track] = replace(found, time_base=found.time_base * Fraction(seconds / found.span))
            damage[track] = Damage("clock", "the header declares an impossible frame rate; it was guessed")
    return repaired, damage


def _stray_damage(tracks: Sequence[StreamInfo], indexes: Mapping[int, StreamIndex]) -> Iterator[Damage]:
    for track, index in indexes.items():
        lost = int(np.isnan(index.times[index.packets.presented]).sum())
        if lost:
            kind: DamageKind = "picture" if tracks[track].kind == "video" else "sound"
            yield Damage(kind, f"track {track} has impossible timestamps", lost * index.mean_duration)
