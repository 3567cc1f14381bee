"""VideoChat-Embed with random weights, at full size and smaller."""

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from transformers import LlamaConfig

from langchain_videochat.embed import (
    VideoChatEmbedConfig,
    VideoChatEmbedForConditionalGeneration,
    VideoChatEmbedProcessor,
)
from tests.tiny_videochat import QUERIES, SIZE, byte_tokenizer, tiny_videochat

ModelT = TypeVar("ModelT", bound=nn.Module)

LLAMA: dict[str, dict[str, Any]] = {
    "7B": {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32},
    "13B": {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40},
}

SMALL: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}
"""LLaMA in the size of GPT-2: large enough for compute to dominate on a CPU."""

TINY: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "max_position_embeddings": 16_384,  # an hour in segments, with byte-level text
}


def save_real(folder: Path, size: str, scale: float, device: str) -> None:
    """Save a model of a given size, or with a fraction `scale` of its layers, in bfloat16."""
    shape = LLAMA[size] | {"num_hidden_layers": max(1, round(LLAMA[size]["num_hidden_layers"] * scale))}
    processor = VideoChatEmbedProcessor(byte_tokenizer())
    config = VideoChatEmbedConfig(text_config=_llama(shape), video_token_id=processor.video_token_id)
    model = with_random_weights(lambda: VideoChatEmbedForConditionalGeneration(config), device, torch.bfloat16)
    _save(folder, model, processor)


def save_small(folder: Path, shape: dict[str, Any]) -> str:
    """Save a model with a tiny vision side and a LLaMA of a given shape, in float32, with deterministic weights."""
    processor = VideoChatEmbedProcessor(byte_tokenizer(), image_size=SIZE, num_visual_tokens=QUERIES)
    config = tiny_videochat(video_token_id=processor.video_token_id).config
    config.text_config = _llama(shape)
    torch.manual_seed(0)
    _save(folder, VideoChatEmbedForConditionalGeneration(config), processor)
    return str(folder)


def with_random_weights(make: Callable[[], ModelT], device: str, dtype: torch.dtype = torch.float32) -> ModelT:
    """Build a model without its initialization, which takes minutes. Buffers are left uninitialized."""
    with torch.device("meta"):
        model = make()
    model.to(dtype).to_empty(device=device).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.03, 0.03)
    return model


def _llama(shape: dict[str, Any]) -> LlamaConfig:
    return LlamaConfig(vocab_size=32_001, bos_token_id=0, eos_token_id=1, pad_token_id=1, **shape)


def _save(folder: Path, model: VideoChatEmbedForConditionalGeneration, processor: VideoChatEmbedProcessor) -> None:
    """Save a model that generates only letters: each token is streamed at once, and nothing ends the answer."""
    head = model.language_model.lm_head.weight
    letters = processor.tokenizer.convert_tokens_to_ids(list(string.ascii_letters))
    others = torch.ones(len(head), dtype=torch.bool).index_fill(0, torch.tensor(letters), False)
    with torch.no_grad():
        head[others] = 0
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
