"""Decoding of audio windows with Whisper."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.perception.audio_windows import MAX_WINDOW_SECONDS, SAMPLE_RATE, AudioWindow
from langchain_videochat.perception.transcripts import is_confident, needs_beam_search
from langchain_videochat.perception.whisper_model import DecodedText, Task, WhisperModel
from langchain_videochat.perception.word_alignment import Word

BEAM_SIZE = 5
"""As in the Whisper paper (arXiv 2212.04356, 4.5)."""

SPEECH_RMS = 0.05
"""Level to which quieter windows are amplified: Whisper was trained on speech that people can hear."""

LOUD_PERCENTILE = 95
"""Share of the frames, in percent, that are not louder than the level of a window."""

MEL_FRAMES_PER_FRAME = 2
"""Frames of the spectrogram in a frame of a window."""


@dataclass(frozen=True)
class Transcript:
    """The transcript of a window."""

    result: DecodedText
    """The decoded text and its probability."""

    words: Sequence[Word]
    """The words with their times in the window; empty if the transcript is not probable enough to be used."""


def transcribe(
    model: WhisperModel, task: Task, language: str | None, windows: Sequence[AudioWindow]
) -> list[Transcript]:
    """Decode windows greedily, then by beam search where that failed, and find the times of the words.

    Args:
        model: The model.
        task: Transcribe or translate.
        language: The language that is spoken; detected in each window if None.
        windows: The audio.
    """
    audio = model.encode(np.stack([_pad(amplify(window.samples).ravel()) for window in windows]))
    transcripts = []
    for number, greedy in enumerate(model.decode(audio, task, language)):
        result, one = greedy, audio[number : number + 1]
        if needs_beam_search(greedy):
            (result,) = model.decode(one, task, greedy.language, BEAM_SIZE)
        frames = len(windows[number]) * MEL_FRAMES_PER_FRAME
        words = model.align(one, task, result, frames) if is_confident(result) else []
        transcripts.append(Transcript(result, words))
    return transcripts


def amplify(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Amplify quiet audio to the level of speech that people can hear; louder audio is returned as it is.

    Args:
        samples: Frames of samples from -1 to 1, [frames, samples].

    Example:
        >>> whisper, voice = np.full((100, 320), 1e-4), np.full((100, 320), 0.2)
        >>> float(amplify(whisper).mean().round(3)), float(amplify(voice).mean().round(3))
        (0.05, 0.2)
    """
    level = np.sqrt(np.percentile(np.square(samples).mean(axis=1), LOUD_PERCENTILE))
    return samples * np.float32(max(1.0, SPEECH_RMS / max(level, 1e-9)))


def _pad(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Append silence up to the context of Whisper."""
    return np.pad(samples, (0, round(MAX_WINDOW_SECONDS * SAMPLE_RATE) - len(samples)))
