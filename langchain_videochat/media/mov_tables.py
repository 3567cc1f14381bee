"""Checks of MP4 and QuickTime files before FFmpeg opens them: their tables can cost it minutes or gigabytes."""

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from pathlib import Path
from struct import unpack_from
from typing import BinaryIO

from langchain_videochat.errors import MediaError

MAX_UNLISTED_SAMPLES = 2**22
"""Samples that any file may declare without listing their sizes; a larger file may declare one per byte."""

MAX_HEADER_BYTES = 2**27
"""Number of bytes of a header that are checked."""

_PARSED = {b"moov", b"moof", b"trak", b"traf", b"mdia", b"minf", b"stbl", b"edts", b"mvex", b"udta"}
"""Top-level boxes that FFmpeg searches for tables."""

_DISGUISED = {b"free", b"hoov"}
"""Top-level boxes that contain the header if the recording was not finished."""

_TABLES = re.compile(rb"trak|tkhd|hdlr|stts|stsz|trun")

_HEADER_BYTES, _LONG_HEADER_BYTES = 8, 16
"""Length of a box header with a 32-bit size, and with a 64-bit size."""

_LISTED = 0xF00
"""Flags of a "trun" box that lists its samples."""


def check_tables(path: Path) -> None:
    """Refuse an MP4 or QuickTime file whose tables FFmpeg cannot read in reasonable time and memory.

    Files of other formats pass. The result is cached until the file changes.

    Raises:
        MediaError: A track has a negative number, which makes FFmpeg go through two billion fragments for each one in
            the file, or the file declares more samples than it can hold, for each of which FFmpeg allocates memory.
    """
    status = path.stat()
    _check_tables(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _check_tables(path: Path, size: int, modified: int) -> None:
    with path.open("rb") as file:
        boxes = chain.from_iterable((box, *_decompress(box)) for box in _parsed_boxes(file, size))
        unlisted = sum(_count_unlisted(path, box) for box in boxes)
    if unlisted > max(MAX_UNLISTED_SAMPLES, size):
        raise _damaged(path, f"it declares {unlisted:,} frames, more than it can hold")


def _parsed_boxes(file: BinaryIO, length: int) -> Iterator[bytes]:
    """Yield the top-level boxes that FFmpeg parses."""
    position = 0
    while len(header := file.read(_LONG_HEADER_BYTES)) >= _HEADER_BYTES:
        size, kind = unpack_from(">I4s", header)
        if size == 1 and len(header) == _LONG_HEADER_BYTES:
            (size,) = unpack_from(">Q", header, _HEADER_BYTES)
        end = length if size == 0 else position + size
        if kind in _PARSED or (kind in _DISGUISED and header[12:] in (b"mvhd", b"cmov")):
            file.seek(position)
            yield file.read(min(end - position, MAX_HEADER_BYTES))
        if not position + _HEADER_BYTES <= end < length:
            return
        file.seek(end)
        position = end


def _decompress(box: bytes) -> Iterator[bytes]:
    """Yield the compressed headers in a box, which old QuickTime files have."""
    for header in re.finditer(rb"cmvd", box):
        with suppress(zlib.error):
            yield zlib.decompressobj().decompress(box[header.end() + 4 :], MAX_HEADER_BYTES)


def _count_unlisted(path: Path, box: bytes) -> int:
    """Check the tables in a box, and return the number of samples that they declare without listing them."""
    total = 0
    is_sound = is_pcm = False
    for table in _TABLES.finditer(box):
        start = table.end()
        try:
            match table[0]:
                case b"trak":
                    is_sound = is_pcm = False
                case b"tkhd":
                    (number,) = unpack_from(">i", box, start + (20 if box[start : start + 1] == b"\1" else 12))
                    if number < 0:
                        raise _damaged(path, f"it has a track with the invalid number {number}")
                case b"hdlr":
                    is_sound = is_sound or box[start + 8 : start + 12] == b"soun"
                case b"stts":
                    # FFmpeg reads samples that last one unit of time in chunks.
                    entries, duration = unpack_from(">I4xI", box, start + 4)
                    is_pcm = is_sound and (entries, duration) == (1, 1)
                case b"stsz":
                    size, count = unpack_from(">II", box, start + 4)
                    total += count if size and not is_pcm else 0
                case b"trun":
                    flags, count = unpack_from(">II", box, start)
                    total += 0 if flags & _LISTED else count
        except struct.error:
            continue  # not a table
    return total


def _damaged(path: Path, problem: str) -> MediaError:
    return MediaError(path, problem, "The file is damaged: copy or export it again")
