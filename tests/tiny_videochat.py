"""A tiny VideoChat-Embed with random weights for tests."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import Blip2QFormerConfig, Blip2VisionConfig, LlamaConfig, PreTrainedTokenizerFast

from langchain_videochat.embed import (
    VideoChatEmbedConfig,
    VideoChatEmbedForConditionalGeneration,
    VideoChatEmbedProcessor,
)

SIZE = 28
QUERIES = 4
VOCABULARY = 60
VIDEO_TOKEN = VOCABULARY
"""Beyond the language model's vocabulary."""

SPREAD = 0.3
"""Standard deviation of the random weights: large enough that different inputs give different tokens."""


def tiny_videochat(text_config: Any = None, **options: Any) -> VideoChatEmbedForConditionalGeneration:
    """Build a model with an input size of 28 x 28 pixels. The same options give the same weights."""
    vision = Blip2VisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2, image_size=SIZE, patch_size=7
    )
    dropout: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    qformer = Blip2QFormerConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, **dropout
    )
    text = text_config or LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    sizes: dict[str, Any] = {
        "num_query_tokens": 1,
        "num_extra_query_tokens": QUERIES - 1,
        "gmhra_layers": 2,
        "video_token_id": VIDEO_TOKEN,
    }
    parts: dict[str, Any] = {"vision_config": vision, "qformer_config": qformer, "text_config": text}
    config = VideoChatEmbedConfig(**parts, **(sizes | options))
    model = VideoChatEmbedForConditionalGeneration(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=SPREAD, generator=generator)
    return model


def byte_tokenizer(*, template: str = "$A", **settings: Any) -> PreTrainedTokenizerFast:
    """Build a byte-level tokenizer, which decodes every text losslessly."""
    special = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*special, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=[("<s>", 0), ("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **{"bos_token": "<s>", "eos_token": "</s>", "extra_special_tokens": special[2:], **settings},
    )


def save_videochat(
    folder: Path, *, max_positions: int = 1024, text_config: Any = LlamaConfig, **text_options: Any
) -> Path:
    """Save a model with a byte-level tokenizer, and its processor. `text_config` is a class."""
    tokenizer = byte_tokenizer()
    processor = VideoChatEmbedProcessor(tokenizer, image_size=SIZE, num_visual_tokens=QUERIES)
    options = {
        "vocab_size": processor.video_token_id,
        "hidden_size": 64,  # bitsandbytes needs a multiple of 64
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": max_positions,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.eos_token_id,
    }
    text = text_config(**options | text_options)
    tiny_videochat(text, video_token_id=processor.video_token_id).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
