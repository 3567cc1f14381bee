"""Whisper in CTranslate2, which computes in 8-bit integers on the CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.models.weights import Weights
from langchain_videochat.perception.whisper_model import (
    DecodedText,
    Task,
    WhisperModel,
    compute_spectrograms,
    language_codes,
)
from langchain_videochat.perception.word_alignment import Word, join_tokens

if TYPE_CHECKING:
    from ctranslate2 import StorageView
    from ctranslate2.models import Whisper
    from whisper.tokenizer import Tokenizer

WEIGHTS_FILE = "model.bin"
"""The file by which a folder of CTranslate2 is recognized."""

_NAME_BYTES = 64
"""Part of the file that contains the name of the kind of model."""

_CPU_DTYPES = {"auto": "int8", "int8": "int8", "float32": "float32"}
_GPU_DTYPES = {"auto": "float16", "float16": "float16", "float32": "float32"}


class CTranslate2Whisper(WhisperModel):
    """A Whisper model that CTranslate2 runs.

    Args:
        model: The model.
    """

    def __init__(self, model: "Whisper") -> None:
        super().__init__(language_codes(model.num_languages if model.is_multilingual else 1))
        self._model = model

    @override
    def encode(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        spectrograms = compute_spectrograms(samples, self._model.n_mels, "cpu")
        with _memory_errors():
            # On the CPU, windows can be sliced; encoded, they are small.
            return np.array(self._model.encode(_view(spectrograms.numpy()), to_cpu=True))

    @override
    def decode(
        self, audio: NDArray[np.float32], task: Task, language: str | None, beam_size: int = 1
    ) -> list[DecodedText]:
        from whisper.utils import compression_ratio

        encoded = _view(audio)
        with _memory_errors():
            languages = [language or self.languages[0]] * len(audio)
            if language is None and self.is_multilingual:
                languages = [found[0][0].strip("<|>") for found in self._model.detect_language(encoded)]
            tokenizers = [self.tokenizer(task, one) for one in languages]
            results = self._model.generate(
                encoded,
                [list(tokenizer.sot_sequence) for tokenizer in tokenizers],
                beam_size=beam_size,
                suppress_tokens=_suppressed_tokens(tokenizers[0]),
                return_scores=True,
                return_no_speech_prob=True,
            )
        decoded = []
        for one_language, tokenizer, result in zip(languages, tokenizers, results, strict=True):
            tokens = result.sequences_ids[0]
            text = tokenizer.decode(tokens).strip()
            decoded.append(
                DecodedText(
                    text=text,
                    language=one_language,
                    tokens=tuple(tokens),
                    # The score is the mean over the tokens without the end, whose log probability it includes.
                    avg_logprob=result.scores[0] * len(tokens) / (len(tokens) + 1),
                    no_speech_prob=result.no_speech_prob,
                    compression_ratio=compression_ratio(text),
                )
            )
        return decoded

    @override
    def align(self, audio: NDArray[np.float32], task: Task, decoded: DecodedText, frames: int) -> list[Word]:
        tokenizer = self.tokenizer(task, decoded.language)
        tokens = [token for token in decoded.tokens if token < tokenizer.eot]
        if not tokens:
            return []
        with _memory_errors():
            (result,) = self._model.align(_view(audio), list(tokenizer.sot_sequence), [tokens], frames)
        return join_tokens(tokenizer, tokens, np.array(result.alignments), np.array(result.text_token_probs))


def load_ctranslate2(weights: Weights, folder: Path) -> CTranslate2Whisper:
    """Load a model in the format of CTranslate2.

    Args:
        weights: Device and dtype. "auto" is the CPU, because the GPU needs libraries of exactly the CUDA version that
            CTranslate2 was built for, and int8 there.
        folder: The folder of its files.

    Raises:
        ModelError: It is another kind of model.
        InputError: CTranslate2 does not support the device or the dtype.
    """
    import torch
    from ctranslate2.models import Whisper

    _check_kind(weights, folder)
    device, index = _find_device(weights.device)
    dtypes = _CPU_DTYPES if device == "cpu" else _GPU_DTYPES
    if weights.dtype not in dtypes:
        problem = f"CTranslate2 does not support {weights.dtype!r} on the {'CPU' if device == 'cpu' else 'GPU'}"
        raise InputError("dtype", problem, f"Use one of {', '.join(dtypes)}")
    model = Whisper(
        str(folder),
        device,
        device_index=index,
        compute_type=dtypes[weights.dtype],
        intra_threads=torch.get_num_threads(),
    )
    return CTranslate2Whisper(model)


def _check_kind(weights: Weights, folder: Path) -> None:
    """Check the kind of a model, whose name is at the start of its file: CTranslate2 also translates."""
    with (folder / WEIGHTS_FILE).open("rb") as file:
        start = file.read(_NAME_BYTES)
    if b"WhisperSpec" not in start:
        advice = "Give a folder with the model.bin and the vocabulary of a Whisper model of CTranslate2"
        raise ModelError(weights.model, f"its {WEIGHTS_FILE} is not Whisper in the format of CTranslate2", advice)


def _find_device(device: str) -> tuple[str, int]:
    import ctranslate2

    if device in ("auto", "cpu"):
        return "cpu", 0
    known = [f"cuda:{number}" for number in range(ctranslate2.get_cuda_device_count())]
    name = "cuda:0" if device == "cuda" else device
    if name not in known:
        raise InputError("device", f"CTranslate2 cannot use {device!r}", f"Use one of {', '.join(['cpu', *known])}")
    return "cuda", known.index(name)


def _suppressed_tokens(tokenizer: "Tokenizer") -> list[int]:
    """Return the tokens that openai-whisper suppresses: annotations of sounds, and special tokens."""
    special = ("transcribe", "translate", "sot", "sot_prev", "sot_lm", "no_speech")
    return sorted({*tokenizer.non_speech_tokens, *(getattr(tokenizer, name) for name in special)})


def _view(array: NDArray[np.float32]) -> "StorageView":
    from ctranslate2 import StorageView

    return StorageView.from_array(np.ascontiguousarray(array))


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Convert errors for lack of memory to those of PyTorch, after which the batch is divided."""
    import torch

    try:
        yield
    except RuntimeError as error:
        if "out of memory" not in str(error):
            raise
        raise torch.OutOfMemoryError(str(error)) from error
