"""The interface of Whisper, whatever the format of its weights."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.perception.word_alignment import Word

if TYPE_CHECKING:
    import torch
    from whisper.tokenizer import Tokenizer

Task = Literal["transcribe", "translate"]
"""Transcribe in the spoken language, or translate to English."""


@dataclass(frozen=True)
class DecodedText:
    """The text that Whisper decoded from a window of audio."""

    text: str
    """The text, without timestamps."""

    language: str
    """The language that is spoken: the given one, or the detected one."""

    tokens: tuple[int, ...] = ()
    """The tokens, with timestamps."""

    avg_logprob: float = 0.0
    """Mean log probability of the tokens."""

    no_speech_prob: float = 0.0
    """Probability that there is no speech."""

    compression_ratio: float = 1.0
    """Ratio by which gzip compresses the text: high if it repeats itself."""


class WhisperModel(ABC):
    """A Whisper model. Several threads may use it.

    Args:
        languages: Codes of the languages that it transcribes, in the order of its vocabulary; "en" alone if it is an
            English-only model.
    """

    def __init__(self, languages: tuple[str, ...]) -> None:
        self.languages = languages

    @abstractmethod
    def encode(self, samples: NDArray[np.float32]) -> Any:
        """Return encoded windows of audio, [windows, frames, width], which can be sliced.

        Args:
            samples: Samples from -1 to 1 at 16 kHz, padded to 30 seconds, [windows, samples].

        Raises:
            torch.OutOfMemoryError: The device has too little memory for all windows at once.
        """

    @abstractmethod
    def decode(self, audio: Any, task: Task, language: str | None, beam_size: int = 1) -> list[DecodedText]:
        """Decode the text of each window.

        Args:
            audio: Encoded windows.
            task: Transcribe or translate.
            language: The language that is spoken; detected in each window if None.
            beam_size: Number of beams; 1 is greedy search.

        Raises:
            torch.OutOfMemoryError: The device has too little memory for all windows at once.
        """

    @abstractmethod
    def align(self, audio: Any, task: Task, decoded: DecodedText, frames: int) -> list[Word]:
        """Return the words of a window with their times in it. The audio is not encoded again.

        Args:
            audio: One encoded window, [1, frames, width].
            task: The task of decoding.
            decoded: Its text.
            frames: Number of frames of the spectrogram, 100 per second, that are not padding.
        """

    def tokenizer(self, task: Task, language: str | None) -> "Tokenizer":
        """Return the tokenizer for a task and a language; all formats have the vocabulary of openai-whisper."""
        from whisper.tokenizer import get_tokenizer

        return get_tokenizer(
            self.is_multilingual, num_languages=len(self.languages), language=language or self.languages[0], task=task
        )

    @property
    def is_multilingual(self) -> bool:
        """Whether it transcribes more than English."""
        return len(self.languages) > 1


def language_codes(count: int) -> tuple[str, ...]:
    """Return the codes of the first languages of Whisper's vocabulary.

    Example:
        >>> language_codes(3)
        ('en', 'zh', 'de')
    """
    from whisper.tokenizer import LANGUAGES

    return tuple(LANGUAGES)[:count]


def compute_spectrograms(samples: NDArray[np.float32], mels: int, device: "torch.device | str") -> "torch.Tensor":
    """Return log mel spectrograms, [windows, mels, frames].

    Args:
        samples: Samples at 16 kHz, [windows, samples].
        mels: Number of mel bands.
        device: Where to compute them.
    """
    import torch
    import whisper

    return torch.stack([whisper.log_mel_spectrogram(one, mels, device=device) for one in samples])
