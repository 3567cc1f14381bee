"""From decoded frames to pictures as they are displayed."""

from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray


def displayed_size(
    width: int, height: int, pixel_aspect: Fraction | None = None, rotation: int = 0, size: int | None = None
) -> tuple[int, int]:
    """Tell how large a stored frame is shown.

    Args:
        width: Stored pixels.
        height: Stored pixels.
        pixel_aspect: Width of a stored pixel divided by its height; square if None or 0.
        rotation: Degrees, counter-clockwise.
        size: Length of the shorter side in pixels, if the frame is to be scaled down.

    Returns:
        Width and height in pixels.

    Example:
        >>> displayed_size(720, 576, Fraction(16, 15)), displayed_size(1920, 1080, rotation=90, size=360)
        ((768, 576), (360, 640))
    """
    shown_width = round(width * pixel_aspect) if pixel_aspect else width
    across, down = (height, shown_width) if rotation % 180 else (shown_width, height)
    scale = min(1.0, size / min(across, down)) if size else 1.0
    return max(1, round(across * scale)), max(1, round(down * scale))


def to_rgb(frame: VideoFrame, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale a frame, turn it upright and convert it to RGB.

    Args:
        frame: A decoded frame.
        size: Width and height in pixels, as displayed.

    Returns:
        Picture of shape [height, width, 3].
    """
    turns = frame.rotation // 90 % 4
    width, height = size if turns % 2 == 0 else size[::-1]
    picture = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
    return np.ascontiguousarray(np.rot90(picture, turns), dtype=np.uint8)
