"""Mixing of channels to one."""

import math

import numpy as np
from numpy.typing import NDArray

WINDOW_SECONDS = 1.0
"""Time over which the phase of two channels is compared."""

OPPOSITE, SAME = -0.5, 0.0
"""Correlation of two channels below which one is inverted, and above which it no longer is."""

SILENCE = 1e-12
"""Energy that keeps the correlation of silent channels finite."""


class Downmix:
    """Mixes left and right to mono.

    Microphones and cables with swapped poles invert one channel, which would cancel the other.

    Args:
        rate: Samples per second.

    Example:
        >>> voice = np.sin(np.arange(16_000, dtype=np.float32))
        >>> bool(np.allclose(Downmix(16_000).mix(np.stack([voice, -voice])), voice))
        True
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._is_inverted = False
        self._left = self._right = self._both = 0.0

    def mix(self, channels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mix the samples that follow, [1 or 2, N], to [N]."""
        if len(channels) == 1:
            return np.asarray(channels[0])
        left, right = channels
        decay = math.exp(-len(left) / (self._rate * WINDOW_SECONDS))
        self._left = self._left * decay + float(left @ left)
        self._right = self._right * decay + float(right @ right)
        self._both = self._both * decay + float(left @ right)
        correlation = self._both / math.sqrt(self._left * self._right + SILENCE)
        self._is_inverted = correlation < (SAME if self._is_inverted else OPPOSITE)
        return np.asarray(left - right if self._is_inverted else left + right) * np.float32(0.5)
