"""The optimizer and learning rate schedule of the paper (3.2.1), and the optimizer's state in checkpoints."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from langchain_videochat.training.config import TrainingConfig

FULL_STATE = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
"""Gather unsharded state dicts in the main process's CPU memory."""


def lr_factor(step: int, *, steps: int, warmup_ratio: float, min_lr_ratio: float) -> float:
    """Return the factor on the peak learning rate: a linear warm-up, then a cosine decay with a lower limit.

    Args:
        step: Counted from 1.
        steps: Total number of steps.
        warmup_ratio: Fraction of the steps over which the factor rises, 0 to 1.
        min_lr_ratio: Lower limit of the decay, 0 to 1.

    Example:
        >>> [round(lr_factor(step, steps=8, warmup_ratio=0.25, min_lr_ratio=0.1), 2) for step in range(1, 9)]
        [0.5, 1.0, 0.93, 0.75, 0.5, 0.25, 0.1, 0.1]
    """
    warmup_steps = warmup_ratio * steps
    if step <= warmup_steps:
        return step / warmup_steps
    return max(min_lr_ratio, (1 + math.cos(math.pi * (step - warmup_steps) / (steps - warmup_steps))) / 2)


def build_optimizer(model: nn.Module, config: TrainingConfig) -> AdamW:
    """Build AdamW for the trainable weights, without weight decay on biases and norms, which have one dimension."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [each for each in trainable if each.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [each for each in trainable if each.ndim <= 1], "weight_decay": 0.0},
    ]
    for group in groups:
        group["initial_lr"] = config.learning_rate
    return AdamW(groups, lr=config.learning_rate, betas=config.betas)


def build_lr_scheduler(
    optimizer: Optimizer, *, steps: int, warmup_ratio: float, min_lr_ratio: float, completed_steps: int = 0
) -> LambdaLR:
    """Build the learning rate scheduler of `lr_factor`, starting after the completed steps."""
    factor = partial(lr_factor, steps=steps, warmup_ratio=warmup_ratio, min_lr_ratio=min_lr_ratio)
    # LambdaLR counts from 0, and asks for one more factor after the last step.
    return LambdaLR(optimizer, lambda step: factor(min(step + 1, steps)), last_epoch=completed_steps - 1)


def get_optimizer_state(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the unsharded optimizer state; keys have the form "exp_avg/weight name".

    All processes must call this; only the main process gets the state.
    """
    full: Any = get_optimizer_state_dict(model, optimizer, options=FULL_STATE)
    state = full.get("state", {})
    return {f"{kind}/{name}": value for name, values in state.items() for kind, value in values.items()}


def set_optimizer_state(model: nn.Module, optimizer: Optimizer, saved: Mapping[str, Tensor]) -> None:
    """Load a state returned by `get_optimizer_state`. All processes must call this."""
    full: Any = get_optimizer_state_dict(model, optimizer, options=StateDictOptions(full_state_dict=True))
    for key, value in saved.items():
        kind, _, name = key.partition("/")
        full["state"][name][kind] = value
    set_optimizer_state_dict(model, optimizer, full, options=StateDictOptions(full_state_dict=True))
