"""The shape of videochat-embed-tiny, its tokenizer, and the weights with which it begins."""

import math
from collections.abc import Iterator

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import Blip2QFormerConfig, Blip2VisionConfig, LlamaConfig, PreTrainedTokenizerFast

from langchain_videochat.embed import (
    VideoChatEmbedConfig,
    VideoChatEmbedForConditionalGeneration,
    VideoChatEmbedProcessor,
)
from langchain_videochat.evaluation.shapes.rendering import SIDE
from langchain_videochat.evaluation.shapes.scene_samples import TASKS, TIMES, ShapesSamples
from langchain_videochat.training.samples import MEDIA

WIDTH = 128
HEADS = 4
LAYERS = 4
QFORMER_LAYERS = 2
TEXT_LAYERS = 6
INNER = 3 * WIDTH
PATCH = 8
QUERIES, EXTRA_QUERIES = 8, 16
CONTEXT = 2048

SPREAD = 0.08
"""Standard deviation of new weights: about 1 / sqrt(width), where attention learns to tell tokens apart soonest."""

EMBEDDING_SPREAD = 0.5
"""That of the language model's word vectors, which must outweigh what layers add to them at first."""

PLACE_SPREAD = 0.3
"""The size of the waves by which patches know their places at first."""

RESIDUAL_SHARE = 0.3
"""The weights with which a layer adds to a token begin at this share of the others."""

TEXTS = 500
"""Samples of each kind from which the tokenizer learns its words."""

BEGIN, END = "<s>", "</s>"

PIECES = r"###| ?\d+\.\d+,?| ?\p{L}+| ?[^\s\p{L}]|\s"
"""What no token reaches beyond: the paper's separator, times, words, and single signs."""


def new_model(
    seed: int = 0, *, local_mhra: bool = True, gmhra: bool = True
) -> tuple[VideoChatEmbedForConditionalGeneration, VideoChatEmbedProcessor]:
    """Make a VideoChatEmbed that has learnt nothing yet.

    Args:
        seed: Decides on its weights.
        local_mhra: Whether the vision tower has local relation aggregators.
        gmhra: Whether it has global ones.

    Example:
        >>> model, processor = new_model()
        >>> f"{model.num_parameters() / 1e6:.1f} million weights"
        '3.0 million weights'
    """
    tokenizer = _learn_words()
    processor = VideoChatEmbedProcessor(tokenizer, image_size=SIDE, num_visual_tokens=QUERIES + EXTRA_QUERIES)
    torch.manual_seed(seed)
    config = _shape(processor)
    config.local_mhra *= local_mhra
    config.gmhra_layers *= gmhra
    model = VideoChatEmbedForConditionalGeneration(config)
    _spread(model)
    return model, processor


def _shape(processor: VideoChatEmbedProcessor) -> VideoChatEmbedConfig:
    vision = Blip2VisionConfig(
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        image_size=SIDE,
        patch_size=PATCH,
        # BLIP-2's own is 1e-10, as it is never trained from nothing: patches would not know their places.
        initializer_range=SPREAD,
    )
    qformer = Blip2QFormerConfig(
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=QFORMER_LAYERS,
        num_attention_heads=HEADS,
        cross_attention_frequency=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=SPREAD,
    )
    tokenizer = processor.tokenizer
    text = LlamaConfig(
        vocab_size=processor.video_token_id,
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=TEXT_LAYERS,
        num_attention_heads=HEADS,
        max_position_embeddings=CONTEXT,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=SPREAD,
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
def _spread(model: VideoChatEmbedForConditionalGeneration) -> None:
    """Give weights the spread with which so small a model learns soonest."""
    model.query_tokens.normal_(std=SPREAD)
    model.extra_query_tokens.normal_(std=SPREAD)
    model.vision_tower.embeddings.position_embedding[0, 1:] = PLACE_SPREAD * _waves(SIDE // PATCH)
    for name, weights in model.language_model.named_parameters():
        if name.endswith("embed_tokens.weight"):
            weights.normal_(std=EMBEDDING_SPREAD)
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            weights.mul_(RESIDUAL_SHARE)


def _waves(side: int) -> Tensor:
    """Tell patches of a picture apart by waves down and across it, from half a wave to one every other patch."""
    lengths = torch.pi * torch.logspace(-1, math.log2(side / 2), WIDTH // 4, base=2)
    angles = (torch.arange(side) + 0.5)[:, None] / side * lengths
    codes = torch.cat([angles.sin(), angles.cos()], dim=1)
    return torch.cat([codes.repeat_interleave(side, dim=0), codes.repeat(side, 1)], dim=1)


def _learn_words() -> PreTrainedTokenizerFast:
    """Learn tokens from what is said about the world: a word is one, and any other text is spelt in bytes."""
    tokenizer = Tokenizer(models.BPE())
    pieces = pre_tokenizers.Split(Regex(PIECES), "isolated")
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pieces, as_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        special_tokens=[BEGIN, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BEGIN, eos_token=END, pad_token=END)


def _texts() -> Iterator[str]:
    seconds = ", ".join(f"{time:.1f}" for time in TIMES)
    for task in TASKS:
        for media in MEDIA:
            for sample in map(ShapesSamples("train", TEXTS, media=media, task=task).__getitem__, range(TEXTS)):
                for turn in sample.turns:
                    yield from (part for part in turn.content if isinstance(part, str))
                yield "###Human: <Image></Image>\n###Assistant: "
                yield f"<Video></Video> The video contains {len(TIMES)} frames sampled at {seconds} seconds.\n"
