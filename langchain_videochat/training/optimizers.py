"""AdamW and its learning rate, as the paper has them (3.2.1)."""

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

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
"""States as they would be on one device, in the main process's memory."""


def learning_rate_share(step: int, *, steps: int, warmup: float, floor: float) -> float:
    """Tell which share of the highest learning rate a step has: it rises in a line, and falls as a cosine to a floor.

    Args:
        step: Counted from 1.
        steps: How many there are.
        warmup: Share of the steps in which it rises, 0 to 1.
        floor: The least that it falls to, 0 to 1.

    Example:
        >>> [round(learning_rate_share(step, steps=8, warmup=0.25, floor=0.1), 2) for step in range(1, 9)]
        [0.5, 1.0, 0.93, 0.75, 0.5, 0.25, 0.1, 0.1]
    """
    rising = warmup * steps
    if step <= rising:
        return step / rising
    return max(floor, (1 + math.cos(math.pi * (step - rising) / (steps - rising))) / 2)


def make_optimizer(model: nn.Module, config: TrainingConfig) -> AdamW:
    """Make the optimizer of what learns; biases and norms, which have one dimension, do not decay."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [each for each in trained if each.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [each for each in trained if each.ndim <= 1], "weight_decay": 0.0},
    ]
    for group in groups:
        group["initial_lr"] = config.learning_rate
    return AdamW(groups, lr=config.learning_rate, betas=config.betas)


def make_schedule(optimizer: Optimizer, *, steps: int, warmup: float, floor: float, done: int = 0) -> LambdaLR:
    """Make what sets the learning rate; so many steps are done already."""
    share = partial(learning_rate_share, steps=steps, warmup=warmup, floor=floor)
    # Torch counts from 0, and asks once more after the last step.
    return LambdaLR(optimizer, lambda step: share(min(step + 1, steps)), last_epoch=done - 1)


def read_state(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """Read what an optimizer has gathered, by its kind and the weights' names, as they are on one device.

    All processes call it; the main one gets it.
    """
    whole: Any = get_optimizer_state_dict(model, optimizer, options=WHOLE)
    state = whole.get("state", {})
    return {f"{kind}/{name}": value for name, values in state.items() for kind, value in values.items()}


def write_state(model: nn.Module, optimizer: Optimizer, saved: Mapping[str, Tensor]) -> None:
    """Put what `read_state` gave the main process into another optimizer of the same weights, on all processes."""
    whole: Any = get_optimizer_state_dict(model, optimizer, options=StateDictOptions(full_state_dict=True))
    for key, value in saved.items():
        kind, _, name = key.partition("/")
        whole["state"][name][kind] = value
    set_optimizer_state_dict(model, optimizer, whole, options=StateDictOptions(full_state_dict=True))
