"""Contact sheets: grids of frames with their times, in one picture that models read cheaply."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from langchain_videochat.errors import InputError
from langchain_videochat.media import probe, sample_frames
from langchain_videochat.perception.frame_selection import select_frames
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.timecode import format_timecode

MAX_FRAMES = 12
"""Frames of a sheet: of a wide video, each then has 293 by 165 pixels."""

MAX_FRAMES_LIMIT = 30
"""Largest number of frames that can be requested: in smaller ones, models recognize little."""

LONG_SIDE, SHORT_SIDE = 896, 672
"""Maximum size of a sheet in pixels: multiples of the patches that Anthropic (28) and OpenAI (32) bill, with the
proportions of 4 tiles of 512 pixels, into which older models of OpenAI scale a picture."""

MIN_SIDE = 168
"""Shorter side in pixels up to which frames of small videos are enlarged: models hardly recognize smaller pictures."""

MIN_ASPECT, MAX_ASPECT = 0.25, 8.0
"""Width divided by height of a cell; frames that are narrower or wider get margins."""

GAP = 4
"""Pixels between frames."""

LABEL_SIZE = 20
"""Font size of the times in pixels."""

LABEL_MARGIN = 5
"""Pixels around a time."""

MAX_DECIMALS = 3
"""Decimals of the times of frames in quick succession."""


@dataclass(frozen=True, eq=False)
class ContactSheet:
    """Frames of a video in one picture, row by row, each with its time in the upper left corner."""

    picture: NDArray[np.uint8]
    """RGB picture of at most 896 by 672 or 672 by 896 pixels, [height, width, 3]."""

    times: tuple[float, ...]
    """Times at which the frames appear, in seconds, ascending."""

    labels: tuple[str, ...]
    """The times in the picture: rounded up, so that each is within the time until the next frame."""


def make_contact_sheet(
    source: str | Path, start: float | None = None, end: float | None = None, *, max_frames: int = MAX_FRAMES
) -> ContactSheet:
    """Draw frames of a video, chosen where the picture changes, into one picture.

    A model gets an overview of a video from it for the price of one picture: 600 to 1,100 tokens.

    Args:
        source: A local file.
        start: Seconds; the start of the video if None.
        end: Seconds; the end of the video if None or later than that.
        max_frames: Maximum number of frames, from 1 to 30. There are fewer if less changes.

    Raises:
        SourceError: The file does not exist.
        MediaError: The file has no video stream, or none of the frames can be decoded.
        InputError: `max_frames` is out of range, or the times are invalid or outside the video.

    Example:
        >>> make_contact_sheet("talk.mp4", 60, 120).labels  # doctest: +SKIP
        ('01:01', '01:07', '01:11', ...)
    """
    if not 1 <= max_frames <= MAX_FRAMES_LIMIT:
        problem = f"must be from 1 to {MAX_FRAMES_LIMIT}, got {max_frames}"
        raise InputError("max_frames", problem, "Make several sheets of shorter parts")
    video = probe(source)
    interval = Interval.of(start, end)
    # From its start, even a video without duration (an image, a damaged file) can be read.
    interval = interval.within(video.duration) if interval.start else Interval(0.0, min(interval.end, video.duration))
    times = select_frames(source, interval, max_frames)
    grid = _Grid.of(len(times), video.width, video.height)
    batches = sample_frames(source, times=times, size=min(grid.width, grid.height), mode="exact")
    frames = [frame for batch in batches for frame in batch.frames]
    labels = _labels(times, max(interval.end, times[-1] + 0.001))
    return ContactSheet(_draw(grid, frames, labels), tuple(times), tuple(labels))


@dataclass(frozen=True)
class _Grid:
    """Cells of the same size."""

    columns: int
    rows: int
    width: int
    """Width of a cell in pixels."""
    height: int
    """Height of a cell in pixels."""

    @classmethod
    def of(cls, count: int, width: int, height: int) -> "_Grid":
        """Return the grid in which frames are largest, and among these the one with the fewest empty cells.

        Args:
            count: Number of frames.
            width: Displayed width of the video.
            height: Displayed height of the video.
        """
        aspect = min(max(width / max(height, 1), MIN_ASPECT), MAX_ASPECT)
        largest = round(max(MIN_SIDE, min(width, height)) * max(1.0, aspect))
        sheets = ((LONG_SIDE, SHORT_SIDE), (SHORT_SIDE, LONG_SIDE))
        columns = range(1, count + 1)
        grids = [cls._within(sheet, number, count, aspect, largest) for sheet in sheets for number in columns]
        return max(grids, key=lambda grid: (grid.width, -grid.columns * grid.rows))

    @classmethod
    def _within(cls, sheet: tuple[int, int], columns: int, count: int, aspect: float, largest: int) -> "_Grid":
        rows = ceil(count / columns)
        across = (sheet[0] - GAP * (columns - 1)) / columns
        down = (sheet[1] - GAP * (rows - 1)) / rows
        width = min(across, down * aspect, largest)
        return cls(columns, rows, int(width), int(width / aspect))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the sheet in pixels."""
        return self.columns * (self.width + GAP) - GAP, self.rows * (self.height + GAP) - GAP

    def corner(self, number: int) -> tuple[int, int]:
        """Return the position of the upper left corner of a cell."""
        row, column = divmod(number, self.columns)
        return column * (self.width + GAP), row * (self.height + GAP)


def _draw(grid: _Grid, frames: Sequence[NDArray[np.uint8]], labels: Sequence[str]) -> NDArray[np.uint8]:
    sheet = Image.new("RGB", grid.size)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=LABEL_SIZE)
    for number, (frame, label) in enumerate(zip(frames, labels, strict=True)):
        x, y = grid.corner(number)
        picture = _fit(Image.fromarray(frame), grid.width, grid.height)
        sheet.paste(picture, (x + (grid.width - picture.width) // 2, y + (grid.height - picture.height) // 2))
        left, top, right, bottom = pen.textbbox((x + LABEL_MARGIN, y + LABEL_MARGIN), label, font)
        box = (left - LABEL_MARGIN, top - LABEL_MARGIN, right + LABEL_MARGIN, bottom + LABEL_MARGIN)
        pen.rectangle(box, "black")
        pen.text((x + LABEL_MARGIN, y + LABEL_MARGIN), label, "white", font)
    return np.asarray(sheet)


def _fit(picture: Image.Image, width: int, height: int) -> Image.Image:
    scale = min(width / picture.width, height / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _labels(times: Sequence[float], end: float) -> list[str]:
    """Format the times of frames: rounded up, with the fewest decimals at which no label reaches the next frame.

    A model that asks for the frame at such a time gets what it has seen, not what was there before.

    Args:
        times: Times in seconds.
        end: The end of the last frame.
    """
    for decimals in range(MAX_DECIMALS + 1):
        rounded = [_round_up(time, decimals) for time in times]
        if all(time < following for time, following in zip(rounded, (*times[1:], end), strict=True)):
            break
    return [_format(time, decimals) for time in rounded]


def _round_up(time: float, decimals: int) -> float:
    scale: int = 10**decimals
    return ceil(round(time * scale, 3)) / scale


def _format(time: float, decimals: int) -> str:
    whole, fraction = divmod(round(time * 10**decimals), 10**decimals)
    return format_timecode(whole) + (f".{fraction:0{decimals}d}" if decimals else "")
