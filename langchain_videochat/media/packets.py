"""The packet index: when each frame is shown and where decoding can begin, without decoding anything."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TypeVar, cast

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from langchain_videochat.errors import MediaError
from langchain_videochat.media.container import open_container, video_stream

logger = logging.getLogger(__name__)

MAX_ERRORS_IN_A_ROW = 50

USUAL_RATE = 25
"""Frames a second by which the only frame of a video is given a length where the file does not tell it."""

MAX_SECONDS = 24 * 3600.0
"""How far from the middle frame a frame may be shown: beyond, its time stamp is taken for damaged."""

StreamT = TypeVar("StreamT", bound=Stream)


@dataclass(frozen=True, eq=False)
class PacketIndex:
    """The presented frames of a video stream in the order in which they are shown."""

    stamps: NDArray[np.int64]
    """Each frame's presentation time stamp, in `time_base`, ascending, without repeats."""

    ranks: NDArray[np.int64]
    """Each frame's place in the file, which is the order of decoding."""

    keys: NDArray[np.bool_]
    """Whether decoding can begin at the frame."""

    time_base: Fraction
    """Seconds a unit of `stamps`."""

    duration: float
    """Seconds from the first presented frame to the end of the last."""

    declared: float
    """Seconds that the file's head promises; more than `duration` where the file is cut off."""

    pixel_aspect: Fraction | None
    """Width of a stored pixel divided by its height; None where the file does not tell."""

    @property
    def origin(self) -> float:
        """Time of the first presented frame in seconds on the container's own clock."""
        return float(self.stamps[0] * self.time_base)

    @property
    def times(self) -> NDArray[np.float64]:
        """Each frame's time in seconds from the first."""
        return np.asarray((self.stamps - self.stamps[0]) * float(self.time_base))


def index_packets(path: Path) -> PacketIndex:
    """Read all packet heads of a file's video stream; a file that has not changed is read once.

    Raises:
        MediaError: The file has no video stream, or none of its packets can be read.
    """
    status = path.stat()
    return _index_packets(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _index_packets(path: Path, size: int, modified: int) -> PacketIndex:
    with open_container(path) as container:
        stream = video_stream(container, path)
        packets = [
            (stamp, packet.is_keyframe, packet.duration or 0, packet.is_discard)
            for packet in demux(container, stream)
            if (stamp := stamp_of(packet)) is not None
        ]
        found = np.array([packet[0] for packet in packets], dtype=np.int64)
        shown = np.array([not discarded for *_, discarded in packets], dtype=bool)
        if stream.time_base is None or not shown.any():
            raise MediaError(
                path, "no frame of this video can be found", "The file is damaged: copy or export it again"
            )
        limit = int(MAX_SECONDS / stream.time_base)
        middle = float(np.quantile(found[shown], 0.5, method="nearest"))
        shown &= np.abs(found - middle) <= limit
        stamps, first = np.unique(found[shown], return_index=True)
        ranks = np.flatnonzero(shown)[first]
        keys = np.array([packet[1] for packet in packets], dtype=bool)[ranks]
        # A stream cut out of a longer one may begin between key frames; decoding then begins at its first packet.
        keys[0] = True
        last_length = (packets[ranks[-1]][2] or _mean_length(stamps, stream)) * float(stream.time_base)
        duration = float((stamps[-1] - stamps[0]) * stream.time_base) + min(last_length, MAX_SECONDS)
        declared = _declared(stream, duration)
        return PacketIndex(stamps, ranks, keys, stream.time_base, duration, declared, stream.sample_aspect_ratio)


def _mean_length(stamps: NDArray[np.int64], stream: VideoStream) -> int:
    if len(stamps) > 1:
        return int((stamps[-1] - stamps[0]) / (len(stamps) - 1))
    rate = stream.average_rate or USUAL_RATE
    return max(1, int(1 / rate / stream.time_base)) if stream.time_base else 1


def _declared(stream: VideoStream, duration: float) -> float:
    # Only formats that count their frames (mp4, mov) tell reliably what should be there.
    if stream.frames and stream.duration and stream.time_base:
        return max(duration, float(stream.duration * stream.time_base))
    return duration


def stamp_of(packet: "Packet[VideoStream]") -> int | None:
    """Return the time stamp by which a packet and its frame are known; decoding times stand in where no other is."""
    return packet.dts if packet.pts is None else packet.pts


def demux(container: InputContainer, *streams: StreamT) -> "Iterator[Packet[StreamT]]":
    """Yield the packets of streams in file order, going on after damaged ones as long as others follow."""
    errors = 0
    while errors < MAX_ERRORS_IN_A_ROW:
        try:
            for packet in container.demux(streams):
                errors = 0
                if packet.size:
                    yield cast("Packet[StreamT]", packet)
            return
        # PyAV fails with an IndexError at the end of a file in whose middle another stream has turned up.
        except (av.error.EOFError, IndexError):
            return
        except av.error.FFmpegError as error:
            errors += 1
            logger.debug("%s: unreadable packet: %s", container.name, error)
