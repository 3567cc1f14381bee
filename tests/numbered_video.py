"""Videos whose frames show their own numbers, so that tests can identify them."""

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
"""Binary digits are drawn as squares of 40 x 40 pixels, which survive every codec."""

TICKS = Fraction(1, 1000)
"""Time base of the frames given to the encoder, in seconds."""


def draw_number(number: int) -> NDArray[np.uint8]:
    """Draw a number below 4096 as black and white squares."""
    digits = (number >> np.arange(COLUMNS * ROWS)) & 1
    squares = (16 + 224 * digits).astype(np.uint8).reshape(ROWS, COLUMNS)
    grey = squares.repeat(HEIGHT // ROWS, axis=0).repeat(WIDTH // COLUMNS, axis=1)
    return np.stack([grey] * 3, axis=-1)


def read_number(picture: NDArray[np.uint8]) -> int:
    """Read the number from a picture of any size."""
    height, width = picture.shape[:2]
    rows = (np.arange(ROWS) * 2 + 1) * height // (2 * ROWS)
    columns = (np.arange(COLUMNS) * 2 + 1) * width // (2 * COLUMNS)
    digits = picture[np.ix_(rows, columns)].mean(axis=-1).reshape(-1) > 127
    return int((digits << np.arange(COLUMNS * ROWS)).sum())


def regular(frames: int, rate: int = 25) -> list[int]:
    """Return the times of frames at a constant rate, in milliseconds."""
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
        path: Output file; its suffix determines the container.
        codec: FFmpeg's name of the encoder.
        times: Time of each frame in milliseconds; by default 75 frames at 25 per second.
        gop: Number of frames between keyframes.
        b_frames: Maximum number of consecutive B-frames.
        options: Further options of the encoder.
        container_options: Options of the muxer.
        pix_fmt: Pixel format of the encoder.
    """
    times = regular(75) if times is None else times
    with av.open(path, "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        context = stream.codec_context
        context.gop_size, context.max_b_frames = gop, b_frames
        # These encoders and containers count time in frames.
        constant_rate = path.suffix == ".avi" or codec in ("mpeg4", "gif", "flv", "mpeg2video")
        context.time_base = Fraction(1, 25) if constant_rate else TICKS
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(draw_number(number), format="rgb24")
            frame.pts, frame.time_base = round(time * TICKS / context.time_base), context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@dataclass(frozen=True, eq=False)
class Reference:
    """All frames of a video, decoded sequentially."""

    path: Path
    times: NDArray[np.float64]
    """Time of each frame in seconds from the first."""
    numbers: NDArray[np.int64]
    """The number that each frame shows."""
    keyframes: NDArray[np.bool_]
    """Whether each frame is a keyframe."""

    def displayed_at(self, times: ArrayLike) -> NDArray[np.int64]:
        """Return the position of the frame displayed at each time, with a tolerance of half a millisecond."""
        return np.searchsorted(self.times, np.asarray(times) + 0.0005, side="right").clip(min=1) - 1

    def number_at(self, time: float) -> int:
        """Return the number of the frame that starts at a time."""
        position = int(np.abs(self.times - time).argmin())
        assert abs(self.times[position] - time) < 1e-6
        return int(self.numbers[position])


def decode_in_sequence(path: Path) -> Reference:
    """Decode a whole video sequentially."""
    with av.open(path) as container:
        frames = [
            (frame.time, read_number(np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)), frame.key_frame)
            for frame in container.decode(video=0)
        ]
    times, numbers, keyframes = zip(*frames, strict=True)
    return Reference(path, (np.array(times) - times[0]).round(6), np.array(numbers), np.array(keyframes, dtype=bool))
