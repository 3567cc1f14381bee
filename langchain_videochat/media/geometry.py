"""From decoded frames to pictures as displayed."""

from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray


def displayed_size(
    width: int, height: int, pixel_aspect: Fraction | None = None, rotation: int = 0, size: int | None = None
) -> tuple[int, int]:
    """Return the size at which a stored frame is displayed.

    Args:
        width: Width in stored pixels.
        height: Height in stored pixels.
        pixel_aspect: Width of a stored pixel divided by its height; square if None or 0.
        rotation: Degrees, counter-clockwise.
        size: Maximum length of the shorter side in pixels; unlimited if None.

    Returns:
        Width and height in pixels.

    Example:
        >>> displayed_size(720, 576, Fraction(16, 15)), displayed_size(1920, 1080, rotation=90, size=360)
        ((768, 576), (360, 640))
    """
    if pixel_aspect:
        width = round(width * pixel_aspect)
    if rotation % 180:
        width, height = height, width
    scale = min(1.0, size / min(width, height)) if size else 1.0
    return max(1, round(width * scale)), max(1, round(height * scale))


def to_rgb(frame: VideoFrame, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale a frame, rotate it upright and convert it to RGB.

    Args:
        frame: A decoded frame.
        size: Displayed width and height in pixels.

    Returns:
        An RGB picture, [height, width, 3].
    """
    quarter_turns = frame.rotation // 90 % 4
    width, height = size if quarter_turns % 2 == 0 else size[::-1]
    picture = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
    return np.ascontiguousarray(np.rot90(picture, quarter_turns), dtype=np.uint8)
