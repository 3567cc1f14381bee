"""What a run would do, without doing it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from langchain_videochat.embed import VideoChatEmbedConfig, VideoChatEmbedForConditionalGeneration
from langchain_videochat.embed.processing_videochat import VideoChatEmbedProcessor
from langchain_videochat.errors import VideoChatError
from langchain_videochat.models.hub import fetch_weights
from langchain_videochat.models.weights import model_errors
from langchain_videochat.training.batches import IGNORED, Batch, Batches
from langchain_videochat.training.config import TrainingConfig
from langchain_videochat.training.mixing import Draw
from langchain_videochat.training.models import choose_trained
from langchain_videochat.training.samples import Media, Samples
from langchain_videochat.training.sources import count_steps, mix, read_samples

SHOWN = 4
"""Samples of the first batch that are shown."""

LAYER_COPIES = 17
"""How many times its width a token keeps in a transformer layer for the gradients (Korthikanti et al., 2022, without
the attention's weights, which no modern kernel keeps)."""

AGGREGATOR_COPIES = 6
"""The same for a global relation aggregator: norm, position encoding, and their sum."""

LOGIT_BYTES = 14
"""Of each word that may follow a token: the logits as computed, in 32 bits, their probabilities and gradients."""


@dataclass(frozen=True)
class Preview:
    """What a run would do; printed, some lines."""

    parameters: int
    """Numbers in the model."""

    trained: int
    """How many of them learn."""

    samples: dict[Media, int]
    """How many there are of each medium."""

    steps: int
    """How often the weights are changed."""

    epochs: float
    """How often each sample is seen."""

    memory: dict[str, int]
    """Bytes on each device, by what they are for; rather too many."""

    broken: tuple[str, ...]
    """What of the first batch could not be read, and why."""

    text: str
    """Some samples of the first batch as the model reads them; what is learnt stands between « and »."""

    def __str__(self) -> str:
        share = self.trained / self.parameters
        sizes = ", ".join(f"{size:,} {media}s" for media, size in self.samples.items())
        parts = ", ".join(f"{name} {_gigabytes(size)}" for name, size in self.memory.items())
        return "\n".join(
            [
                f"parameters: {self.trained:,} of {self.parameters:,} are trained ({share:.2%})",
                f"samples:    {sizes}",
                f"steps:      {self.steps:,}, which are {self.epochs:.3g} epochs",
                f"memory:     about {_gigabytes(sum(self.memory.values()))} a device ({parts})",
                *(f"skipped:    {problem}" for problem in self.broken),
                "",
                self.text,
            ]
        )


def preview(config: TrainingConfig, samples: Mapping[Media, Samples] | None = None, *, devices: int = 1) -> Preview:
    """Tell what a run would do; the model's weights are not read.

    Args:
        config: What is to be trained on what, and how.
        samples: Where samples come from, by medium; the files of `config.data` if None.
        devices: On how many devices.

    Raises:
        ModelUnavailableError: The model is not here.
        InputError: The config makes no sense, or no sample can be read.
        SourceError: A file of samples is not there.
    """
    samples = read_samples(config) if samples is None else samples
    mixture = mix(config, samples)
    steps = count_steps(config, mixture)
    folder = fetch_weights(config.model)
    with model_errors(config.model):
        processor = VideoChatEmbedProcessor.from_pretrained(folder)
        with torch.device("meta"):
            model = VideoChatEmbedForConditionalGeneration(VideoChatEmbedConfig.from_pretrained(folder))
            choose_trained(model, config.trains)
    first = mixture.draw(0)
    batch = Batches(samples, processor, config.max_text_tokens)[Draw(first.media, first.indices[:SHOWN])]
    if isinstance(batch, VideoChatError):
        raise batch
    rows = max(1, config.batch_size // (devices * config.accumulation))
    return Preview(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        trained=sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        samples=dict(mixture.sizes),
        steps=steps,
        epochs=steps / mixture.steps_per_epoch,
        memory=estimate_memory(model, config, rows=rows, length=batch.inputs["input_ids"].shape[1]),
        broken=batch.broken,
        text=render(batch, processor),
    )


def render(batch: Batch, processor: VideoChatEmbedProcessor) -> str:
    """Write a batch as the model reads it, the places of a video in brief, and what is learnt between « and »."""
    tokenizer = processor.tokenizer
    places = re.compile(rf"(?:{re.escape(processor.video_token)}\s*)+")
    texts = []
    for row, source in enumerate(batch.sources):
        ids, labels, mask = (batch.inputs[name][row].tolist() for name in ("input_ids", "labels", "attention_mask"))
        pieces: list[tuple[bool, list[int]]] = []
        for token, label in zip(ids[: sum(mask)], labels, strict=False):
            is_learnt = label != IGNORED
            if not pieces or pieces[-1][0] != is_learnt:
                pieces.append((is_learnt, []))
            pieces[-1][1].append(token)
        decoded = ((is_learnt, tokenizer.decode(tokens)) for is_learnt, tokens in pieces)
        text = "".join(f"«{piece}»" if is_learnt else piece for is_learnt, piece in decoded)
        short = places.sub(f"[{processor.num_visual_tokens} visual tokens]", text)
        texts.append(f"{source}:\n{short}")
    return "\n\n".join(texts)


def estimate_memory(
    model: VideoChatEmbedForConditionalGeneration, config: TrainingConfig, *, rows: int, length: int
) -> dict[str, int]:
    """Estimate the bytes that training takes on a device, by what they are for; of activations rather too many.

    Args:
        model: Its weights need not be there.
        config: How it is trained.
        rows: Samples that go through the model at once.
        length: Tokens of each.
    """
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    frozen = sum(parameter.numel() for parameter in model.parameters()) - trained
    width = 2 if config.precision == "bf16" else 4
    return {
        "weights": 4 * trained + width * frozen,
        "gradients": 4 * trained,
        "optimizer": 8 * trained,
        "activations": rows * _activations(model.config, config, length, width),
    }


def _activations(shape: VideoChatEmbedConfig, config: TrainingConfig, length: int, width: int) -> int:
    """Estimate the bytes that a sample's way through the model leaves for the gradients."""
    vision, qformer, text = shape.vision_config, shape.qformer_config, shape.text_config
    visible = config.num_frames * ((vision.image_size // vision.patch_size) ** 2 + 1)
    layers = [
        (text.num_hidden_layers, length * text.hidden_size),
        (qformer.num_hidden_layers, shape.num_visual_tokens * qformer.hidden_size),
    ]
    if config.trains == "all" or shape.local_mhra:
        layers.append((vision.num_hidden_layers, visible * vision.hidden_size))
    copies = LAYER_COPIES * max(size for _, size in layers) if config.gradient_checkpointing else 0
    for count, size in layers:
        copies += count * size * (1 if config.gradient_checkpointing else LAYER_COPIES)
    copies += shape.gmhra_layers * visible * vision.hidden_size * AGGREGATOR_COPIES
    # Keys and values of every other layer of the Q-Former.
    copies += qformer.num_hidden_layers * visible * qformer.hidden_size
    return width * copies + LOGIT_BYTES * length * text.vocab_size


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.3g} GB"
