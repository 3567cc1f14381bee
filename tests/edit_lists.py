"""Edit lists of QuickTime files, as cameras and lossless editors write them."""

import struct
from collections.abc import Sequence
from pathlib import Path


def write_edit_list(path: Path, edits: Sequence[tuple[int, int]]) -> None:
    """Replace the edit list of the first track of a file whose `moov` box is the last.

    Args:
        path: The file.
        edits: Duration in units of the movie's time scale, and first media time in units of the track's, of each part.
    """
    entries = b"".join(struct.pack(">iiI", duration, media_time, 1 << 16) for duration, media_time in edits)
    elst = _box(b"elst", struct.pack(">II", 0, len(edits)) + entries)
    data = path.read_bytes()
    path.write_bytes(b"".join(_replace(data, _box(b"edts", elst), [b"moov", b"trak"])))


def _replace(data: bytes, edts: bytes, path: list[bytes]) -> list[bytes]:
    """Return the boxes of a box, with the edit list of the first box on `path` replaced."""
    boxes = []
    for kind, content in _boxes(data):
        if path and kind == path[0]:
            boxes.append(_box(kind, b"".join(_replace(content, edts, path[1:]))))
            path = [b""]
        elif not path and kind == b"edts":
            continue
        else:
            boxes.append(_box(kind, content))
        if not path and kind == b"tkhd":
            boxes.append(edts)
    return boxes


def _boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    boxes, position = [], 0
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        boxes.append((kind, data[position + 8 : position + size]))
        position += size
    return boxes


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content
