"""VideoChat-Embed in its real sizes, with random weights."""

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
from tests.tiny_videochat import byte_tokenizer

ModelT = TypeVar("ModelT", bound=nn.Module)

LLAMA: dict[str, dict[str, Any]] = {
    "7B": {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32},
    "13B": {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40},
}


def save_real(folder: Path, size: str, scale: float, device: str) -> None:
    """Save a model of a size, or one with a share of its layers, in bfloat16."""
    shape = LLAMA[size] | {"num_hidden_layers": max(1, round(LLAMA[size]["num_hidden_layers"] * scale))}
    processor = VideoChatEmbedProcessor(byte_tokenizer())
    text = LlamaConfig(vocab_size=32_001, bos_token_id=0, eos_token_id=1, pad_token_id=1, **shape)
    config = VideoChatEmbedConfig(text_config=text, video_token_id=processor.video_token_id)
    model = with_random_weights(lambda: VideoChatEmbedForConditionalGeneration(config), device, torch.bfloat16)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def with_random_weights(make: Callable[[], ModelT], device: str, dtype: torch.dtype = torch.float32) -> ModelT:
    """Make a model without the minutes that its own initialisation takes; what it computes for itself is left out."""
    with torch.device("meta"):
        model = make()
    model.to(dtype).to_empty(device=device).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.03, 0.03)
    return model
