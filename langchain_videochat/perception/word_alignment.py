"""Times of transcribed words, from the cross-attention of Whisper and the sound itself."""

import math
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.perception.audio_windows import FRAMES_PER_SECOND, AudioWindow

if TYPE_CHECKING:
    import torch
    from whisper.model import Whisper
    from whisper.tokenizer import Tokenizer

_OPENING = ("Ps", "Pi")
"""Unicode categories of opening brackets and quotes."""


@dataclass(frozen=True)
class Word:
    """A transcribed word with its punctuation."""

    text: str
    """The word, with the space before it if the script has spaces."""

    start: float
    """Seconds."""

    end: float
    """Seconds."""

    probability: float
    """Mean probability of its tokens."""


def align_words(
    model: "Whisper", tokenizer: "Tokenizer", tokens: Sequence[int], features: "torch.Tensor", frames: int
) -> list[Word]:
    """Return the words of a transcript with their times in the window, as if it had no removed silence.

    It takes one pass of the decoder: the audio is not encoded again.

    Args:
        model: The model.
        tokenizer: Its tokenizer for the language of the transcript.
        tokens: The transcript, without timestamps.
        features: The encoded audio, [frames, width].
        frames: Number of frames of the spectrogram that are not padding.
    """
    from whisper.timing import find_alignment

    decoder: Any = _EncodedAudioModel(model)
    with _same_cpu_threads():
        words = [
            Word(one.word, float(one.start), float(one.end), float(one.probability))
            for one in find_alignment(decoder, tokenizer, list(tokens), features.float(), frames)
        ]
    return _merge_punctuation(words)


def join_tokens(
    tokenizer: "Tokenizer", tokens: Sequence[int], path: NDArray[np.int_], probabilities: NDArray[np.float64]
) -> list[Word]:
    """Return the words of a transcript from the alignment of its tokens.

    Args:
        tokenizer: The tokenizer for the language of the transcript.
        tokens: The transcript, without timestamps.
        path: Pairs of a token's number and the frame of 20 ms in which it is spoken, in time order, [steps, 2]; the
            end of the transcript follows its tokens.
        probabilities: Probability of each token, [tokens].
    """
    starts = path[np.diff(path[:, 0], prepend=-1) > 0, 1] / FRAMES_PER_SECOND
    texts, parts = tokenizer.split_to_word_tokens([*tokens, tokenizer.eot])
    words, first = [], 0
    for text, part in zip(texts[:-1], parts[:-1], strict=True):
        last = first + len(part)
        words.append(Word(text, float(starts[first]), float(starts[last]), float(probabilities[first:last].mean())))
        first = last
    return _merge_punctuation(words)


@contextmanager
def _same_cpu_threads() -> Iterator[None]:
    """Keep PyTorch's number of CPU threads, which Numba replaces by its own when openai-whisper first uses it."""
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def place_words(words: Sequence[Word], window: AudioWindow) -> list[Word]:
    """Move the times of words from the silence around them to their sound.

    The alignment divides the whole window among the words, so a word next to a pause includes the pause.

    Args:
        words: Words with their times in the window.
        window: The audio.
    """
    return [_place(word, window) for word in words]


def to_video_time(words: Sequence[Word], window: AudioWindow) -> list[Word]:
    """Convert times in a window, in which silence has been removed, to times in the video."""
    last = len(window) - 1
    placed = []
    for word in words:
        first_frame = min(math.floor(word.start * FRAMES_PER_SECOND + 1e-6), last)
        last_frame = min(max(math.ceil(word.end * FRAMES_PER_SECOND - 1e-6) - 1, first_frame), last)
        start = float(window.times[first_frame])
        end = float(window.times[last_frame]) + 1 / FRAMES_PER_SECOND
        placed.append(replace(word, start=start, end=end))
    return placed


class _EncodedAudioModel:
    """A Whisper model that takes encoded audio instead of a spectrogram."""

    def __init__(self, model: "Whisper") -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, features: "torch.Tensor", tokens: "torch.Tensor") -> "torch.Tensor":
        logits: torch.Tensor = self._model.decoder(tokens, features)
        return logits


def _merge_punctuation(words: Sequence[Word]) -> list[Word]:
    """Append punctuation to the word before it; prepend opening quotes and what follows a space to the next word."""
    merged: list[Word] = []
    opening = ""
    for word in words:
        if any(letter.isalnum() for letter in word.text):
            merged.append(replace(word, text=opening + word.text))
            opening = ""
        elif not merged or word.text.startswith(" ") or unicodedata.category(word.text[0]) in _OPENING:
            opening += word.text
        else:
            merged[-1] = replace(merged[-1], text=merged[-1].text + word.text)
    return merged


def _place(word: Word, window: AudioWindow) -> Word:
    first = min(math.floor(word.start * FRAMES_PER_SECOND), len(window) - 1)
    last = max(math.ceil(word.end * FRAMES_PER_SECOND), first + 1)
    sounds = window.find_sounds(slice(first, last))
    if not sounds:
        return word
    loudest = max(sounds, key=lambda frames: float(window.ratios[frames].sum()))
    start, end = loudest[0] / FRAMES_PER_SECOND, (loudest[-1] + 1) / FRAMES_PER_SECOND
    return replace(word, start=max(word.start, float(start)), end=min(word.end, float(end)))
