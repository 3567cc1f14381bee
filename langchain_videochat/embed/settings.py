"""Settings that identify a loaded model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from langchain_videochat.models.weights import Weights

Quantization = Literal["8bit", "4bit"]

BITS: Mapping[Quantization | None, Literal[8, 4] | None] = {None: None, "8bit": 8, "4bit": 4}


@dataclass(frozen=True)
class ModelSettings(Weights):
    """Which model to load, and how. Chat models with equal settings share one."""

    quantization: Quantization | None = None
    """Quantization of the language model's weights; None keeps them as saved."""

    attn_implementation: str | None = None
    """Attention implementation, as transformers names it; None selects one for the machine."""

    show_progress: bool = field(default=False, compare=False)
    """Show the progress bar of transformers while loading."""
