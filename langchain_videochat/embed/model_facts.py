"""What a model for VideoChatEmbed is and needs, found out without loading its weights."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_videochat.embed.backends import VIDEOCHAT, read_model_type
from langchain_videochat.embed.context_lengths import find_context_length
from langchain_videochat.embed.conversation import NUM_FRAMES, Image, Turn, Video
from langchain_videochat.embed.settings import ModelSettings

BYTES = {"BF16": 2, "F16": 2, "F32": 4, "F64": 8}
"""Bytes per weight, by the name of its type in safetensors files."""


@dataclass(frozen=True)
class ModelFacts:
    """What a model is and needs."""

    kind: str
    """Its model type in transformers."""

    takes: str
    """How it takes a video: "videos" or "images"."""

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
    """Find out what a model is and needs. It is downloaded if it is not on this machine.

    Raises:
        ModelUnavailableError: The model is not on this machine and cannot be downloaded.
        ModelError: It reads no images or videos, has no chat template, or is damaged.

    Example:
        >>> find_facts("videochat-embed-tiny").video_tokens
        24
    """
    settings = ModelSettings(model)
    folder = settings.fetch()
    kind = read_model_type(folder) or "unknown"
    takes, count = (_videochat if kind == VIDEOCHAT else _transformers)(settings)
    return ModelFacts(kind, takes, _memory(folder, settings), _available(settings), find_context_length(model), count())


def _videochat(settings: ModelSettings) -> tuple[str, Callable[[], int]]:
    import langchain_videochat.embed.loading  # noqa: F401 - registers the classes with transformers
    from langchain_videochat.embed.processing_videochat import VideoChatEmbedProcessor

    processor = VideoChatEmbedProcessor.from_pretrained(settings.fetch())
    return "videos", lambda: int(processor.num_visual_tokens)


def _transformers(settings: ModelSettings) -> tuple[str, Callable[[], int]]:
    from langchain_videochat.embed.frame_sizes import FrameSizes
    from langchain_videochat.embed.transformers_backend import DEFAULT_VIDEO_TOKENS
    from langchain_videochat.embed.transformers_loading import load_processor
    from langchain_videochat.embed.transformers_processors import choose_writer

    writer = choose_writer(load_processor(settings), settings.model)

    def count(visual: Video | Image) -> int:
        return int(writer.convert([writer.write([Turn("human", (visual,))])])["input_ids"].shape[1])

    return writer.takes, lambda: FrameSizes(count).find(NUM_FRAMES, DEFAULT_VIDEO_TOKENS).tokens


def _memory(folder: Path, settings: ModelSettings) -> int:
    """Return the memory for the weights in the dtype that they are loaded in."""
    on_cpu = settings.torch_device.type == "cpu"
    files = [*folder.glob("*.safetensors")] or [*folder.glob("*.bin")]
    return sum(round(path.stat().st_size * (4 if on_cpu else 2) / _bytes_per_weight(path)) for path in files)


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
