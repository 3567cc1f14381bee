"""Sound that rises above the noise of a recording, at any volume."""

import cv2
import numpy as np
from numpy.typing import NDArray

FRAME_SAMPLES = 320
"""Length of a frame: 20 ms, longer than a period of the voice, shorter than a phoneme."""

SOUND_RATIO = 2.2
"""Ratio to the noise floor above which a frame contains more than noise.

Stationary noise of any color stays below 2.0, even in hours. Half of the frames of speech in white noise exceed 2.2
where the noise is 2 dB louder than the speech, which Whisper hardly transcribes."""

_NOISE_PERCENTILE = 10
"""Share of the time, in percent, in which nobody speaks at a given frequency; there are pauses between syllables."""

_DIGITAL_SILENCE = 1e-9
"""Mean square below which samples are the rounding errors of 16 bits or of a codec rather than a recording."""

_BINS = slice(2, 141)
"""The frequencies of speech, 100 Hz to 7 kHz, in steps of 50 Hz; mains hum and rumble are below."""

_SMOOTHING = (3, 5)
"""Frequencies and frames that are averaged: the power of noise in a single one varies too much."""

_MAX_RATIO = 100.0
"""Limit of the ratio at one frequency, so that a whistle does not count as much as a voice."""

_WINDOW = np.hanning(FRAME_SAMPLES).astype(np.float32)


class NoiseFloor:
    """Measures by how much the sound of a recording exceeds its noise floor, block by block.

    The noise floor is measured at each frequency: the tenth percentile of the power in a block and the one before it,
    without digital silence. A steady hum, hiss or tone is part of it.

    Example:
        >>> hiss = np.random.default_rng(0).normal(0, 0.01, 10 * 16_000).astype(np.float32)
        >>> hiss[4 * 16_000 : 5 * 16_000] *= 4
        >>> is_sound = NoiseFloor().measure(hiss) > SOUND_RATIO
        >>> is_sound[:190].any(), is_sound[205:245].all(), is_sound[260:].any()
        (np.False_, np.True_, np.False_)
    """

    def __init__(self) -> None:
        self._previous = _spectra(np.zeros(0, dtype=np.float32))

    def measure(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the ratio to the noise floor of each frame of the next block.

        Args:
            samples: Samples at 16 kHz; their number is a multiple of `FRAME_SAMPLES`.
        """
        block = _spectra(samples)
        spectra = np.concatenate([self._previous, block])
        self._previous = block
        recorded = spectra[spectra.mean(axis=1) > _DIGITAL_SILENCE]
        if not len(recorded):
            return np.zeros(len(block), dtype=np.float32)
        floor = np.maximum(np.percentile(recorded, _NOISE_PERCENTILE, axis=0), _DIGITAL_SILENCE)
        return np.asarray(np.minimum(block / floor, _MAX_RATIO).mean(axis=1), dtype=np.float32)


def _spectra(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the smoothed power spectra, [frames, frequencies]; white noise has its mean square at each frequency."""
    frames = samples.reshape(-1, FRAME_SAMPLES) * (_WINDOW / np.linalg.norm(_WINDOW))
    power = np.square(np.abs(np.fft.rfft(frames, axis=1)))[:, _BINS].astype(np.float32)
    return np.asarray(cv2.blur(power, _SMOOTHING, borderType=cv2.BORDER_REPLICATE)) if len(power) else power
