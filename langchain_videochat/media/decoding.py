"""Decoding of selected frames, with as few others as possible."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from langchain_videochat.media.packets import PacketIndex, demux, packet_pts

MIN_SEEK_PACKETS = 300
"""Fewer unneeded packets than this are read and dropped, because a seek costs about as much as reading them."""


@dataclass(frozen=True)
class _Run:
    """A range of packets to decode without a gap, from a keyframe to the last selected frame that depends on it."""

    first: int
    last: int
    pts: int


def decode(
    container: InputContainer, stream: VideoStream, index: PacketIndex, positions: NDArray[np.int64]
) -> Iterator[VideoFrame]:
    """Decode frames by their positions in presentation order.

    Only the packets from a keyframe to a selected frame are decoded; non-reference frames between them are skipped.
    Damaged packets are skipped, too.

    Args:
        container: An open container.
        stream: The video stream of the container.
        index: The packet index of the stream.
        positions: Ascending positions in `index.pts`, at least one.

    Yields:
        Decoded frames in presentation order: the selected ones and some that they depend on.
    """
    selected = set(index.pts[positions].tolist())
    codec = stream.codec_context
    packets = _with_decode_order(demux(container, stream), index)
    order = -1
    for run in _runs(index, positions):
        if run.first - order > MIN_SEEK_PACKETS:
            packets = _seek(container, stream, index, run)
        for packet, order in packets:
            if order >= run.first:
                yield from _decode_packet(codec, packet, selected)
            if order >= run.last:
                break
        # Without a flush, the decoder would sort frames of different runs by picture order counts, which restart or
        # wrap around.
        yield from _flush(codec)


def _runs(index: PacketIndex, positions: NDArray[np.int64]) -> Iterator[_Run]:
    keyframes = np.maximum.accumulate(np.where(index.keyframes, np.arange(len(index.keyframes)), 0))[positions]
    # Packets before the first presented frame are not shown, but that frame may depend on them.
    first = np.where(keyframes == 0, 0, index.decode_order[keyframes])
    last = np.maximum.accumulate(index.decode_order[positions])
    # A new run starts where at least one packet is not needed.
    starts = np.flatnonzero(np.append(True, first[1:] > last[:-1] + 1))
    ends = np.append(starts[1:], len(positions)) - 1
    return map(_Run, first[starts].tolist(), last[ends].tolist(), index.pts[keyframes[starts]].tolist())


def _with_decode_order(
    packets: "Iterator[Packet[VideoStream]]", index: PacketIndex
) -> "Iterator[tuple[Packet[VideoStream], int]]":
    """Yield each packet with its position in the file; a packet that is not presented takes its predecessor's."""
    order = 0
    for packet in packets:
        pts = packet_pts(packet)
        position = None if pts is None else int(np.searchsorted(index.pts, pts))
        if position is not None and position < len(index.pts) and index.pts[position] == pts:
            order = int(index.decode_order[position])
        yield packet, order


def _seek(
    container: InputContainer, stream: VideoStream, index: PacketIndex, run: _Run
) -> "Iterator[tuple[Packet[VideoStream], int]]":
    # Formats that seek by decoding timestamps land behind the keyframe's packet unless the target is earlier.
    margin = round(1 / index.time_base)
    for target in (run.pts - margin, int(index.pts[0]) - margin):
        with suppress(av.error.FFmpegError):
            container.seek(target, stream=stream)
        packets = _with_decode_order(demux(container, stream), index)
        first = list(islice(packets, 1))
        if first and first[0][1] <= run.first:
            break
    return chain(first, packets)


def _decode_packet(codec: VideoCodecContext, packet: "Packet[VideoStream]", selected: set[int]) -> list[VideoFrame]:
    codec.skip_frame = "DEFAULT" if packet_pts(packet) in selected else "NONREF"
    try:
        return codec.decode(packet)
    except av.error.FFmpegError:
        return []


def _flush(codec: VideoCodecContext) -> list[VideoFrame]:
    try:
        frames = codec.decode(None)
    except av.error.FFmpegError:
        frames = []
    codec.flush_buffers()
    return frames
