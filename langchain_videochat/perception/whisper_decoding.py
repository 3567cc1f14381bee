"""Decoding of audio windows with Whisper."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.perception.audio_windows import AudioWindow
from langchain_videochat.perception.transcripts import is_confident, needs_beam_search
from langchain_videochat.perception.word_alignment import Word, align_words

if TYPE_CHECKING:
    import torch
    from whisper.decoding import DecodingOptions, DecodingResult
    from whisper.model import Whisper
    from whisper.tokenizer import Tokenizer

BEAM_SIZE = 5
"""As in the Whisper paper (arXiv 2212.04356, 4.5)."""

SPEECH_RMS = 0.05
"""Level to which quieter windows are amplified: Whisper was trained on speech that people can hear."""

LOUD_PERCENTILE = 95
"""Share of the frames, in percent, that are not louder than the level of a window."""

_decoding = threading.Lock()
"""openai-whisper attaches the KV cache to the model while decoding, and several perceivers may share the model."""


@dataclass(frozen=True)
class Transcript:
    """The transcript of a window."""

    result: "DecodingResult"
    """The decoded tokens and their probabilities."""

    words: Sequence[Word]
    """The words with their times in the window; empty if the transcript is not probable enough to be used."""


def transcribe(model: "Whisper", options: "DecodingOptions", windows: Sequence[AudioWindow]) -> list[Transcript]:
    """Decode windows greedily, then by beam search where that failed, and find the times of the words."""
    import torch
    import whisper

    spectrograms = torch.stack([_spectrogram(model, window) for window in windows])
    transcripts = []
    with _decoding:
        for window, greedy in zip(windows, whisper.decode(model, spectrograms, options), strict=True):
            one = replace(options, language=greedy.language)
            beam_search = replace(one, beam_size=BEAM_SIZE)
            is_wrong = needs_beam_search(greedy)
            result = whisper.decode(model, greedy.audio_features, beam_search) if is_wrong else greedy
            words = _align(model, one, window, result) if is_confident(result) else []
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


def _align(model: "Whisper", options: "DecodingOptions", window: AudioWindow, result: "DecodingResult") -> list[Word]:
    tokenizer = _tokenizer(model, options)
    tokens = [token for token in result.tokens if token < tokenizer.eot]
    return align_words(model, tokenizer, tokens, result.audio_features, window)


def _spectrogram(model: "Whisper", window: AudioWindow) -> "torch.Tensor":
    import whisper

    samples = whisper.pad_or_trim(amplify(window.samples).ravel())
    spectrogram: torch.Tensor = whisper.log_mel_spectrogram(samples, model.dims.n_mels, device=model.device)
    return spectrogram


def _tokenizer(model: "Whisper", options: "DecodingOptions") -> "Tokenizer":
    from whisper.tokenizer import get_tokenizer

    return get_tokenizer(
        model.is_multilingual, num_languages=model.num_languages, language=options.language, task=options.task
    )
