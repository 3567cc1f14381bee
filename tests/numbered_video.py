"""Videos whose every frame carries its own number, so that a test can tell which frame it was given."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import ArrayLike, NDArray

WIDTH, HEIGHT = 160, 120
COLUMNS, ROWS = 4, 3
"""Squares of the number's binary digits, of 40 pixels a side: no codec blurs them away."""

TICKS = Fraction(1, 1000)
"""Seconds a unit in which frames' times are given to the encoder."""


def draw_number(number: int) -> NDArray[np.uint8]:
    """Draw a number below 4096 as black and white squares."""
    digits = (number >> np.arange(COLUMNS * ROWS)) & 1
    squares = (16 + 224 * digits).astype(np.uint8).reshape(ROWS, COLUMNS)
    grey = squares.repeat(HEIGHT // ROWS, axis=0).repeat(WIDTH // COLUMNS, axis=1)
    return np.stack([grey] * 3, axis=-1)


def read_number(picture: NDArray[np.uint8]) -> int:
    """Read the number of a picture of any size."""
    height, width = picture.shape[:2]
    rows = (np.arange(ROWS) * 2 + 1) * height // (2 * ROWS)
    columns = (np.arange(COLUMNS) * 2 + 1) * width // (2 * COLUMNS)
    digits = picture[np.ix_(rows, columns)].mean(axis=-1).reshape(-1) > 127
    return int((digits << np.arange(COLUMNS * ROWS)).sum())


def regular(frames: int, rate: int = 25) -> list[int]:
    """Times of frames at a steady rate, in milliseconds."""
    return [round(number * 1000 / rate) for number in range(frames)]


def make_numbered(
    path: Path,
    codec: str = "libx264",
    times: Sequence[int] | None = None,
    *,
    gop: int = 12,
    b_frames: int = 0,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    pix_fmt: str = "yuv420p",
) -> Path:
    """Write a video whose frame k shows the number k.

    Args:
        path: Where to write; the ending decides on the container.
        codec: FFmpeg's name of the encoder.
        times: When each frame is shown, in milliseconds; 75 frames at 25 a second unless given.
        gop: Frames from one key frame to the next.
        b_frames: Frames that depend on later ones, between two others.
        options: Further options of the encoder.
        container_options: Options of the container's writer.
        pix_fmt: Format in which the encoder stores pixels.
    """
    times = regular(75) if times is None else times
    with av.open(path, "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        context = stream.codec_context
        context.gop_size, context.max_b_frames = gop, b_frames
        # These count in whole frames.
        steady = path.suffix == ".avi" or codec in ("mpeg4", "gif", "flv", "mpeg2video")
        context.time_base = Fraction(1, 25) if steady else TICKS
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(draw_number(number), format="rgb24")
            frame.pts, frame.time_base = round(time * TICKS / context.time_base), context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@dataclass(frozen=True, eq=False)
class Reference:
    """All frames of a video, decoded one after the other."""

    path: Path
    times: NDArray[np.float64]
    """When each is shown, in seconds from the first."""
    numbers: NDArray[np.int64]
    """What it shows."""
    keys: NDArray[np.bool_]
    """Whether it is a key frame."""

    def on_display(self, asked: ArrayLike) -> NDArray[np.int64]:
        """Find the position of the frame on display at each time; at its start, to half a millisecond, it is."""
        return np.searchsorted(self.times, np.asarray(asked) + 0.0005, side="right").clip(min=1) - 1

    def shown_at(self, time: float) -> int:
        """Tell the number of the frame that begins at a time."""
        position = int(np.abs(self.times - time).argmin())
        assert abs(self.times[position] - time) < 1e-6
        return int(self.numbers[position])


def decode_in_sequence(path: Path) -> Reference:
    """Decode a whole video the plain way."""
    with av.open(path) as container:
        shown = [
            (frame.time, read_number(np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)), frame.key_frame)
            for frame in container.decode(video=0)
        ]
    times, numbers, keys = zip(*shown, strict=True)
    return Reference(path, (np.array(times) - times[0]).round(6), np.array(numbers), np.array(keys, dtype=bool))
