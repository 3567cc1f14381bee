"""Regions of a frame that changed since text was last read there."""

from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

CELL_SIZE = 8
"""Side in pixels of the cells whose mean brightness is compared: coding noise averages out, letters do not."""

THRESHOLD = 6
"""Minimum change of a cell's mean, of 255: thin letters on a plain background change it by 20 and more."""

DILATION = 5
"""Cells over which changes are joined into one region, which bridges the gaps between words."""

MAX_FAILURES = 3
"""Readings without text after which a cell that keeps changing is ignored."""

RETRY_FRAMES = 8
"""Frames after which ignored cells are read again: every 16 seconds in the profile lite."""

Rect = tuple[int, int, int, int]
"""Pixels: left, top, right, bottom; the last two are exclusive."""


@dataclass
class _Memory:
    """State of each cell."""

    reported: NDArray[np.int16]
    """Mean brightness when it was last reported."""

    previous: NDArray[np.int16]
    """Mean brightness in the previous frame."""

    failures: NDArray[np.int16]
    """Readings since text was last found there."""


class ChangeDetector:
    """Finds the regions of a frame in which text may have changed.

    Cells are compared with their state when they were last reported, so slow fades are detected too. Cells in which no
    text was found several times, such as those of a speaker in the corner, are reported only when they stop changing,
    and from time to time.
    """

    def __init__(self) -> None:
        self._memory: _Memory | None = None
        self._frame_count = 0

    def changed_regions(self, frame: NDArray[np.uint8]) -> list[Rect]:
        """Compare a frame with previous ones.

        Args:
            frame: RGB image, [H, W, 3]; a frame of another size is reported as a whole.

        Returns:
            Rectangles in pixels that cover all changes.
        """
        cells = _cells(frame)
        memory = self._memory
        if memory is None or memory.reported.shape != cells.shape:
            self._memory = _Memory(cells.copy(), cells, np.zeros_like(cells))
            return [(0, 0, frame.shape[1], frame.shape[0])]
        self._frame_count += 1
        changed = _differ(cells, memory.reported)
        if self._frame_count % RETRY_FRAMES:
            changed &= (memory.failures < MAX_FAILURES) | ~_differ(cells, memory.previous)
        memory.previous = cells
        regions = _connected(changed)
        for left, top, right, bottom in regions:
            memory.reported[top:bottom, left:right] = cells[top:bottom, left:right]
        return [_scale(region, cells.shape[::-1], (frame.shape[1], frame.shape[0])) for region in regions]

    def update(self, frame: NDArray[np.uint8], regions: list[Rect], lines: list[Rect]) -> None:
        """Record the regions of the last frame that were read, and the lines of text found there, in pixels."""
        if self._memory is None:
            return
        failures = self._memory.failures
        size = frame.shape[1], frame.shape[0]
        for left, top, right, bottom in (_scale(region, size, failures.shape[::-1]) for region in regions):
            failures[top:bottom, left:right] += 1
        for left, top, right, bottom in (_scale(line, size, failures.shape[::-1]) for line in lines):
            failures[top:bottom, left:right] = 0


def _cells(frame: NDArray[np.uint8]) -> NDArray[np.int16]:
    height, width = frame.shape[:2]
    size = max(1, width // CELL_SIZE), max(1, height // CELL_SIZE)
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.int16)


def _differ(one: NDArray[np.int16], other: NDArray[np.int16]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(one - other) > THRESHOLD)


def _connected(changed: NDArray[np.bool_]) -> list[Rect]:
    dilated = cv2.dilate(changed.astype(np.uint8), np.ones((3, DILATION), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(dilated)
    rows = stats[1:, :4].tolist()
    return [(left, top, left + across, top + down) for left, top, across, down in rows]


def _scale(rect: Rect, size: tuple[int, ...], to: tuple[int, ...]) -> Rect:
    x, y = to[0] / size[0], to[1] / size[1]
    return int(rect[0] * x), int(rect[1] * y), ceil(rect[2] * x), ceil(rect[3] * y)
