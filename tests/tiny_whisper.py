"""A tiny Whisper in the format of openai-whisper that returns a given transcript and distinguishes high from low tones.

The position of a token determines the next token: embeddings of positions and tokens share one dimension for each step
of the script. Another dimension contains the pitch from the encoder: positive for high tones, negative for low ones.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import torch
import whisper
from numpy.typing import NDArray
from whisper.model import ModelDimensions, Whisper
from whisper.tokenizer import Tokenizer, get_tokenizer

TINY = ModelDimensions(
    n_mels=80,
    n_audio_ctx=1500,
    n_audio_state=64,
    n_audio_head=2,
    n_audio_layer=1,
    n_vocab=51865,
    n_text_ctx=96,
    n_text_state=64,
    n_text_head=2,
    n_text_layer=2,
)
PITCH = -1
"""The dimension that contains the pitch."""

Script = Sequence[float | str | tuple[str, str]]
"""Timestamps in seconds, text, and pairs of words, one for high tones and one for low ones."""


def tone(hertz: float, seconds: float) -> NDArray[np.float32]:
    """Return the samples of a tone."""
    times = np.arange(round(seconds * 16_000)) / 16_000
    return (0.3 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def high(seconds: float) -> NDArray[np.float32]:
    """Return a tone that the model classifies as high."""
    return tone(3000, seconds)


def low(seconds: float) -> NDArray[np.float32]:
    """Return a tone that the model classifies as low."""
    return tone(300, seconds)


def silence(seconds: float) -> NDArray[np.float32]:
    """Return silence."""
    return np.zeros(round(seconds * 16_000), dtype=np.float32)


def save_whisper(
    path: Path,
    script: Script,
    *,
    languages: Sequence[str] = ("de",),
    no_speech: bool = False,
    certainty: float = 10.0,
    dims: ModelDimensions = TINY,
) -> Path:
    """Save a model that returns the same transcript for every window.

    Args:
        path: The .pt file.
        script: The transcript.
        languages: The detected language, or one for high and one for low tones; empty for an English-only model.
        no_speech: Detect no speech.
        certainty: Scale of the logits; at 1 all tokens are almost equally probable.
        dims: Its dimensions.
    """
    model = _untrained(**asdict(dims) | {"n_vocab": 51865 if languages else 51864})
    with torch.no_grad():
        _write_script(model, script, languages, no_speech)
        model.decoder.ln.weight.fill_(certainty)
    torch.save({"dims": asdict(model.dims), "model_state_dict": model.state_dict()}, path)
    return path


@cache
@torch.no_grad()
def _untrained(**dims: int) -> Whisper:
    """Create a model that distinguishes high from low tones, without a transcript."""
    torch.manual_seed(0)
    model = Whisper(ModelDimensions(**dims))
    lengths = (2, 5, 10, 20, 30)
    encoded = torch.stack([_encode_audio(model, tone_of(seconds)) for tone_of in (high, low) for seconds in lengths])
    targets = torch.tensor([[20.0]] * len(lengths) + [[-20.0]] * len(lengths))
    pitch = torch.linalg.lstsq(torch.nn.functional.pad(encoded, (0, 1), value=1.0), targets).solution[:, 0]
    for block in model.decoder.blocks:
        for layer in (block.attn.out, block.cross_attn.out, block.mlp[2]):
            layer.weight.zero_()
            layer.bias.zero_()
    cross = model.decoder.blocks[0].cross_attn
    cross.query.weight.zero_()
    cross.query.bias.zero_()
    cross.value.weight[PITCH] = pitch[:-1]
    cross.value.bias[PITCH] = pitch[-1]
    cross.out.weight[PITCH, PITCH] = 1.0
    return model


def _encode_audio(model: Whisper, samples: NDArray[np.float32]) -> torch.Tensor:
    features: torch.Tensor = model.encoder(whisper.log_mel_spectrogram(whisper.pad_or_trim(samples))[None])
    return features[0].mean(dim=0)


def _write_script(model: Whisper, script: Script, languages: Sequence[str], no_speech: bool) -> None:
    tokenizer = get_tokenizer(multilingual=bool(languages))
    tokens, positions = model.decoder.token_embedding.weight, model.decoder.positional_embedding
    tokens.zero_()
    positions.zero_()
    positions[:, :PITCH] = 20.0 * torch.eye(*positions[:, :PITCH].shape)

    def set_step(step: int, alternatives: Sequence[int]) -> None:
        for token, pitch in zip(alternatives, (1.0, -1.0), strict=False):
            tokens[token, step] += 2.0
            tokens[token, PITCH] = pitch if len(alternatives) > 1 else 0.0

    set_step(0, [tokenizer.to_language_token(language) for language in languages])
    tokens[tokenizer.no_speech, 0] = 4.0 if no_speech else 0.0
    steps = [alternatives for item in script for alternatives in encode(item, tokenizer)]
    for step, alternatives in enumerate([*steps, [tokenizer.eot]], start=len(tokenizer.sot_sequence) - 1):
        set_step(step, alternatives)


def encode(item: float | str | tuple[str, str], tokenizer: Tokenizer) -> list[list[int]]:
    """Return the alternative tokens of each step of a script item."""
    if isinstance(item, tuple):
        return [[token for word in item for token in tokenizer.encode(word)]]
    if isinstance(item, str):
        return [[token] for token in tokenizer.encode(item)]
    return [[tokenizer.timestamp_begin + round(item / 0.02)]]
