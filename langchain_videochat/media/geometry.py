"""From decoded frames to pictures as displayed."""

from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from numpy.typing import NDArray

_COPY_SIDE = 16


@dataclass(frozen=True)
class Orientation:
    """The orientation in which stored frames are displayed; phones and screen recorders write it into the file."""

    is_transposed: bool = False
    """Whether rows and columns are swapped first."""

    is_flipped_x: bool = False
    """Whether left and right are then swapped."""

    is_flipped_y: bool = False
    """Whether top and bottom are then swapped."""

    @classmethod
    def of(cls, frame: VideoFrame) -> "Orientation":
        """Return the orientation of a frame, to the nearest right angle."""
        # A small copy, because a frame and its side data refer to each other: the frame would remain in memory until
        # Python collects garbage.
        copy = frame.reformat(width=_COPY_SIDE, height=_COPY_SIDE, format="rgb24", interpolation="POINT", threads=1)
        matrix = copy.side_data.get("DISPLAYMATRIX")
        if not isinstance(matrix, SideData):
            return cls()
        # x' = a x + c y and y' = b x + d y
        a, b, _, c, d = np.frombuffer(cast("memoryview", matrix), dtype=np.int32)[:5].tolist()
        if abs(b) > abs(a):
            return cls(True, c < 0, b < 0)
        return cls(False, a < 0, d < 0)

    @property
    def rotation(self) -> int:
        """Degrees, counter-clockwise, from 0 to 270; of a mirrored frame, after left and right were swapped."""
        if self.is_transposed:
            return 90 if self.is_flipped_y else 270
        return 180 if self.is_flipped_y else 0

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn a picture, [height, width, 3]."""
        turned = picture.transpose(1, 0, 2) if self.is_transposed else picture
        return np.ascontiguousarray(turned[:: -1 if self.is_flipped_y else 1, :: -1 if self.is_flipped_x else 1])


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
        width = max(1, round(width * pixel_aspect))
    if rotation % 180:
        width, height = height, width
    scale = min(1.0, size / min(width, height)) if size else 1.0
    return max(1, round(width * scale)), max(1, round(height * scale))


def to_rgb(frame: VideoFrame, orientation: Orientation, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale a frame, turn it as displayed and convert it to RGB.

    Args:
        frame: A decoded frame.
        orientation: Its orientation.
        size: Displayed width and height in pixels.

    Returns:
        An RGB picture, [height, width, 3].
    """
    width, height = size[::-1] if orientation.is_transposed else size
    # A scaler's own threads do not survive a fork, and a DataLoader worker that then frees the scaler crashes.
    picture = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA", threads=1)
    return orientation.apply(np.asarray(picture, dtype=np.uint8))
