"""Whisper in PyTorch: weights of openai-whisper and of transformers."""

import json
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from langchain_videochat.errors import InputError, ModelError, ModelUnavailableError
from langchain_videochat.models.cards import describe_size
from langchain_videochat.models.weights import Weights, load_checkpoint, model_errors
from langchain_videochat.perception.whisper_model import (
    DecodedText,
    Task,
    WhisperModel,
    compute_spectrograms,
    language_codes,
)
from langchain_videochat.perception.word_alignment import Word, align_words

if TYPE_CHECKING:
    import torch
    from transformers import WhisperForConditionalGeneration
    from whisper.model import ModelDimensions, Whisper

ALIASES = {"large": "large-v3", "turbo": "large-v3-turbo"}
"""Models of openai-whisper whose files have another name."""

DTYPES = ("auto", "float32", "float16")
"""Dtypes in which openai-whisper computes."""

VOCABULARY_SIZES = range(51864, 51867)
"""Numbers of tokens: of English models, of multilingual ones, and of those since large-v3."""

_PARAMETERS = (
    ("embed_positions.weight", "positional_embedding"),
    ("embed_tokens", "token_embedding"),
    ("encoder.layer_norm", "encoder.ln_post"),
    ("decoder.layer_norm", "decoder.ln"),
    ("layers", "blocks"),
    ("self_attn_layer_norm", "attn_ln"),
    ("encoder_attn_layer_norm", "cross_attn_ln"),
    ("final_layer_norm", "mlp_ln"),
    ("self_attn", "attn"),
    ("encoder_attn", "cross_attn"),
    ("q_proj", "query"),
    ("k_proj", "key"),
    ("v_proj", "value"),
    ("out_proj", "out"),
    ("fc1", "mlp.0"),
    ("fc2", "mlp.2"),
)
"""Parts of the names of parameters in transformers and in openai-whisper, in the order of their replacement."""


class TorchWhisper(WhisperModel):
    """A Whisper model that openai-whisper runs.

    Args:
        model: The model, on its device.
        half: Compute in float16.
    """

    def __init__(self, model: "Whisper", *, half: bool) -> None:
        super().__init__(language_codes(model.num_languages if model.is_multilingual else 1))
        self._model = model
        self._half = half
        # openai-whisper attaches the KV cache to the model while decoding.
        self._decoding = threading.Lock()

    @override
    def encode(self, samples: NDArray[np.float32]) -> "torch.Tensor":
        spectrograms = compute_spectrograms(samples, self._model.dims.n_mels, self._model.device)
        encoded: torch.Tensor = self._model.encoder(spectrograms.half() if self._half else spectrograms)
        return encoded

    @override
    def decode(self, audio: "torch.Tensor", task: Task, language: str | None, beam_size: int = 1) -> list[DecodedText]:
        import whisper

        options = whisper.DecodingOptions(
            task=task,
            language=language if self.is_multilingual else "en",
            beam_size=beam_size if beam_size > 1 else None,
            fp16=self._half,
        )
        with self._decoding:
            results = whisper.decode(self._model, audio, options)
        return [
            DecodedText(
                text=one.text,
                language=one.language,
                tokens=tuple(one.tokens),
                avg_logprob=one.avg_logprob,
                no_speech_prob=one.no_speech_prob,
                compression_ratio=one.compression_ratio,
            )
            for one in results
        ]

    @override
    def align(self, audio: "torch.Tensor", task: Task, decoded: DecodedText, frames: int) -> list[Word]:
        tokenizer = self.tokenizer(task, decoded.language)
        tokens = [token for token in decoded.tokens if token < tokenizer.eot]
        with self._decoding:
            return align_words(self._model, tokenizer, tokens, audio[0], frames)


def load_torch_whisper(weights: Weights, model: "Whisper") -> TorchWhisper:
    """Move a model to its device.

    Raises:
        InputError: openai-whisper does not support the dtype, or the device is not available.
    """
    if weights.dtype not in DTYPES:
        problem = f"openai-whisper does not support {weights.dtype!r}"
        raise InputError("dtype", problem, f"Use one of {', '.join(DTYPES)}")
    device = weights.torch_device
    half = weights.dtype == "float16" or (weights.dtype == "auto" and device.type != "cpu")
    return TorchWhisper(model.to(device), half=half)


def load_openai(model: str) -> "Whisper":
    """Load a model of openai-whisper into memory, downloading it if necessary.

    Only tensors are read from files: a pickle that would run code is refused. Downloads are verified by SHA-256.

    Raises:
        ModelUnavailableError: There is no such model, or it cannot be downloaded.
        ModelError: The file is damaged, or not in the format of openai-whisper.
    """
    import whisper

    file = find_file(model)
    if file == Path(model):
        with model_errors(model):
            return whisper.load_model(str(file.absolute()), device="cpu")
    if model not in whisper.available_models():
        problem = "neither a file, a folder nor a model of openai-whisper"
        advice = (
            f"Give one of {', '.join(whisper.available_models())}, the path of a .pt file or of a folder, or an id on "
            "the Hugging Face Hub, for example openai/whisper-base"
        )
        raise ModelUnavailableError(model, problem, advice)
    try:
        return whisper.load_model(model, device="cpu", download_root=str(file.parent))
    except (OSError, RuntimeError) as error:
        problem = f"this Whisper model ({describe_size(model)}) is not on this machine, and the download failed"
        advice = "Connect to the network and try again, or give the path of a .pt file that contains it"
        raise ModelUnavailableError(model, problem, advice) from error


def find_file(model: str) -> Path:
    """Return the path of the file of a model of openai-whisper, which does not exist before it is downloaded."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(model) if Path(model).is_file() else Path(caches, "whisper", f"{ALIASES.get(model, model)}.pt")


def load_transformers(weights: Weights, folder: Path) -> "Whisper":
    """Load a Whisper model of transformers into the architecture of openai-whisper, which decodes it.

    Args:
        weights: Names the model in errors.
        folder: The folder of its files.

    Raises:
        ModelError: The folder holds another model, or its weights or vocabulary are not those of Whisper.
    """
    from transformers import WhisperForConditionalGeneration
    from whisper.model import Whisper

    _check_config(weights, folder)
    source = load_checkpoint(WhisperForConditionalGeneration, folder, replace(weights, device="cpu", dtype="float32"))
    dims = _dimensions(source)
    if dims.n_vocab not in VOCABULARY_SIZES:
        problem = f"its vocabulary has {dims.n_vocab} tokens, that of Whisper {VOCABULARY_SIZES[0]} to 51866"
        raise ModelError(weights.model, problem, "Use a model with the vocabulary of Whisper")
    model = Whisper(dims)
    state = {_openai_name(name): tensor for name, tensor in source.model.state_dict().items()}
    model.load_state_dict(state, assign=True)
    _set_alignment_heads(model, source)
    return model.eval()


def _check_config(weights: Weights, folder: Path) -> None:
    file = folder / "config.json"
    kind = json.loads(file.read_text(encoding="utf-8")).get("model_type") if file.is_file() else None
    if kind != "whisper":
        problem = f"a model of type {kind!r}, not Whisper" if kind else "the folder contains no Whisper model"
        advice = "Give a folder with the config.json and the weights of a Whisper model, of transformers or CTranslate2"
        raise ModelError(weights.model, problem, advice)


def _dimensions(model: "WhisperForConditionalGeneration") -> "ModelDimensions":
    from whisper.model import ModelDimensions

    config = model.config
    return ModelDimensions(
        n_mels=config.num_mel_bins,
        n_audio_ctx=config.max_source_positions,
        n_audio_state=config.d_model,
        n_audio_head=config.encoder_attention_heads,
        n_audio_layer=config.encoder_layers,
        n_vocab=config.vocab_size,
        n_text_ctx=config.max_target_positions,
        n_text_state=config.d_model,
        n_text_head=config.decoder_attention_heads,
        n_text_layer=config.decoder_layers,
    )


def _openai_name(name: str) -> str:
    for part, replacement in _PARAMETERS:
        name = name.replace(part, replacement)
    return name


def _set_alignment_heads(model: "Whisper", source: "WhisperForConditionalGeneration") -> None:
    """Set the heads whose attention follows the words; unless they are known, those of the last half of the layers."""
    import torch

    heads = getattr(source.generation_config, "alignment_heads", None)
    if heads:
        layers, numbers = torch.tensor(heads).T
        mask = torch.zeros(model.dims.n_text_layer, model.dims.n_text_head, dtype=torch.bool)
        mask[layers, numbers] = True
        model.register_buffer("alignment_heads", mask.to_sparse(), persistent=False)
