"""Change detection: which frames differ enough from earlier ones for models to process them."""

from dataclasses import dataclass
from math import ceil, floor, inf

import cv2
import numpy as np
from numpy.typing import NDArray

from langchain_videochat.perception.perceiver import MAX_HOLD_SECONDS, FrameInputs

VISIBLE_CHANGE = 0.02
"""A change that a viewer sees, such as a person who moves; coding noise stays below it."""

NEW_VIEW = 0.45
"""A change after which the picture shows mostly something else: a cut, a new slide, the end of a pan."""

THUMBNAIL_SIDE = 192
"""Longer side in pixels of the thumbnails that are compared."""

CELL_SIZE = 4
"""Side in pixels of a thumbnail's cells, whose mean colors are compared: coding noise averages out."""

MIN_DIFFERENCE = 6.0
"""Distance between two colors (CIELAB, each channel from 0 to 255) from which a cell has changed."""

BLANK_WEIGHT = 0.5
"""Weight of a cell without detail; the others weigh as much as the standard deviation of their brightness.

On a slide, the text counts rather than the empty space around it, which is the same on the next slide."""

MIN_SHIFT = 2
"""Pixels of a thumbnail from which the camera has moved."""


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """A small version of a frame, for comparison."""

    pixels: NDArray[np.float32]
    """Colors in CIELAB, [H, W, 3], each channel from 0 to 255."""

    @classmethod
    def of(cls, frame: NDArray[np.uint8]) -> "Thumbnail":
        """Scale an RGB image, [H, W, 3]."""
        height, width = frame.shape[:2]
        scale = THUMBNAIL_SIDE / max(height, width)
        size = (max(CELL_SIZE, round(width * scale)), max(CELL_SIZE, round(height * scale)))
        small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        return cls(np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), dtype=np.float32))

    def change_since(self, earlier: "Thumbnail") -> float:
        """Return the part of the picture that is new, from 0 to 1.

        If the camera has moved sideways or up or down, the pictures are aligned first: what has entered the picture is
        new, what only moved is not.

        Args:
            earlier: The thumbnail of a frame of the same video.
        """
        if self.pixels.shape != earlier.pixels.shape:
            return 1.0
        change = _new_part(earlier.pixels, self.pixels)
        if change < NEW_VIEW:
            return change
        x, y = _find_shift(earlier.pixels[..., 0], self.pixels[..., 0])
        height, width = self.pixels.shape[:2]
        seen = max(1 - abs(x) / width, 0.0) * max(1 - abs(y) / height, 0.0)
        if max(abs(x), abs(y)) < MIN_SHIFT or seen <= 1.0 - NEW_VIEW:
            return change
        before = earlier.pixels[max(-y, 0) : height - max(y, 0), max(-x, 0) : width - max(x, 0)]
        after = self.pixels[max(y, 0) : height + min(y, 0), max(x, 0) : width + min(x, 0)]
        return float(min(change, 1.0 - seen * (1.0 - _new_part(before, after))))


class ChangeFilter:
    """Selects the frames that a perceiver receives: those that differ from the last one that it received.

    Args:
        inputs: `min_change` and `min_seconds` of the perceiver.

    Example:
        >>> dark, bright = (np.full((90, 160, 3), value, np.uint8) for value in (20, 200))
        >>> changes = ChangeFilter(FrameInputs(every=1.0, tolerance=0.5, size=90, min_change=VISIBLE_CHANGE))
        >>> [changes.select(Thumbnail.of(frame), time) for time, frame in enumerate([dark, dark, bright, bright])]
        [True, False, True, False]
    """

    def __init__(self, inputs: FrameInputs) -> None:
        self._inputs = inputs
        self._last: Thumbnail | None = None
        self._last_time = -inf

    def select(self, thumbnail: Thumbnail, time: float) -> bool:
        """Return whether the perceiver receives the next frame.

        Args:
            thumbnail: Its thumbnail.
            time: Its time in seconds.
        """
        if not self._is_selected(thumbnail, time - self._last_time):
            return False
        self._last, self._last_time = thumbnail, time
        return True

    def _is_selected(self, thumbnail: Thumbnail, elapsed: float) -> bool:
        # Frames are shown a little before or after the times that are sampled.
        slack = self._inputs.every / 2
        if elapsed < self._inputs.min_seconds - slack:
            return False
        if self._last is None or elapsed > MAX_HOLD_SECONDS - slack:
            return True
        return thumbnail.change_since(self._last) >= self._inputs.min_change


def _new_part(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """Return the weighted part of the cells whose color has changed."""
    cells_before, cells_after = _cells(before), _cells(after)
    changed = np.linalg.norm(cells_after - cells_before, axis=-1) >= MIN_DIFFERENCE
    weights = BLANK_WEIGHT + np.maximum(_detail(before), _detail(after))
    return float(weights[changed].sum() / weights.sum())


def _cells(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean color of each cell."""
    height, width = pixels.shape[:2]
    size = (ceil(width / CELL_SIZE), ceil(height / CELL_SIZE))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def _detail(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the standard deviation of the brightness in each cell."""
    brightness = pixels[..., 0]
    variance = _cells(brightness * brightness) - _cells(brightness) ** 2
    return np.asarray(np.sqrt(variance.clip(min=0.0)))


def _find_shift(before: NDArray[np.float32], after: NDArray[np.float32]) -> tuple[int, int]:
    """Return by how many pixels the picture has moved to the right and down, by phase correlation."""
    window = cv2.createHanningWindow(before.shape[::-1], cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(before, after, window)
    return floor(x + 0.5), floor(y + 0.5)
