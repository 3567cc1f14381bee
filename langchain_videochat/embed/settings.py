"""Settings that identify a loaded model."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from langchain_videochat.models.weights import Weights

WeightsT = TypeVar("WeightsT", bound=Weights)

Quantization = Literal["8bit", "4bit"]

DEFAULT_MODEL = "Qwen/Qwen3-VL-2B-Instruct"
"""Apache-2.0, trained on video with the times of its frames, native in transformers, and small enough for a laptop."""

BITS: Mapping[Quantization | None, Literal[8, 4] | None] = {None: None, "8bit": 8, "4bit": 4}


@dataclass(frozen=True)
class ModelSettings(Weights):
    """Which model to load, and how. Chat models with equal settings share one."""

    quantization: Quantization | None = None
    """Quantization of the language model's weights; None keeps them as saved."""

    attn_implementation: str | None = None
    """Attention implementation, as transformers names it; None selects one for the machine."""

    device_map: str | None = None
    """Placement of the model on several devices, as accelerate names it, such as "auto"; None uses `device` only."""

    trust_remote_code: bool = False
    """Run the code in the model's repository."""

    show_progress: bool = field(default=False, compare=False)
    """Show the progress bar of transformers while loading."""


def float32_on_cpu(weights: WeightsT) -> WeightsT:
    """Return weights whose dtype "auto" is float32 on any CPU: answers must not depend on the CPU.

    Example:
        >>> float32_on_cpu(ModelSettings("videochat-7b", device="cpu")).dtype
        'float32'
    """
    is_auto = weights.dtype == "auto" and weights.torch_device.type == "cpu"
    return replace(weights, dtype="float32") if is_auto else weights
