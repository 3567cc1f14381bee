"""A tiny Whisper in the format of openai-whisper that returns a given transcript and distinguishes high from low tones.

The position of a token determines the next token: embeddings of positions and tokens share one dimension for each step
of the script. Another dimension contains the pitch from the encoder: positive for high tones, negative for low ones.
The cross-attention of the last layers, from which the times of words are computed, attends to the time of each token
in the script: keys and queries are points on a half circle, on which the 30 seconds of a window lie.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import torch
import whisper
from numpy.typing import NDArray
from whisper.model import ModelDimensions, MultiHeadAttention, Whisper
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

SHARPNESS = 2000.0
"""Scale of the queries that attend to a time: at 2000 the attention is about half a second wide."""

Script = Sequence[float | str | tuple[str, str]]
"""Timestamps in seconds, text, and pairs of words, one for high tones and one for low ones."""


def tone(hertz: float, seconds: float) -> NDArray[np.float32]:
    """Return the samples of a breathy tone that comes and goes like syllables: a steady tone would be noise."""
    times = np.arange(round(seconds * 16_000)) / 16_000
    breath = np.random.default_rng(0).normal(0, 0.05, len(times))
    syllables = np.clip(3 * np.sin(2 * np.pi * 4 * times) + 1.5, 0.01, 1)
    return np.asarray(syllables * (0.3 * np.sin(2 * np.pi * hertz * times) + breath), dtype=np.float32)


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
    circle = _on_half_circle(torch.arange(model.dims.n_audio_ctx) / model.dims.n_audio_ctx)
    model.encoder.positional_embedding.zero_()
    model.encoder.positional_embedding[:, :2] = 20.0 * circle
    for block in model.encoder.blocks:
        for layer in (block.attn.out, block.mlp[2]):
            layer.weight.zero_()
            layer.bias.zero_()
    sounds = [(seconds, level) for seconds in (2, 5, 10, 20, 30) for level in (1.0, 0.2)]
    encoded = [_encode_audio(model, level * tone_of(seconds)) for tone_of in (high, low) for seconds, level in sounds]
    targets = torch.tensor([[20.0]] * len(sounds) + [[-20.0]] * len(sounds))
    means = torch.nn.functional.pad(torch.stack([features.mean(dim=0) for features in encoded]), (0, 1), value=1.0)
    # Without a limit, features that hardly differ get weights that depend on rounding and overflow in half precision.
    pitch = torch.linalg.lstsq(means, targets, rcond=1e-3, driver="gelsd").solution[:, 0]
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
    places = torch.linalg.lstsq(torch.cat(encoded), circle.repeat(len(encoded), 1)).solution
    for attention in _alignment_layers(model):
        attention.key.weight.zero_()
        for head in _heads(attention):
            attention.key.weight[head] = places.T
    return model


def _encode_audio(model: Whisper, samples: NDArray[np.float32]) -> torch.Tensor:
    features: torch.Tensor = model.encoder(whisper.log_mel_spectrogram(whisper.pad_or_trim(samples))[None])
    return features[0]


def _on_half_circle(parts: torch.Tensor) -> torch.Tensor:
    """Return the points of parts of a window, from 0 to 1."""
    return torch.stack([torch.cos(torch.pi * parts), torch.sin(torch.pi * parts)], dim=-1)


def _alignment_layers(model: Whisper) -> list[MultiHeadAttention]:
    """Return the layers from which openai-whisper computes the times of words."""
    return [block.cross_attn for block in model.decoder.blocks[model.dims.n_text_layer // 2 :]]


def _heads(attention: MultiHeadAttention) -> list[slice]:
    """Return the first two dimensions of each head."""
    size = attention.query.weight.shape[0] // attention.n_head
    return [slice(head * size, head * size + 2) for head in range(attention.n_head)]


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
    _write_times(model, script, tokenizer)


@torch.no_grad()
def _write_times(model: Whisper, script: Script, tokenizer: Tokenizer) -> None:
    """Let the prediction of each text token attend to its time, and the prediction of the end to the time after it."""
    text, centers = _token_times(script, tokenizer)
    inputs = torch.tensor([*tokenizer.sot_sequence, tokenizer.no_timestamps, *text])
    states = model.decoder.token_embedding(inputs) + model.decoder.positional_embedding[: len(inputs)]
    normalized = model.decoder.blocks[1].cross_attn_ln(states)[len(tokenizer.sot_sequence) :, :PITCH]
    # The pitch shifts all dimensions by the same amount, which must not matter.
    equations = torch.cat([normalized, torch.ones(1, normalized.shape[1])])
    targets = torch.cat([SHARPNESS * _on_half_circle(torch.tensor(centers) / 30), torch.zeros(1, 2)])
    queries = torch.linalg.lstsq(equations, targets, driver="gelsd").solution.T
    for attention in _alignment_layers(model):
        attention.query.weight.zero_()
        attention.query.bias.zero_()
        for head in _heads(attention):
            attention.query.weight[head, :PITCH] = queries


def _token_times(script: Script, tokenizer: Tokenizer) -> tuple[list[int], list[float]]:
    """Return the text tokens, and the seconds to which they and the end attend.

    The words divide the time between two timestamps. Punctuation, and the end, are after it by half a word, so that
    the last word ends at the timestamp: its end is halfway to the next token.
    """
    tokens: list[int] = []
    times: list[float] = []
    start, pending = 0.0, list[int]()
    for token in [step[0] for item in script for step in encode(item, tokenizer)]:
        if token < tokenizer.timestamp_begin:
            pending.append(token)
            continue
        end = (token - tokenizer.timestamp_begin) * 0.02
        words = sum(any(letter.isalnum() for letter in tokenizer.decode([one])) for one in pending)
        half = (end - start) / max(1, words) / 2
        times += [start + half * min(2 * number + 1, 2 * words + 1) for number in range(len(pending))]
        tokens += pending
        start, pending = end, []
    return tokens + pending, times + [start + 0.5 + number for number in range(len(pending) + 1)]


def encode(item: float | str | tuple[str, str], tokenizer: Tokenizer) -> list[list[int]]:
    """Return the alternative tokens of each step of a script item."""
    if isinstance(item, tuple):
        return [[token for word in item for token in tokenizer.encode(word)]]
    if isinstance(item, str):
        return [[token] for token in tokenizer.encode(item)]
    return [[tokenizer.timestamp_begin + round(item / 0.02)]]
