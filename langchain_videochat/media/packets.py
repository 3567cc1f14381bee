"""Packets: the compressed parts of a file's streams, read without decoding them."""

import logging
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any, TypeVar, cast

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

MAX_CONSECUTIVE_ERRORS = 50

NO_TIMESTAMP = np.iinfo(np.int64).min
"""A timestamp that is missing, as in FFmpeg."""

MAX_INCOMPLETE_PACKETS = 50
"""Packets after a seek among which a known one must be."""

_COLUMNS = 7

StreamT = TypeVar("StreamT", bound=Stream)


@dataclass(frozen=True, eq=False)
class StreamPackets:
    """The packets of one stream in file order, which is decoding order."""

    time_base: Fraction
    """Seconds per unit of the timestamps and durations."""

    rows: NDArray[np.int64]
    """Position of each packet among those of all streams, [N]."""

    pts: NDArray[np.int64]
    """Presentation timestamps, or decoding timestamps where they are missing, or `NO_TIMESTAMP`, [N]."""

    dts: NDArray[np.int64]
    """Decoding timestamps or `NO_TIMESTAMP`, [N]."""

    durations: NDArray[np.int64]
    """Durations; 0 if unknown, [N]."""

    byte_positions: NDArray[np.int64]
    """Positions in the file, or -1, [N]."""

    keyframes: NDArray[np.bool_]
    """Whether decoding can begin at each packet, [N]."""

    presented: NDArray[np.bool_]
    """Whether each packet has a timestamp and is presented: edit lists hide packets that others depend on, [N]."""

    @property
    def decoding_times(self) -> NDArray[np.float64]:
        """Decoding timestamps in seconds; presentation timestamps where they are missing, [N]."""
        return self.seconds(np.where(self.dts == NO_TIMESTAMP, self.pts, self.dts))

    @property
    def is_in_decoding_order(self) -> bool:
        """Whether frames have timestamps in the order in which they are decoded."""
        return bool((np.diff(self.pts) > 0).all())

    @property
    def span(self) -> float:
        """Seconds from the first timestamp to the end of the last packet."""
        known = self.pts[self.presented]
        last = self.durations[self.presented][-1] if len(known) else 0
        return float((known.max() - known.min() + last) * self.time_base) if len(known) else 0.0

    def find(self, packet: "Packet[Any]") -> int | None:
        """Return the number of a packet; None if it is unknown."""
        pts, position = packet_pts(packet), -1 if packet.pos is None else packet.pos
        found = np.flatnonzero((self.pts == pts) & (self.byte_positions == position))
        return int(found[0]) if len(found) else None

    def seconds(self, values: NDArray[np.int64]) -> NDArray[np.float64]:
        """Convert timestamps or durations to seconds."""
        return np.asarray(values * float(self.time_base))


def read_packets(container: InputContainer, streams: list[Stream]) -> dict[int, StreamPackets]:
    """Read the packet headers of streams up to the end of the file.

    Returns:
        The packets by stream index; streams without packets are left out.
    """
    values = array("q")
    for packet in demux(container, *streams):
        pts = packet_pts(packet)
        values.extend(
            (
                packet.stream_index,
                NO_TIMESTAMP if pts is None else pts,
                NO_TIMESTAMP if packet.dts is None else packet.dts,
                packet.duration or 0,
                -1 if packet.pos is None else packet.pos,
                packet.is_keyframe,
                packet.is_discard,
            )
        )
    table = np.frombuffer(values, dtype=np.int64).reshape(-1, _COLUMNS) if values else np.zeros((0, _COLUMNS), np.int64)
    time_bases = {stream.index: stream.time_base for stream in streams if stream.time_base}
    found = {}
    for number, time_base in time_bases.items():
        rows = np.flatnonzero(table[:, 0] == number)
        if len(rows):
            _, pts, dts, durations, positions, keyframes, discarded = table[rows].T
            presented = (pts != NO_TIMESTAMP) & (discarded == 0)
            found[number] = StreamPackets(
                time_base, rows, pts, dts, durations.clip(min=0), positions, keyframes == 1, presented
            )
    return found


def seek(
    container: InputContainer, stream: StreamT, packets: StreamPackets, target: int
) -> "Iterator[tuple[int, Packet[StreamT]]]":
    """Seek to a packet, or as closely before it as the format allows.

    Timestamps must not restart: FFmpeg would find another packet with the same one.

    Args:
        container: An open container.
        stream: A stream of the container.
        packets: The packets of the stream.
        target: Number of the packet.

    Yields:
        The packets from there on, with their numbers.
    """
    # Formats that seek by decoding timestamps land behind the packet unless the target is earlier.
    margin = round(1 / packets.time_base)
    for timestamp in (packets.pts[target] - margin, packets.pts[packets.presented].min() - margin):
        with suppress(av.error.FFmpegError):
            container.seek(int(timestamp), stream=stream)
        following = demux(container, stream)
        # The first packets after a seek may be incomplete.
        for packet in islice(following, MAX_INCOMPLETE_PACKETS):
            number = packets.find(packet)
            if number is not None and number <= target:
                yield number, packet
                yield from enumerate(following, number + 1)
                return


def packet_pts(packet: "Packet[Any]") -> int | None:
    """Return the presentation timestamp of a packet, or its decoding timestamp if it has none."""
    return packet.dts if packet.pts is None else packet.pts


def demux(container: InputContainer, *streams: StreamT) -> "Iterator[Packet[StreamT]]":
    """Yield the packets of streams in file order, skipping damaged ones."""
    errors = 0
    while errors < MAX_CONSECUTIVE_ERRORS:
        try:
            for packet in container.demux(streams):
                errors = 0
                if packet.size:
                    yield cast("Packet[StreamT]", packet)
            return
        # PyAV raises an IndexError at the end of a file in which another stream has appeared midway.
        except (av.error.EOFError, IndexError):
            return
        except av.error.FFmpegError as error:
            errors += 1
            logger.debug("%s: unreadable packet: %s", container.name, error)
