"""A step of training, on one device or many."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from langchain_videochat.embed.errors import NotEnoughMemoryError, is_out_of_memory
from langchain_videochat.errors import ModelError
from langchain_videochat.training.batches import Batch

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class Outcome:
    """What a step told, the same on all devices."""

    loss: float
    """The mean over the tokens of all answers."""

    gradient_norm: float
    """Before it was clipped."""

    learning_rate: float

    skipped: int
    """Samples that could not be read."""


@dataclass(frozen=True, eq=False)
class TrainingStep:
    """A model that learns.

    The loss is the mean over the tokens of all answers of a step, so that it does not matter in how many parts, and on
    how many devices, the samples go through the model.
    """

    accelerator: "Accelerator"

    model: nn.Module

    optimizer: Optimizer
    """Torch's own, without accelerate's cover, which scaled gradients alone would need."""

    schedule: LambdaLR

    clip: float
    """The norm of all gradients together is brought down to this."""

    seed: int
    """Decides on what is dropped out."""

    def learn(self, step: int, parts: Sequence[Batch]) -> Outcome:
        """Change the weights once.

        Args:
            step: Its number: what is dropped out depends on that alone, not on the steps before it.
            parts: What this process does of it, one after another.

        Raises:
            ModelError: The loss or its gradients are no numbers. The weights are as they were.
            NotEnoughMemoryError: The device has not the memory for it.
        """
        torch.manual_seed(_mix(self.seed, step, self.accelerator.process_index))
        tokens = self._sum(sum(part.answer_tokens for part in parts))
        shares = [self._study(part, tokens, is_last=part is parts[-1]) for part in parts]
        loss = float(self._sum(torch.stack(shares).sum()))
        norm = float(self.accelerator.clip_grad_norm_(self.model.parameters(), self.clip))
        if not math.isfinite(loss) or not math.isfinite(norm):
            self._stop(step, parts, shares)
        skipped = int(self._sum(sum(len(part.broken) for part in parts)))
        outcome = Outcome(loss, norm, float(self.schedule.get_last_lr()[0]), skipped)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        return outcome

    def _study(self, part: Batch, tokens: Tensor, *, is_last: bool) -> Tensor:
        """Add the gradients of a part, and give its share of the loss. In the last part the devices join theirs."""
        inputs = {name: tensor.to(self.accelerator.device, non_blocking=True) for name, tensor in part.inputs.items()}
        try:
            with nullcontext() if is_last else self.accelerator.no_sync(self.model):
                loss: Tensor = self.model(**inputs, num_items_in_batch=tokens, use_cache=False).loss
                # They join by the mean.
                self.accelerator.backward(loss * self.accelerator.num_processes)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            advice = "Raise accumulation, or set gradient_checkpointing: neither changes what is learnt"
            raise NotEnoughMemoryError("training", "the device has not the memory for a batch", advice) from None
        return loss.detach()

    def _sum(self, amount: Tensor | int) -> Tensor:
        """Add up an amount over all processes."""
        own = torch.as_tensor(amount, dtype=torch.float32, device=self.accelerator.device)
        total: Tensor = self.accelerator.reduce(own, "sum")
        return total

    def _stop(self, step: int, parts: Sequence[Batch], shares: Sequence[Tensor]) -> None:
        """Name the files that make the loss no number; all of the step where it is only the gradients."""
        from accelerate.utils import gather_object

        bad = [part for part, share in zip(parts, shares, strict=True) if not share.isfinite()]
        found = gather_object([source for part in bad for source in part.sources])
        everything = gather_object(list(chain(*(part.sources for part in parts))))
        problem = f"the loss or its gradients are no numbers; the batch was made of {', '.join(found or everything)}"
        advice = "Look at those files, or lower the learning rate; --resume goes on from the last checkpoint"
        raise ModelError(f"step {step + 1}", problem, advice)


def _mix(*numbers: int) -> int:
    """Make one seed of several."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
