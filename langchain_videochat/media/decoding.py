"""Decoding of selected frames, with as few others as possible."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from langchain_videochat.media.clock import MAX_REORDERING
from langchain_videochat.media.index import StreamIndex
from langchain_videochat.media.packets import demux, seek

MIN_SEEK_PACKETS = 300
"""Fewer unneeded packets than this are read and dropped, because a seek costs about as much as reading them."""

NOT_PRESENTED = -1
"""Timestamp of packets that are not presented and that other frames depend on."""


@dataclass(frozen=True)
class _Run:
    """A range of packets to decode without a gap, from a keyframe to the last selected frame that depends on it."""

    first: int
    last: int


def decode(
    container: InputContainer,
    stream: VideoStream,
    index: StreamIndex,
    positions: NDArray[np.int64],
    *,
    can_seek: bool,
) -> Iterator[VideoFrame]:
    """Decode frames by their positions in presentation order.

    Only the packets from a keyframe to a selected frame are decoded; non-reference frames between them are skipped.
    Damaged packets are skipped, too.

    Args:
        container: An open container.
        stream: The video stream of the container.
        index: The index of the stream.
        positions: Ascending positions in `index.presented`, at least one.
        can_seek: Whether `seek` can be used.

    Yields:
        Decoded frames in presentation order: the selected ones and some that they depend on. Their `pts` are their
        positions, because timestamps can be ambiguous.
    """
    decoder = _Decoder(stream.codec_context, set(positions.tolist()), keeps_order=not index.lacks_order)
    ranks = np.full(len(index.packets.pts), NOT_PRESENTED)
    ranks[index.presented] = np.arange(len(index.presented))
    packets: Iterator[tuple[int, Packet[VideoStream]]] = enumerate(demux(container, stream))
    number = -1
    for run in _runs(index, positions):
        if run.first - number > MIN_SEEK_PACKETS and can_seek:
            packets = seek(container, stream, index.packets, run.first)
        for number, packet in packets:
            if number >= run.first:
                packet.pts = int(ranks[number])
                yield from decoder.decode(packet)
            if number >= run.last:
                break
        # Without a flush, the decoder would sort frames of different runs by picture order counts, which restart or
        # wrap around.
        yield from decoder.flush()


class _Decoder:
    """Decodes packets whose `pts` are positions, to frames with the same `pts`.

    Args:
        codec: The codec.
        selected: Positions of the selected frames.
        keeps_order: Whether the positions are those of the packets' frames. If the file has no presentation timestamps,
            the frames have the same positions in another order.
    """

    def __init__(self, codec: VideoCodecContext, selected: set[int], *, keeps_order: bool) -> None:
        self._codec = codec
        self._selected = selected
        self._keeps_order = keeps_order
        self._positions: deque[int] = deque()
        """Those of packets whose frames have not been returned yet, if the order is unknown."""

    def decode(self, packet: "Packet[VideoStream]") -> list[VideoFrame]:
        """Decode a packet; a damaged one yields no frame."""
        if not self._keeps_order and packet.pts is not None and packet.pts != NOT_PRESENTED:
            self._positions.append(packet.pts)
        is_needed = not self._keeps_order or packet.pts in self._selected
        self._codec.skip_frame = "DEFAULT" if is_needed else "NONREF"
        return self._frames(packet)

    def flush(self) -> list[VideoFrame]:
        """Return the remaining frames, and prepare for packets from another part of the file."""
        frames = self._frames(None)
        self._codec.flush_buffers()
        self._positions.clear()
        return frames

    def _frames(self, packet: "Packet[VideoStream] | None") -> list[VideoFrame]:
        try:
            frames = self._codec.decode(packet)
        except av.error.FFmpegError:
            return []
        for frame in frames:
            if self._positions:
                frame.pts = self._positions.popleft()
        return [frame for frame in frames if frame.pts is not None and frame.pts != NOT_PRESENTED]


def _runs(index: StreamIndex, positions: NDArray[np.int64]) -> Iterator[_Run]:
    selected = index.presented[positions]
    first = _preceding_keyframes(index, selected)
    # Without presentation timestamps, a frame comes out of the decoder some packets later.
    delay = MAX_REORDERING if index.lacks_order else 0
    last = np.maximum.accumulate((selected + delay).clip(max=len(index.packets.pts) - 1))
    # A new run starts where at least one packet is not needed.
    starts = np.flatnonzero(np.append(True, first[1:] > last[:-1] + 1))
    ends = np.append(starts[1:], len(positions)) - 1
    return map(_Run, first[starts].tolist(), last[ends].tolist())


def _preceding_keyframes(index: StreamIndex, selected: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return where decoding must begin for each selected packet."""
    # A stream cut out of a longer one may begin between keyframes; decoding then begins at its first packet.
    keyframes = np.union1d(0, np.flatnonzero(index.packets.keyframes))
    preceding = np.searchsorted(keyframes, selected, side="right") - 1
    # Frames that follow a keyframe in the file and precede it in presentation depend on an earlier one.
    pts = index.packets.pts
    while (is_leading := (preceding > 0) & (pts[keyframes[preceding]] > pts[selected])).any():
        preceding -= is_leading
    return np.minimum.accumulate(keyframes[preceding][::-1])[::-1]
