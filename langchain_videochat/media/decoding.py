"""Decoding chosen frames of a stream, and as few others as they depend on."""

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

from langchain_videochat.media.packets import PacketIndex, demux, stamp_of

SEEK_PACKETS = 300
"""Unwanted packets that are read over rather than jumped over: a jump costs about as much as reading these."""


@dataclass(frozen=True)
class _Run:
    """Packets to decode without a gap: from a key frame to the last frame wanted before the next gap."""

    first: int
    last: int
    stamp: int


def decode(
    container: InputContainer, stream: VideoStream, index: PacketIndex, picks: NDArray[np.int64]
) -> Iterator[VideoFrame]:
    """Decode frames by their positions in presentation order.

    Packets outside the runs that lead to a pick are not decoded; inside, frames to which no other refers are left out.
    Damaged packets are passed over.

    Args:
        container: An open container.
        stream: Its video stream.
        index: The stream's packets.
        picks: Ascending positions in `index.stamps`.

    Yields:
        Decoded frames in presentation order: the picks, and some that they depend on.
    """
    wanted = set(index.stamps[picks].tolist())
    codec = stream.codec_context
    packets = _ranked(demux(container, stream), index)
    rank = -1
    for run in _runs(index, picks):
        if run.first - rank > SEEK_PACKETS:
            packets = _seek(container, stream, index, run)
        for packet, rank in packets:
            if rank >= run.first:
                yield from _feed(codec, packet, wanted)
            if rank >= run.last:
                break
        # Without this a decoder sorts frames of different runs by picture numbers that begin anew or wrap around.
        yield from _drain(codec)


def _runs(index: PacketIndex, picks: NDArray[np.int64]) -> Iterator[_Run]:
    key_positions = np.maximum.accumulate(np.where(index.keys, np.arange(len(index.keys)), 0))[picks]
    # What lies before the first presented frame is not shown, but that frame may depend on it.
    firsts = np.where(key_positions == 0, 0, index.ranks[key_positions]).tolist()
    lasts = index.ranks[picks].tolist()
    stamps = index.stamps[key_positions].tolist()
    run: _Run | None = None
    for first, last, stamp in zip(firsts, lasts, stamps, strict=True):
        if run is not None and first <= run.last + 1:
            run = _Run(run.first, max(run.last, last), run.stamp)
            continue
        if run is not None:
            yield run
        run = _Run(first, last, stamp)
    if run is not None:
        yield run


def _ranked(
    packets: "Iterator[Packet[VideoStream]]", index: PacketIndex
) -> "Iterator[tuple[Packet[VideoStream], int]]":
    """Tell each packet's place in the file; one that is not shown counts with its predecessor."""
    rank = 0
    for packet in packets:
        stamp = stamp_of(packet)
        position = None if stamp is None else int(np.searchsorted(index.stamps, stamp))
        if position is not None and position < len(index.stamps) and index.stamps[position] == stamp:
            rank = int(index.ranks[position])
        yield packet, rank


def _seek(
    container: InputContainer, stream: VideoStream, index: PacketIndex, run: _Run
) -> "Iterator[tuple[Packet[VideoStream], int]]":
    # Formats that are searched by decoding time land behind a key frame's packet unless aimed before it.
    margin = round(1 / index.time_base)
    for stamp in (run.stamp - margin, int(index.stamps[0]) - margin):
        with suppress(av.error.FFmpegError):
            container.seek(stamp, stream=stream)
        packets = _ranked(demux(container, stream), index)
        landed = list(islice(packets, 1))
        if landed and landed[0][1] <= run.first:
            break
    return chain(landed, packets)


def _feed(codec: VideoCodecContext, packet: "Packet[VideoStream]", wanted: set[int]) -> list[VideoFrame]:
    codec.skip_frame = "DEFAULT" if stamp_of(packet) in wanted else "NONREF"
    try:
        return codec.decode(packet)
    except av.error.FFmpegError:
        return []


def _drain(codec: VideoCodecContext) -> list[VideoFrame]:
    """Get the frames that the decoder still holds, and make it ready for the next run."""
    try:
        frames = codec.decode(None)
    except av.error.FFmpegError:
        frames = []
    codec.flush_buffers()
    return frames
