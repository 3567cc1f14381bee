"""Decoding of sound: samples placed on the clock of a player."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from numpy.typing import NDArray

from langchain_videochat.media.container import MEDIA_FORMATS, open_container
from langchain_videochat.media.damage import Damage, OnDamage
from langchain_videochat.media.downmix import Downmix
from langchain_videochat.media.index import MediaIndex
from langchain_videochat.media.packets import demux, seek
from langchain_videochat.utils.interval import Interval

PREROLL_SECONDS = 1.0
"""Sound that is decoded before the first requested sample: codecs need up to 0.1 s, resampling a few samples."""

MAX_DRIFT_SECONDS = 0.01
"""Difference between timestamps and decoded samples that is not corrected: containers round by milliseconds."""

MIN_RATE = 1000
MAX_RATE = 1_000_000
"""Bounds of plausible sample rates; a damaged header can declare any."""

BLOCKS_PER_SECOND = 4
"""Number of blocks per second in which samples are mixed."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Samples without a gap."""

    position: int
    """Number of the first sample, counted from time 0."""

    samples: NDArray[np.float32]
    """Mono samples, [N]."""

    @property
    def end(self) -> int:
        """Number of the sample after the last."""
        return self.position + len(self.samples)


def decode_audio(
    path: Path, index: MediaIndex, track: int, interval: Interval, rate: int, on_damage: OnDamage
) -> Iterator[Piece]:
    """Decode an interval of a track; the pieces may begin before it and end after it.

    Args:
        path: An absolute path.
        index: The index of the file.
        track: Number of the audio track.
        interval: The interval.
        rate: Samples per second.
        on_damage: Called at the end with the sound that could not be decoded.
    """
    with open_container(path, MEDIA_FORMATS) as container:
        stream = cast("AudioStream", container.streams[track])
        lost: list[float] = []
        mix = Downmix(rate)
        run: _Run | None = None
        for packet in chain(_packets(container, stream, index, interval), [None]):
            for frame in _decode(stream, packet, lost):
                if run is None or not run.is_followed_by(frame):
                    yield from run.finish() if run else ()
                    run = _Run(frame, rate, mix)
                try:
                    yield from run.add(frame)
                except av.error.FFmpegError:
                    lost.append(frame.samples / frame.sample_rate)
                    run = None
        yield from run.finish() if run else ()
    if lost:
        on_damage(Damage("sound", "sound cannot be decoded", sum(lost)))


def _packets(
    container: InputContainer, stream: AudioStream, index: MediaIndex, interval: Interval
) -> "Iterator[Packet[AudioStream]]":
    """Yield the packets of an interval and some before and after it, with their times on the clock as timestamps."""
    audio = index.streams[stream.index]
    start, end = interval.start - PREROLL_SECONDS, interval.end + PREROLL_SECONDS
    wanted = np.flatnonzero((audio.times >= start) & (audio.times < end))
    if not len(wanted):
        return
    # Packets that are not presented may prepare the decoder for the first one.
    first = 0 if audio.times[wanted[0]] <= PREROLL_SECONDS else int(wanted[0])
    time_base = float(audio.packets.time_base)
    packets: Iterator[tuple[int, Packet[AudioStream]]] = enumerate(demux(container, stream))
    if first and index.can_seek:
        packets = seek(container, stream, audio.packets, first)
    for number, packet in packets:
        if first <= number <= wanted[-1]:
            time = audio.times[number]
            packet.pts = None if np.isnan(time) else round(time / time_base)
            packet.dts = packet.pts
            yield packet
        if number >= wanted[-1]:
            return


def _decode(stream: AudioStream, packet: "Packet[AudioStream] | None", lost: list[float]) -> list[AudioFrame]:
    """Decode a packet, or what the decoder still holds if it is None; the seconds of a damaged one go to `lost`."""
    try:
        frames = [frame for frame in stream.codec_context.decode(packet) if frame.samples]
        if any(not MIN_RATE <= frame.sample_rate <= MAX_RATE for frame in frames):
            raise av.error.InvalidDataError(0, "impossible sample rate")
        return frames if packet is None or packet.pts is not None else []
    except av.error.FFmpegError:
        if packet is not None and packet.pts is not None and packet.time_base is not None:
            lost.append(float((packet.duration or 0) * packet.time_base))
        return []


class _Run:
    """Frames without a gap, resampled together.

    Args:
        first: The first frame.
        rate: Samples per second.
        mix: Mixes the channels.
    """

    def __init__(self, first: AudioFrame, rate: int, mix: Downmix) -> None:
        self._format = _format(first)
        # The time is not a number if a damaged header has changed the time base.
        self._end = first.time if first.time and math.isfinite(first.time) else 0.0
        self._position = round(self._end * rate)
        self._mix = mix
        self._channels = min(first.layout.nb_channels, 2)
        layout = "mono" if self._channels == 1 else "stereo"
        # Mixing larger blocks takes half the time.
        self._resampler = AudioResampler("flt", layout, rate, frame_size=max(1, rate // BLOCKS_PER_SECOND))

    def is_followed_by(self, frame: AudioFrame) -> bool:
        """Return whether a frame has the same format and begins where the previous one ended."""
        # Of several frames in a packet, only the first has a time.
        is_next = frame.time is None or abs(frame.time - self._end) <= MAX_DRIFT_SECONDS
        return is_next and _format(frame) == self._format

    def add(self, frame: AudioFrame) -> Iterator[Piece]:
        """Add a frame, and yield the samples that are ready."""
        self._end += frame.samples / frame.sample_rate
        frame.pts = None  # the resampler would correct what the containers have rounded
        yield from self._pieces(frame)

    def finish(self) -> Iterator[Piece]:
        """Yield the remaining samples."""
        yield from self._pieces(None)

    def _pieces(self, frame: AudioFrame | None) -> Iterator[Piece]:
        for resampled in self._resampler.resample(frame):
            channels = resampled.to_ndarray().astype(np.float32, copy=False).reshape(-1, self._channels).T
            piece = Piece(self._position, self._mix.mix(channels))
            self._position = piece.end
            yield piece


def _format(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate
