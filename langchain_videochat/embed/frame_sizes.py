"""Frame sizes for models whose number of visual tokens depends on them."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.embed.conversation import Image, Video
from langchain_videochat.media.geometry import displayed_size

DEFAULT_SIZE = (1280, 720)
"""Width and height of frames, as long as those of a video are unknown."""

MAX_PIXELS = 1280 * 720
"""Maximum size of a frame."""

MIN_SHORTER_SIDE = 36
MAX_STEPS = 8
MEASURED_FRAMES = 8


class FrameSize(NamedTuple):
    """A size of frames."""

    shorter_side: int
    """Length of the shorter side in pixels."""

    tokens: int
    """Tokens of a video with frames of this size."""


class FrameSizes:
    """Finds the largest size of frames with which a video fits into a number of tokens, by trying.

    Args:
        count: Returns the tokens of a video or an image.
    """

    def __init__(self, count: Callable[[Video | Image], int]) -> None:
        self._count = count
        self.find = lru_cache(maxsize=256)(self._find)

    def _find(self, num_frames: int | None, size: tuple[int, int], max_tokens: int) -> FrameSize:
        """Find the size to which the frames of a video are scaled down.

        Args:
            num_frames: Number of frames; None for an image.
            size: Their width and height in pixels.
            max_tokens: Maximum tokens. If no size fits, the smallest that was tried is returned.
        """
        largest = min(1.0, (MAX_PIXELS / (size[0] * size[1])) ** 0.5)
        found = self._measure(num_frames, size, max(1, int(min(size) * largest)))
        for step in range(MAX_STEPS):
            if found.tokens <= max_tokens or found.shorter_side <= MIN_SHORTER_SIDE:
                break
            shorter_side = int(found.shorter_side * (0.9 * max_tokens / found.tokens) ** 0.5)
            smaller = self._measure(num_frames, size, max(MIN_SHORTER_SIDE, shorter_side))
            if step == 0 and smaller.tokens >= found.tokens:  # the model scales all frames to one size
                break
            found = smaller
        return found

    def _measure(self, num_frames: int | None, size: tuple[int, int], shorter_side: int) -> FrameSize:
        scaled = displayed_size(*size, size=shorter_side)
        if num_frames is None:
            return FrameSize(shorter_side, self._count(Image(noise(1, *scaled)[0])))
        # Time and tokens are proportional to the number of frames; some models join two of them.
        few = min(num_frames, MEASURED_FRAMES)
        tokens = self._count(Video(noise(few, *scaled), tuple(map(float, range(few)))))
        if few < num_frames:
            tokens = -(-tokens * (num_frames + num_frames % 2) // few)
        return FrameSize(shorter_side, tokens)


def noise(num_frames: int, width: int, height: int) -> NDArray[np.uint8]:
    """Return random frames, [num_frames, height, width, 3]: some models drop the tokens of parts that do not change."""
    return np.random.default_rng(0).integers(0, 256, (num_frames, height, width, 3), np.uint8)
