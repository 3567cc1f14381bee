"""Properties and memory requirements of a model for VideoChatEmbed, without loading its weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_videochat.embed.backends import VIDEOCHAT
from langchain_videochat.embed.conversation import NUM_FRAMES
from langchain_videochat.embed.model_config import context_length, read_config
from langchain_videochat.embed.settings import ModelSettings, float32_on_cpu

BYTES = {"BF16": 2, "F16": 2, "F32": 4, "F64": 8}
"""Bytes per weight, by the name of its type in safetensors files."""


@dataclass(frozen=True)
class ModelFacts:
    """Properties and memory requirements of a model."""

    kind: str
    """Its model type in transformers."""

    takes: str
    """How it takes a video: "videos" or "images", followed by "and audio" if it takes that, too."""

    weights: int
    """Memory for its weights on this machine in bytes."""

    available: int
    """Memory that is free for them, in bytes."""

    context_length: int | None
    """Tokens of a prompt and its answer; None if unknown."""

    video_tokens: int
    """Tokens of a video with `NUM_FRAMES` frames."""

    @property
    def max_frames(self) -> int | None:
        """How many such frames fit into the context; None if that is unknown."""
        return None if self.context_length is None else self.context_length * NUM_FRAMES // self.video_tokens


def find_facts(model: str) -> ModelFacts:
    """Return the facts about a model. It is downloaded if it is not on this machine.

    Raises:
        ModelUnavailableError: The model is not on this machine and cannot be downloaded.
        ModelError: It reads no images or videos, has no chat template, or is damaged.

    Example:
        >>> find_facts("videochat-embed-tiny").video_tokens
        24
    """
    settings = ModelSettings(model)
    folder = settings.fetch()
    config = read_config(folder)
    kind = str(config.get("model_type", "unknown"))
    takes, video_tokens = (_read_videochat if kind == VIDEOCHAT else _read_transformers)(settings)
    weights, available = _memory(folder, settings), _available(settings)
    return ModelFacts(kind, takes, weights, available, context_length(config), video_tokens)


def _read_videochat(settings: ModelSettings) -> tuple[str, int]:
    """Return how a VideoChat-Embed takes a video, and the tokens of one."""
    import langchain_videochat.embed.loading  # noqa: F401 - registers the classes with transformers
    from langchain_videochat.embed.processing_videochat import VideoChatEmbedProcessor

    processor = VideoChatEmbedProcessor.from_pretrained(settings.fetch())
    return "videos", int(processor.num_visual_tokens)


def _read_transformers(settings: ModelSettings) -> tuple[str, int]:
    """Return how a model of transformers takes a video, and the tokens of one."""
    from langchain_videochat.embed.frame_sizes import DEFAULT_SIZE, FrameSizes
    from langchain_videochat.embed.transformers_backend import DEFAULT_VIDEO_TOKENS
    from langchain_videochat.embed.transformers_loading import load_config_and_processor
    from langchain_videochat.embed.transformers_processors import choose_writer

    config, processor = load_config_and_processor(settings)
    writer = choose_writer(processor, config, settings.model)
    size = FrameSizes(writer.count_visual_tokens).find(NUM_FRAMES, DEFAULT_SIZE, DEFAULT_VIDEO_TOKENS)
    return f"{writer.takes} and audio" if writer.audio else writer.takes, size.tokens


def _memory(folder: Path, settings: ModelSettings) -> int:
    """Return the memory for the weights in the dtype that they are loaded in, in bytes."""
    size = float32_on_cpu(settings).torch_dtype.itemsize
    files = [*folder.glob("*.safetensors")] or [*folder.glob("*.bin")]
    return sum(round(path.stat().st_size * size / _bytes_per_weight(path)) for path in files)


def _bytes_per_weight(path: Path) -> int:
    if path.suffix != ".safetensors":
        return 2
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        name: Any = next(iter(file.keys()), None)
        return BYTES.get(file.get_slice(name).get_dtype(), 1) if name else 2


def _available(settings: ModelSettings) -> int:
    import psutil
    import torch

    if settings.torch_device.type == "cuda":
        return torch.cuda.mem_get_info(settings.torch_device)[0]
    return int(psutil.virtual_memory().available)
