"""Synthetic talks: slides with known text and times."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Slide = Sequence[str]

RATE = 5
"""Frames per second. Tests use times at least a second apart."""


def draw_slide(lines: Slide, size: tuple[int, int] = (640, 360)) -> Image.Image:
    """Draw lines of dark text on a light background."""
    picture = Image.new("RGB", size, (245, 244, 240))
    pen = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        pen.text((40, 40 + 60 * number), line, fill=(30, 30, 60), font=ImageFont.load_default(size=32))
    return picture


def render_talk(
    path: Path,
    slides: Sequence[Slide],
    seconds: float = 4.0,
    *,
    size: tuple[int, int] = (640, 360),
    decorate: Callable[[Image.Image, float], None] = lambda _picture, _time: None,
) -> Path:
    """Render slides as a video, with a keyframe at each change and every two seconds.

    Args:
        path: Output file.
        slides: Lines of text of each slide.
        seconds: Duration of each slide.
        size: Width and height in pixels.
        decorate: Draws on a frame, given its time in seconds.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "g": str(2 * RATE)})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for number in range(round(len(slides) * seconds * RATE)):
            picture = draw_slide(slides[int(number / RATE // seconds)], size)
            decorate(picture, number / RATE)
            for packet in stream.encode(_frame(np.asarray(picture), number)):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def _frame(picture: NDArray[np.uint8], number: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    frame.pts, frame.time_base = number, Fraction(1, RATE)
    return frame
