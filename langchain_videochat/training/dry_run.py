"""A dry run: what a training run would do."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

import torch

from langchain_videochat.embed import VideoChatEmbedConfig, VideoChatEmbedForConditionalGeneration
from langchain_videochat.embed.processing_videochat import VideoChatEmbedProcessor
from langchain_videochat.errors import VideoChatError
from langchain_videochat.models.hub import fetch_weights
from langchain_videochat.models.weights import model_errors
from langchain_videochat.training.batch_sampler import BatchIndices, MediaBatchSampler
from langchain_videochat.training.batches import IGNORE_INDEX, BatchDataset, TrainingBatch
from langchain_videochat.training.config import TrainingConfig
from langchain_videochat.training.samples import Media, Samples
from langchain_videochat.training.trainable_weights import set_trainable
from langchain_videochat.training.training_data import count_steps, load_samples

SHOWN_SAMPLES = 4
"""Number of samples of the first batch that are shown."""

LAYER_COPIES = 17
"""Activations that a transformer layer keeps for the backward pass, in multiples of its hidden states (Korthikanti et
al., 2022, without attention weights, which modern kernels don't keep)."""

AGGREGATOR_COPIES = 6
"""The same for a global relation aggregator: norm, position encoding, and their sum."""

LOGIT_BYTES = 14
"""Bytes per token and vocabulary entry: the logits in their own precision and in fp32, probabilities and gradients."""


@dataclass(frozen=True)
class Preview:
    """The result of a dry run; `str()` gives a summary."""

    parameters: int
    """Number of parameters of the model."""

    trainable: int
    """Number of trainable parameters."""

    samples: dict[Media, int]
    """Number of samples of each media type."""

    steps: int
    """Number of optimizer steps."""

    epochs: float
    """Number of epochs."""

    memory: dict[str, int]
    """Estimated bytes per device, by purpose. Tends to be too high."""

    skipped: tuple[str, ...]
    """Error messages of samples of the first batch that could not be read."""

    text: str
    """Some samples of the first batch as the model receives them. Tokens with a label are between « and »."""

    def __str__(self) -> str:
        share = self.trainable / self.parameters
        sizes = ", ".join(f"{size:,} {media}s" for media, size in self.samples.items())
        parts = ", ".join(f"{name} {_gigabytes(size)}" for name, size in self.memory.items())
        return "\n".join(
            [
                f"parameters: {self.trainable:,} of {self.parameters:,} are trained ({share:.2%})",
                f"samples:    {sizes}",
                f"steps:      {self.steps:,} ({self.epochs:.3g} epochs)",
                f"memory:     about {_gigabytes(sum(self.memory.values()))} per device ({parts})",
                *(f"skipped:    {problem}" for problem in self.skipped),
                "",
                self.text,
            ]
        )


def preview(config: TrainingConfig, samples: Mapping[Media, Samples] | None = None, *, devices: int = 1) -> Preview:
    """Return what a run would do, without loading the model's weights.

    Args:
        config: The training config.
        samples: Samples by media type; the files of `config.data` if None.
        devices: Number of devices.

    Raises:
        ModelUnavailableError: The model is not available.
        InputError: The config is invalid, or no sample can be read.
        SourceError: A data file does not exist.
    """
    samples = load_samples(config) if samples is None else samples
    sampler = MediaBatchSampler.of(samples, config.batch_size, config.seed)
    steps = count_steps(config, sampler)
    folder = fetch_weights(config.model)
    with model_errors(config.model):
        processor = VideoChatEmbedProcessor.from_pretrained(folder)
        with torch.device("meta"):
            model = VideoChatEmbedForConditionalGeneration(VideoChatEmbedConfig.from_pretrained(folder))
            set_trainable(model, config.trainable)
    first = sampler.batch(0)
    dataset = BatchDataset(samples, processor, config.max_text_tokens)
    batch = dataset[BatchIndices(first.media, first.indices[:SHOWN_SAMPLES])]
    if isinstance(batch, VideoChatError):
        raise batch
    rows = max(1, config.batch_size // (devices * config.gradient_accumulation_steps))
    return Preview(
        parameters=model.num_parameters(),
        trainable=model.num_parameters(only_trainable=True),
        samples=dict(sampler.sizes),
        steps=steps,
        epochs=steps / sampler.steps_per_epoch,
        memory=estimate_memory(model, config, rows=rows, length=batch.inputs["input_ids"].shape[1]),
        skipped=batch.skipped,
        text=render_batch(batch, processor),
    )


def render_batch(batch: TrainingBatch, processor: VideoChatEmbedProcessor) -> str:
    """Decode a batch, with visual tokens abbreviated, and tokens that have a label between « and »."""
    placeholders = re.compile(rf"(?:{re.escape(processor.video_token)}\s*)+")
    texts = []
    for row, source in enumerate(batch.sources):
        ids, labels, mask = (batch.inputs[name][row].tolist() for name in ("input_ids", "labels", "attention_mask"))
        text = ""
        pairs = zip(ids[: sum(mask)], labels, strict=False)
        for has_label, run in groupby(pairs, key=lambda pair: pair[1] != IGNORE_INDEX):
            decoded = processor.tokenizer.decode([token for token, _ in run])
            text += f"«{decoded}»" if has_label else decoded
        short = placeholders.sub(f"[{processor.num_visual_tokens} visual tokens]", text)
        texts.append(f"{source}:\n{short}")
    return "\n\n".join(texts)


def estimate_memory(
    model: VideoChatEmbedForConditionalGeneration, config: TrainingConfig, *, rows: int, length: int
) -> dict[str, int]:
    """Estimate the bytes that training takes on each device, by purpose. Activations tend to be overestimated.

    A forward pass has `rows` samples of `length` tokens. The model may be on the meta device.
    """
    trainable = model.num_parameters(only_trainable=True)
    frozen = model.num_parameters() - trainable
    width = 2 if config.precision == "bf16" else 4
    return {
        "weights": 4 * trainable + width * frozen,
        "gradients": 4 * trainable,
        "optimizer": 8 * trainable,
        "activations": rows * _activation_bytes(model.config, config, length, width),
    }


def _activation_bytes(shape: VideoChatEmbedConfig, config: TrainingConfig, length: int, width: int) -> int:
    vision, qformer, text = shape.vision_config, shape.qformer_config, shape.text_config
    vision_tokens = config.num_frames * ((vision.image_size // vision.patch_size) ** 2 + 1)
    layers = [
        (text.num_hidden_layers, length * text.hidden_size),
        (qformer.num_hidden_layers, shape.num_visual_tokens * qformer.hidden_size),
    ]
    if config.trainable == "all" or shape.local_mhra:
        layers.append((vision.num_hidden_layers, vision_tokens * vision.hidden_size))
    copies = LAYER_COPIES * max(size for _, size in layers) if config.gradient_checkpointing else 0
    for count, size in layers:
        copies += count * size * (1 if config.gradient_checkpointing else LAYER_COPIES)
    copies += shape.gmhra_layers * vision_tokens * vision.hidden_size * AGGREGATOR_COPIES
    # Keys and values of the cross-attention in every other layer of the Q-Former.
    copies += qformer.num_hidden_layers * vision_tokens * qformer.hidden_size
    return width * copies + LOGIT_BYTES * length * text.vocab_size


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.3g} GB"
