"""The voice of the demo video: SVOX Pico (Apache-2.0), a synthesizer that needs no download at run time."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from py_nanotts import NanoTTS, Voice

SAMPLE_RATE = 16_000
"""Samples per second."""


def speak(cues: Iterable[tuple[float, float, str]], seconds: float) -> NDArray[np.int16]:
    """Speak each cue at its start time.

    Args:
        cues: Start and end in seconds, and text. The end is that of the subtitle; speech may be longer.
        seconds: Length of the sound.

    Returns:
        Mono samples, [N], 16,000 per second.
    """
    sound = np.zeros(round(seconds * SAMPLE_RATE), dtype=np.int16)
    voice = NanoTTS()
    for start, _, text in cues:
        spoken = np.frombuffer(voice.speak(text, voice=Voice.en_GB), dtype=np.int16)
        rest = sound[round(start * SAMPLE_RATE) :][: len(spoken)]
        rest[:] = spoken[: len(rest)]
    return sound
