"""Which VideoChat-Embed is loaded, and how."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from langchain_videochat.models.weights import Weights

Quantization = Literal["8bit", "4bit"]

BITS: Mapping[Quantization | None, Literal[8, 4] | None] = {None: None, "8bit": 8, "4bit": 4}


@dataclass(frozen=True)
class ModelSettings(Weights):
    """Whoever names the same shares one model."""

    quantization: Quantization | None = None
    """How many bits each of the language model's weights has, if fewer than saved."""

    attn_implementation: str | None = None
    """As transformers names it; what suits the machine if None."""

    revision: str | None = None
    """Branch, tag or commit on the hub; its main branch if None."""
