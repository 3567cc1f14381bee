"""Packets of subtitle tracks, on the clock that a player shows."""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.stream import SubtitleStream

from langchain_videochat.media.index import MediaIndex, index_media
from langchain_videochat.media.packets import demux, packet_pts

LEAD_SECONDS = 15.0
"""How long before an interval reading begins, for subtitles that are still displayed in it."""

INTERLEAVING_SECONDS = 5.0
"""How much later than pictures of the same time a subtitle may stand in the file."""


def demux_subtitles(
    path: Path,
    container: InputContainer,
    streams: Sequence[SubtitleStream],
    start: float = 0.0,
    end: float = math.inf,
) -> Iterator[tuple["Packet[Any]", float | None]]:
    """Yield the packets of subtitle tracks in file order.

    Args:
        path: The file.
        container: The open file.
        streams: The subtitle tracks.
        start: Packets that are displayed long before this time may be left out; seconds.
        end: Packets that are displayed after this time may be left out; seconds.

    Yields:
        Packets, and the time in seconds at which each is displayed, None if it has none.

    Raises:
        MediaError: No picture or sound of the file can be found.
    """
    index = index_media(path)
    if index.is_continuous and start > LEAD_SECONDS:
        with suppress(av.error.FFmpegError):
            container.seek(int((start - LEAD_SECONDS + index.start_time) * av.time_base))
    if index.is_continuous and math.isinf(end):
        timed: Iterator[tuple[Packet[Any], float]] = ((one, -index.start_time) for one in demux(container, *streams))
    else:
        timed = _with_offsets(index, container, streams, end)
    for packet, offset in timed:
        pts = packet_pts(packet)
        yield packet, None if pts is None else float(pts * packet.time_base) + offset


def _with_offsets(
    index: MediaIndex, container: InputContainer, streams: Sequence[SubtitleStream], end: float
) -> Iterator[tuple["Packet[Any]", float]]:
    """Yield packets with the offset of their timestamps, which is that of the pictures or sound around them."""
    track, guide = next(iter(index.streams.items()))
    offset = -index.start_time
    number = 0
    followed: list[Stream] = [*streams, container.streams[track]]
    for packet in demux(container, *followed):
        if packet.stream_index != track:
            yield packet, offset
            continue
        pts = packet_pts(packet)
        if pts is None:
            continue
        timestamp = float(pts * packet.time_base)
        if not index.is_continuous and number < len(guide.times) and not math.isnan(guide.times[number]):
            offset = float(guide.times[number]) - timestamp
        number += 1
        if timestamp + offset > end + INTERLEAVING_SECONDS:
            return
