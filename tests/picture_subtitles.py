"""Videos with subtitles that are pictures."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tests.media_files import run_ffmpeg

SCREEN = (720, 576)

TRANSPARENT, EDGE, FILL = 0, 1, 2
PALETTE = {TRANSPARENT: (16, 0), EDGE: (16, 255), FILL: (235, 255)}
"""Brightness and opacity of each color."""

Event = tuple[float, str | None]
"""Time in seconds, and the text that is displayed from then on, if any."""


def draw_text(text: str) -> NDArray[np.uint8]:
    """Draw light text with a dark edge; return the color of each pixel."""
    picture = Image.new("L", (len(text) * 18 + 40, 50 * (1 + text.count("\n"))), TRANSPARENT)
    ImageDraw.Draw(picture).text(
        (10, 8), text, fill=FILL, stroke_width=2, stroke_fill=EDGE, font=ImageFont.load_default(size=28)
    )
    return np.asarray(picture)


def encode_pgs(events: Sequence[Event], palette: dict[int, tuple[int, int]] = PALETTE) -> bytes:
    """Encode the subtitles of a Blu-ray disc (.sup)."""
    return b"".join(
        b"PG" + round(time * 90_000).to_bytes(4, "big") + bytes(4) + bytes([kind]) + _sized(content)
        for number, (time, text) in enumerate(events)
        for kind, content in _pgs_segments(number, text, palette)
    )


def make_picture_video(
    film: Path,
    path: Path,
    *tracks: Sequence[Event],
    codec: str = "copy",
    with_ends: bool = True,
    palette: dict[int, tuple[int, int]] = PALETTE,
    options: Sequence[str] = (),
) -> Path:
    """Add tracks of pictures to a video.

    Args:
        film: The video.
        path: The result.
        tracks: The subtitles of each track.
        codec: "copy" for those of Blu-ray discs, "dvdsub", or "dvbsub" for broadcasts.
        with_ends: Whether subtitles in the last two formats have the right durations.
        palette: Brightness and opacity of each color.
        options: Further options of ffmpeg.
    """
    inputs = ["-i", str(film)]
    for number, events in enumerate(tracks):
        # FFmpeg lets a file begin with its first event.
        file = path.with_name(f"{path.stem}-{number}.pgs")
        file.write_bytes(encode_pgs([(0.0, None), *events], palette))
        inputs += [*(["-fix_sub_duration"] if with_ends else []), "-f", "sup", "-i", str(file)]
    maps = [option for number in range(len(tracks) + 1) for option in ("-map", str(number))]
    run_ffmpeg(*inputs, *maps, "-c", "copy", "-c:s", codec, *options, str(path))
    return path


def _pgs_segments(number: int, text: str | None, palette: dict[int, tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
    header = _words(*SCREEN) + b"\x10" + _words(number) + b"\x80\0\0"
    if text is None:
        yield 0x16, header + b"\0"
        yield 0x80, b""
        return
    picture = draw_text(text)
    height, width = picture.shape
    left, top = (SCREEN[0] - width) // 2, SCREEN[1] - height - 20
    yield 0x16, header + b"\x01" + bytes(4) + _words(left, top)
    yield 0x17, b"\x01\0" + _words(left, top, width, height)
    yield 0x14, b"\0\0" + b"".join(bytes([color, luma, 128, 128, alpha]) for color, (luma, alpha) in palette.items())
    lines = _run_lengths(picture)
    yield 0x15, b"\0\0\0\xc0" + (len(lines) + 4).to_bytes(3, "big") + _words(width, height) + lines
    yield 0x80, b""


def _run_lengths(picture: NDArray[np.uint8]) -> bytes:
    encoded = b""
    for row in picture:
        starts = [0, *(np.flatnonzero(np.diff(row.astype(int))) + 1).tolist(), len(row)]
        for start, end in pairwise(starts):
            color, length = int(row[start]), end - start
            # 14 bits for the length, two flags: the length is long, a color follows.
            encoded += b"\0" + (0x4000 | (0x8000 if color else 0) | length).to_bytes(2, "big")
            encoded += bytes([color] if color else [])
        encoded += b"\0\0"
    return encoded


def _sized(content: bytes) -> bytes:
    return _words(len(content)) + content


def _words(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)
