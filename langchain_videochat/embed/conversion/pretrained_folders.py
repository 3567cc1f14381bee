"""Weights in folders of transformers: mapped into memory, and deltas added to what they differ from."""

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
"""Their vision towers and Q-Formers compute the same."""


@dataclass(frozen=True)
class PretrainedFolder:
    """What a folder holds."""

    folder: Path
    config: PreTrainedConfig
    kind: type[PreTrainedModel]
    weights: dict[str, Tensor]
    """By their names in the model; those that share their numbers with another are left out."""

    unexpected: list[str]
    """Names that the model does not know."""


def read_language_model(model: str | Path) -> PretrainedFolder:
    """Read a causal language model, given by its folder or its id on the Hugging Face hub.

    Raises:
        ModelUnavailableError: It is not on this machine and cannot be fetched.
        ModelError: It is damaged or of another kind.
    """
    return _read(AutoModelForCausalLM, model)


def read_blip2(model: str | Path) -> PretrainedFolder:
    """Read a BLIP-2 or InstructBLIP, given by its folder or its id on the Hugging Face hub.

    Raises:
        ModelUnavailableError: It is not on this machine and cannot be fetched.
        ModelError: It is damaged or of another kind.
    """
    found = _read(AutoModelForImageTextToText, model)
    if found.config.model_type not in BLIP2_TYPES:
        problem = f"this is a {found.config.model_type}"
        raise ModelError(found.folder, problem, f"Give one of {' or '.join(BLIP2_TYPES)}")
    return found


def add_delta(base: Tensor, delta: Tensor) -> Tensor:
    """Add a delta to what it differs from; rows that it has beyond are taken as they are.

    Vicuna v0 and StableVicuna have one token more than LLaMA, for padding.

    Args:
        base: [rows, ...].
        delta: [at least as many rows, ...].

    Returns:
        As many rows as the delta, in its type.

    Example:
        >>> import torch
        >>> add_delta(torch.ones(2), torch.tensor([0.5, 1.0, 3.0]))
        tensor([1.5000, 2.0000, 3.0000])
    """
    added = delta.clone()
    added[: len(base)] += base
    return added


@contextmanager
def _without_reports() -> Iterator[None]:
    """Keep transformers from telling that missing weights are new: that they are missing ends everything."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _read(kind: Any, name: str | Path) -> PretrainedFolder:
    folder = fetch_weights(name)
    with model_errors(str(name)), without_progress_bars(), _without_reports():
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        config.dtype = None  # Weights are mapped only if they are left in their own type.
        model, report = kind.from_pretrained(
            folder, config=config, dtype="auto", output_loading_info=True, trust_remote_code=False
        )
    left_out = {*report["missing_keys"], *model.all_tied_weights_keys}
    weights = {name: tensor for name, tensor in model.state_dict().items() if name not in left_out}
    return PretrainedFolder(folder, model.config, type(model), weights, sorted(report["unexpected_keys"]))
