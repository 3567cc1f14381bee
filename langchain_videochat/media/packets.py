"""The packet index: when each frame is shown and where decoding can begin, found without decoding."""

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

MAX_CONSECUTIVE_ERRORS = 50

DEFAULT_FRAME_RATE = 25
"""Frames per second that determine the duration of a single-frame video whose frame rate is unknown."""

MAX_PTS_DISTANCE = 24 * 3600.0
"""Seconds from the median frame beyond which a timestamp counts as damaged: a flipped bit can mean weeks."""

StreamT = TypeVar("StreamT", bound=Stream)


@dataclass(frozen=True, eq=False)
class PacketIndex:
    """The presented frames of a video stream, in presentation order."""

    pts: NDArray[np.int64]
    """Presentation timestamps in units of `time_base`, strictly ascending, [N]."""

    decode_order: NDArray[np.int64]
    """Position of each frame in the file, which is its position in decoding order, [N]."""

    keyframes: NDArray[np.bool_]
    """Whether decoding can begin at each frame, [N]."""

    time_base: Fraction
    """Seconds per unit of `pts`."""

    duration: float
    """Seconds from the first presented frame to the end of the last."""

    declared_duration: float
    """Seconds according to the header; more than `duration` if the file is truncated."""

    pixel_aspect: Fraction | None
    """Width of a stored pixel divided by its height; None if the file does not declare it."""

    @property
    def start_time(self) -> float:
        """Timestamp of the first presented frame, in seconds."""
        return float(self.pts[0] * self.time_base)

    @property
    def times(self) -> NDArray[np.float64]:
        """Time of each frame, in seconds from the first, [N]."""
        return np.asarray((self.pts - self.pts[0]) * float(self.time_base))


def index_packets(path: Path) -> PacketIndex:
    """Read the packet headers of a file's video stream. The index is cached until the file changes.

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
            (timestamp, packet.is_keyframe, packet.duration or 0, packet.is_discard)
            for packet in demux(container, stream)
            if (timestamp := packet_pts(packet)) is not None
        ]
        file_pts = np.array([packet[0] for packet in packets], dtype=np.int64)
        # Packets that an edit list hides are decoded, but not presented.
        presented = np.array([not discard for *_, discard in packets], dtype=bool)
        if stream.time_base is None or not presented.any():
            problem = "no frame of this video can be found"
            raise MediaError(path, problem, "The file is damaged: copy or export it again")
        median = float(np.quantile(file_pts[presented], 0.5, method="nearest"))
        presented &= np.abs(file_pts - median) <= int(MAX_PTS_DISTANCE / stream.time_base)
        pts, first = np.unique(file_pts[presented], return_index=True)
        decode_order = np.flatnonzero(presented)[first]
        keyframes = np.array([packet[1] for packet in packets], dtype=bool)[decode_order]
        # A stream cut out of a longer one may begin between keyframes; decoding then begins at its first packet.
        keyframes[0] = True
        last_duration = (packets[decode_order[-1]][2] or _mean_duration(pts, stream)) * float(stream.time_base)
        duration = float((pts[-1] - pts[0]) * stream.time_base) + min(last_duration, MAX_PTS_DISTANCE)
        declared, pixel_aspect = _declared_duration(stream, duration), stream.sample_aspect_ratio
        return PacketIndex(pts, decode_order, keyframes, stream.time_base, duration, declared, pixel_aspect)


def _mean_duration(pts: NDArray[np.int64], stream: VideoStream) -> int:
    if len(pts) > 1:
        return int((pts[-1] - pts[0]) / (len(pts) - 1))
    rate = stream.average_rate or DEFAULT_FRAME_RATE
    return max(1, int(1 / rate / stream.time_base)) if stream.time_base else 1


def _declared_duration(stream: VideoStream, duration: float) -> float:
    # Only formats that count their frames (mp4, mov) declare a reliable duration.
    if stream.frames and stream.duration and stream.time_base:
        return max(duration, float(stream.duration * stream.time_base))
    return duration


def packet_pts(packet: "Packet[VideoStream]") -> int | None:
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
