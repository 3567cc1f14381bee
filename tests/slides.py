"""Talks for tests: slides whose text and times are known."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Slide = Sequence[str]

RATE = 5
"""Frames a second: what the tests look at happens once a second at most."""


def draw_slide(lines: Slide, size: tuple[int, int] = (640, 360)) -> Image.Image:
    """Write lines in dark letters on a light ground."""
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
    """Show each slide for some seconds, with a key frame at each change and every two seconds.

    Args:
        path: File to write.
        slides: Lines of text.
        seconds: How long each is shown.
        size: Pixels.
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
