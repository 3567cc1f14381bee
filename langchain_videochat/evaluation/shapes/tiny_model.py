"""Configuration, tokenizer and initial weights of videochat-embed-tiny."""

import math
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import Blip2QFormerConfig, Blip2VisionConfig, LlamaConfig, PreTrainedTokenizerFast

from langchain_videochat.embed import (
    VideoChatEmbedConfig,
    VideoChatEmbedForConditionalGeneration,
    VideoChatEmbedProcessor,
)
from langchain_videochat.evaluation.shapes.rendering import IMAGE_SIZE
from langchain_videochat.evaluation.shapes.scene_samples import SAMPLE_TASKS, TIMES, ShapesSamples
from langchain_videochat.training.samples import MEDIA

WIDTH = 128
HEADS = 4
LAYERS = 4
QFORMER_LAYERS = 2
TEXT_LAYERS = 6
"""Two more than the vision tower, because it takes several steps to look up the position of a named figure: 68 % of the
horizontal positions in images were right after training, with four layers 49 %."""

INTERMEDIATE_SIZE = 3 * WIDTH
PATCH = 8
QUERIES, EXTRA_QUERIES = 8, 16
MAX_POSITIONS = 2048

INIT_STD = 0.08
"""Standard deviation of initial weights: about 1 / sqrt(width), where attention learns fastest."""

EMBEDDING_STD = 0.5
"""Standard deviation of word embeddings, which must dominate the outputs of untrained layers."""

POSITION_AMPLITUDE = 0.3
"""Amplitude of the initial position embeddings of patches."""

RESIDUAL_SCALE = 0.3
"""Scale of the initial weights of layers that write to the residual stream."""

TOKENIZER_SAMPLES = 500
"""Samples of each kind that the tokenizer is trained on."""

BOS, EOS = "<s>", "</s>"

PRETOKENS = r"###| ?\d+\.\d+,?| ?\p{L}+| ?[^\s\p{L}]|\s"
"""Pre-tokenization: the paper's separator, times, words, and single characters."""


def new_model(
    seed: int = 0, *, local_mhra: bool = True, gmhra: bool = True
) -> tuple[VideoChatEmbedForConditionalGeneration, VideoChatEmbedProcessor]:
    """Return an untrained model and its processor.

    Args:
        seed: Seed of the weights.
        local_mhra: Use local relation aggregators in the vision tower.
        gmhra: Use global relation aggregators in the vision tower.

    Example:
        >>> model, processor = new_model()
        >>> f"{model.num_parameters() / 1e6:.1f} million weights"
        '3.0 million weights'
    """
    trained = Tokenizer.from_str(_train_tokenizer())
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=trained, bos_token=BOS, eos_token=EOS, pad_token=EOS)
    processor = VideoChatEmbedProcessor(tokenizer, image_size=IMAGE_SIZE, num_visual_tokens=QUERIES + EXTRA_QUERIES)
    torch.manual_seed(seed)
    config = _build_config(processor)
    config.local_mhra *= local_mhra
    config.gmhra_layers *= gmhra
    model = VideoChatEmbedForConditionalGeneration(config)
    _initialize(model)
    return model, processor


def _build_config(processor: VideoChatEmbedProcessor) -> VideoChatEmbedConfig:
    common: dict[str, Any] = {
        "hidden_size": WIDTH,
        "intermediate_size": INTERMEDIATE_SIZE,
        "num_attention_heads": HEADS,
        # BLIP-2's default of 1e-10 is not suited to training from scratch: position embeddings would vanish.
        "initializer_range": INIT_STD,
    }
    vision = Blip2VisionConfig(num_hidden_layers=LAYERS, image_size=IMAGE_SIZE, patch_size=PATCH, **common)
    qformer = Blip2QFormerConfig(
        num_hidden_layers=QFORMER_LAYERS,
        cross_attention_frequency=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **common,
    )
    tokenizer = processor.tokenizer
    text = LlamaConfig(
        vocab_size=processor.video_token_id,
        num_hidden_layers=TEXT_LAYERS,
        max_position_embeddings=MAX_POSITIONS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **common,
    )
    return VideoChatEmbedConfig(
        vision_config=vision,
        qformer_config=qformer,
        text_config=text,
        num_query_tokens=QUERIES,
        num_extra_query_tokens=EXTRA_QUERIES,
        gmhra_layers=LAYERS // 2,
        gmhra_intermediate_size=WIDTH,
        gmhra_dropout=0.0,
        local_mhra=2,
        video_token_id=processor.video_token_id,
    )


@torch.no_grad()
def _initialize(model: VideoChatEmbedForConditionalGeneration) -> None:
    """Initialize weights so that a model this small learns fast."""
    model.query_tokens.normal_(std=INIT_STD)
    model.extra_query_tokens.normal_(std=INIT_STD)
    positions = _position_embeddings(IMAGE_SIZE // PATCH)
    model.vision_tower.embeddings.position_embedding[0, 1:] = POSITION_AMPLITUDE * positions
    for name, weights in model.language_model.named_parameters():
        if name.endswith("embed_tokens.weight"):
            weights.normal_(std=EMBEDDING_STD)
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            weights.mul_(RESIDUAL_SCALE)


def _position_embeddings(side: int) -> Tensor:
    """Return sinusoidal position embeddings, with wavelengths from twice the image size to two patches.

    They halve the steps that it takes to learn positions on images.
    """
    lengths = torch.pi * torch.logspace(-1, math.log2(side / 2), WIDTH // 4, base=2)
    angles = (torch.arange(side) + 0.5)[:, None] / side * lengths
    codes = torch.cat([angles.sin(), angles.cos()], dim=1)
    return torch.cat([codes.repeat_interleave(side, dim=0), codes.repeat(side, 1)], dim=1)


@cache
def _train_tokenizer() -> str:
    """Train a tokenizer on texts about scenes: each of their words is one token, other text falls back to bytes.

    Returned as JSON, because models must not share a mutable tokenizer.
    """
    tokenizer = Tokenizer(models.BPE())
    pieces = pre_tokenizers.Split(Regex(PRETOKENS), "isolated")
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pieces, as_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        special_tokens=[BOS, EOS], initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    return str(tokenizer.to_str())


def _texts() -> Iterator[str]:
    seconds = ", ".join(f"{time:.1f}" for time in TIMES)
    for task, media in product(SAMPLE_TASKS, MEDIA):
        samples = ShapesSamples("train", TOKENIZER_SAMPLES, media=media, task=task)
        for index in range(TOKENIZER_SAMPLES):
            for turn in samples[index].turns:
                yield from (part for part in turn.content if isinstance(part, str))
            yield "###Human: <Image></Image>\n###Assistant: "
            yield f"<Video></Video> The video contains {len(TIMES)} frames sampled at {seconds} seconds.\n"
