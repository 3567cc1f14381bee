"""Models of transformers: memory-mapped weights, and deltas to a base model."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging

from langchain_videochat.errors import ModelError
from langchain_videochat.models.hub import fetch_weights, without_progress_bars
from langchain_videochat.models.weights import model_errors

BLIP2_TYPES = ("blip-2", "instructblip")
"""Model types with the same vision tower and Q-Former."""


@dataclass(frozen=True)
class PretrainedFolder:
    """A pretrained model's config and weights."""

    folder: Path
    config: PreTrainedConfig
    model_class: type[PreTrainedModel]
    weights: dict[str, Tensor]
    """Weights by their names in the model, without tied weights."""

    unexpected: list[str]
    """Names of weights that the model does not have."""


def read_language_model(model: str | Path) -> PretrainedFolder:
    """Read a causal language model like `read_blip2`."""
    return _read(AutoModelForCausalLM, model)


def read_blip2(model: str | Path) -> PretrainedFolder:
    """Read a BLIP-2 or InstructBLIP from its folder or from the Hugging Face Hub.

    Raises:
        ModelUnavailableError: The model is not on this machine and cannot be downloaded.
        ModelError: The model is damaged or of another kind.
    """
    found = _read(AutoModelForImageTextToText, model)
    if found.config.model_type not in BLIP2_TYPES:
        problem = f"this is a model of type {found.config.model_type}"
        raise ModelError(found.folder, problem, f"Give a model of type {' or '.join(BLIP2_TYPES)}")
    return found


def add_delta(base: Tensor, delta: Tensor) -> Tensor:
    """Add a delta to its base, in the shape and dtype of the delta. Further rows of the delta are kept unchanged.

    Vicuna v0 and StableVicuna have one token more than LLaMA, for padding.

    Example:
        >>> import torch
        >>> add_delta(torch.ones(2), torch.tensor([0.5, 1.0, 3.0]))
        tensor([1.5000, 2.0000, 3.0000])
    """
    added = delta.clone()
    added[: len(base)] += base
    return added


@contextmanager
def _without_loading_reports() -> Iterator[None]:
    """Silence transformers' reports of missing weights: `CollectedWeights.check` raises an error for them."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _read(auto_class: Any, name: str | Path) -> PretrainedFolder:
    folder = fetch_weights(name)
    with model_errors(str(name)), without_progress_bars(), _without_loading_reports():
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        config.dtype = None  # Weights are only memory-mapped if they keep their dtypes.
        model, report = auto_class.from_pretrained(
            folder, config=config, dtype="auto", output_loading_info=True, trust_remote_code=False
        )
    excluded = {*report["missing_keys"], *model.all_tied_weights_keys}
    weights = {name: tensor for name, tensor in model.state_dict().items() if name not in excluded}
    return PretrainedFolder(folder, model.config, type(model), weights, sorted(report["unexpected_keys"]))
