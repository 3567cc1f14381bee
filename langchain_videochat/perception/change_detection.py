"""Where the picture differs from what was read before."""

from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

CELL = 8
"""Pixels a side of the squares whose mean brightness is compared: coding noise averages out, a letter does not."""

THRESHOLD = 6
"""Steps of 255 by which a square's mean must change: thin letters on a plain ground change it by 20 and more."""

REACH = 5
"""Squares over which changes are taken as one region: the pixels between the words of a line."""

ATTEMPTS = 3
"""Readings in vain after which a place that keeps moving is left alone."""

PATIENCE = 8
"""Frames after which it is looked at all the same: every 16 seconds in the profile lite."""

Rect = tuple[int, int, int, int]
"""Pixels: left, top, right, bottom, the last two not included."""


@dataclass
class _Memory:
    """What is known of each square."""

    reported: NDArray[np.int16]
    """Its mean when it was last reported."""

    previous: NDArray[np.int16]
    """Its mean in the frame before."""

    in_vain: NDArray[np.int16]
    """How often it was read since text was last found there."""


class PictureChanges:
    """Remembers a picture and tells which parts of the next are worth reading.

    Each part is compared with what it was when it was last reported, so that a slow fade is noticed too. Where reading
    was in vain several times, as on a speaker in the corner, it is reported again when it stands still, and now and
    then.
    """

    def __init__(self) -> None:
        self._memory: _Memory | None = None
        self._frames = 0

    def regions(self, frame: NDArray[np.uint8]) -> list[Rect]:
        """Compare a frame with those before.

        Args:
            frame: RGB picture, [H, W, 3]; a frame of another size counts as wholly new.

        Returns:
            Rectangles in pixels that together cover what is to be read; empty if nothing is.
        """
        cells = _cells(frame)
        memory = self._memory
        if memory is None or memory.reported.shape != cells.shape:
            self._memory = _Memory(cells.copy(), cells, np.zeros_like(cells))
            return [(0, 0, frame.shape[1], frame.shape[0])]
        self._frames += 1
        changed = _differ(cells, memory.reported)
        if self._frames % PATIENCE:
            changed &= (memory.in_vain < ATTEMPTS) | ~_differ(cells, memory.previous)
        memory.previous = cells
        regions = _connected(changed)
        for left, top, right, bottom in regions:
            memory.reported[top:bottom, left:right] = cells[top:bottom, left:right]
        return [_scale(region, cells.shape[::-1], (frame.shape[1], frame.shape[0])) for region in regions]

    def learn(self, frame: NDArray[np.uint8], regions: list[Rect], lines: list[Rect]) -> None:
        """Take note of where reading was in vain.

        Args:
            frame: The picture that was compared last.
            regions: Where it was read, in pixels.
            lines: Where text was found, in pixels.
        """
        if self._memory is None:
            return
        in_vain = self._memory.in_vain
        size = frame.shape[1], frame.shape[0]
        for left, top, right, bottom in (_scale(region, size, in_vain.shape[::-1]) for region in regions):
            in_vain[top:bottom, left:right] += 1
        for left, top, right, bottom in (_scale(line, size, in_vain.shape[::-1]) for line in lines):
            in_vain[top:bottom, left:right] = 0


def _cells(frame: NDArray[np.uint8]) -> NDArray[np.int16]:
    height, width = frame.shape[:2]
    size = max(1, width // CELL), max(1, height // CELL)
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.int16)


def _differ(one: NDArray[np.int16], other: NDArray[np.int16]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(one - other) > THRESHOLD)


def _connected(changed: NDArray[np.bool_]) -> list[Rect]:
    joined = cv2.dilate(changed.astype(np.uint8), np.ones((3, REACH), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(joined)
    rows = stats[1:, :4].tolist()
    return [(left, top, left + across, top + down) for left, top, across, down in rows]


def _scale(rect: Rect, size: tuple[int, ...], to: tuple[int, ...]) -> Rect:
    x, y = to[0] / size[0], to[1] / size[1]
    return int(rect[0] * x), int(rect[1] * y), ceil(rect[2] * x), ceil(rect[3] * y)
