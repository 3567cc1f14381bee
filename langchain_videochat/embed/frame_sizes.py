"""Frame sizes for models whose number of visual tokens depends on them."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from langchain_videochat.embed.conversation import Image, Video

MAX_PIXELS = 1280 * 720
"""Maximum size of a frame."""

MIN_PIXELS = 64 * 36
ASPECT_RATIO = 16 / 9
MAX_STEPS = 5
MEASURED_FRAMES = 8


class FrameSize(NamedTuple):
    """The largest size of frames whose tokens fit."""

    pixels: int
    """Pixels per frame."""

    tokens: int
    """Tokens of a video with frames of this size."""


class FrameSizes:
    """Finds the largest size of frames with which a video fits into a number of tokens, by trying.

    Args:
        count: Returns the tokens of a video or an image.
    """

    def __init__(self, count: Callable[[Video | Image], int]) -> None:
        self._count = count
        self.find = lru_cache(maxsize=64)(self._find)

    def fit(self, visual: Video | Image, max_tokens: int) -> Video | Image:
        """Scale a video or an image down so that it takes at most so many tokens, as far as its model allows."""
        if isinstance(visual, Image):
            return Image(_scale(visual.pixels[None], self.find(None, max_tokens).pixels)[0])
        return Video(_scale(visual.frames, self.find(len(visual.frames), max_tokens).pixels), visual.times)

    def _find(self, num_frames: int | None, max_tokens: int) -> FrameSize:
        """Find the size of the frames of a video, or of an image if `num_frames` is None.

        If none fits, the smallest that was tried is returned.
        """
        size = self._measure(num_frames, MAX_PIXELS)
        for _ in range(MAX_STEPS):
            if size.tokens <= max_tokens:
                break
            smaller = self._measure(num_frames, max(MIN_PIXELS, int(0.9 * size.pixels * max_tokens / size.tokens)))
            if smaller.tokens >= size.tokens:  # the model scales all frames to one size
                break
            size = smaller
        return size

    def _measure(self, num_frames: int | None, pixels: int) -> FrameSize:
        height = max(1, round((pixels / ASPECT_RATIO) ** 0.5))
        # Time and tokens are proportional to the number of frames.
        few = min(num_frames or 1, MEASURED_FRAMES)
        frames = noise(few, height, round(height * ASPECT_RATIO))
        visual = Image(frames[0]) if num_frames is None else Video(frames, tuple(map(float, range(few))))
        return FrameSize(pixels, -(-self._count(visual) * (num_frames or 1) // few))


def noise(num_frames: int, height: int, width: int) -> NDArray[np.uint8]:
    """Return random frames: some models drop the tokens of parts that do not change."""
    return np.random.default_rng(0).integers(0, 256, (num_frames, height, width, 3), np.uint8)


def _scale(frames: NDArray[np.uint8], max_pixels: int) -> NDArray[np.uint8]:
    height, width = frames.shape[1:3]
    factor = (max_pixels / (height * width)) ** 0.5
    if factor >= 1:
        return frames
    size = max(1, int(width * factor)), max(1, int(height * factor))
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])
