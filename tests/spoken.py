"""Synthesized speech, and how well it is transcribed."""

import numpy as np
from numpy.typing import NDArray
from py_nanotts import NanoTTS
from whisper.normalizers import BasicTextNormalizer

RATE = 16_000


def say(text: str, voice: str = "en-GB") -> NDArray[np.float32]:
    """Return a text as the samples of a voice, for example "en-GB" or "de-DE"."""
    samples = np.frombuffer(NanoTTS().speak(text, voice=voice), dtype=np.int16)
    return samples.astype(np.float32) / np.float32(32_768)


def place(sounds: dict[float, NDArray[np.float32]], seconds: float) -> NDArray[np.float32]:
    """Return silence with sounds that start at some times in seconds."""
    samples = np.zeros(round(seconds * RATE), dtype=np.float32)
    for start, sound in sounds.items():
        samples[round(start * RATE) :][: len(sound)] += sound
    return samples


def word_error_rate(expected: str, found: str) -> float:
    """Return the words that are inserted, deleted or substituted, per expected word, without case and punctuation."""
    reference, hypothesis = (str(BasicTextNormalizer()(text)).split() for text in (expected, found))
    distances = np.arange(len(hypothesis) + 1)
    for row, word in enumerate(reference, 1):
        substituted = distances[:-1] + [word != other for other in hypothesis]
        inserted_before = np.minimum(substituted, distances[1:] + 1)
        distances = np.concatenate([[row], inserted_before])
        for column in range(1, len(distances)):
            distances[column] = min(distances[column], distances[column - 1] + 1)
    return float(distances[-1] / len(reference))
