"""An optimizer step, on one or many devices."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from langchain_videochat.embed.errors import NotEnoughMemoryError, is_out_of_memory
from langchain_videochat.errors import ModelError
from langchain_videochat.training.batches import TrainingBatch

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class StepResult:
    """The result of an optimizer step, the same on all devices."""

    loss: float
    """Mean over the answer tokens of the batch."""

    gradient_norm: float
    """Norm before clipping."""

    learning_rate: float

    skipped: int
    """Samples that could not be read."""


@dataclass(frozen=True, eq=False)
class TrainingStep:
    """Runs optimizer steps.

    The loss is the mean over all answer tokens of a step, so it depends neither on the number of devices nor on
    gradient accumulation.
    """

    accelerator: "Accelerator"
    model: nn.Module
    optimizer: Optimizer
    """The plain optimizer: accelerate's wrapper is only needed for gradient scaling."""

    lr_scheduler: LambdaLR
    max_grad_norm: float
    seed: int

    def run(self, step: int, parts: Sequence[TrainingBatch]) -> StepResult:
        """Run an optimizer step on this process's share of a batch, in the parts of gradient accumulation.

        Dropout depends on the seed and `step`, counted from 0, but not on earlier steps.

        Raises:
            ModelError: The loss or a gradient is not finite. The weights are unchanged.
            NotEnoughMemoryError: The device ran out of memory.
        """
        seeds = np.random.SeedSequence([self.seed, step, self.accelerator.process_index])
        torch.manual_seed(int(seeds.generate_state(1)[0]))
        tokens = self._sum_over_processes(sum(part.answer_tokens for part in parts))
        losses = [self._backward(part, tokens, is_last=part is parts[-1]) for part in parts]
        loss = float(self._sum_over_processes(torch.stack(losses).sum()))
        norm = float(self.accelerator.clip_grad_norm_(self.model.parameters(), self.max_grad_norm))
        if not math.isfinite(loss) or not math.isfinite(norm):
            self._raise_not_finite(step, parts, losses)
        skipped = int(self._sum_over_processes(sum(len(part.skipped) for part in parts)))
        result = StepResult(loss, norm, float(self.lr_scheduler.get_last_lr()[0]), skipped)
        self.optimizer.step()
        self.lr_scheduler.step()
        self.optimizer.zero_grad()
        return result

    def _backward(self, part: TrainingBatch, tokens: Tensor, *, is_last: bool) -> Tensor:
        """Accumulate the gradients of a part, and return its share of the loss. The last part synchronizes devices."""
        inputs = {name: tensor.to(self.accelerator.device, non_blocking=True) for name, tensor in part.inputs.items()}
        try:
            with nullcontext() if is_last else self.accelerator.no_sync(self.model):
                loss: Tensor = self.model(**inputs, num_items_in_batch=tokens, use_cache=False).loss
                # Synchronization averages the gradients of all devices, but the loss is already a share of a mean.
                self.accelerator.backward(loss * self.accelerator.num_processes)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            advice = "Raise gradient_accumulation_steps or set gradient_checkpointing; neither changes the result"
            raise NotEnoughMemoryError("training", "out of memory while processing a batch", advice) from None
        return loss.detach()

    def _sum_over_processes(self, amount: Tensor | int) -> Tensor:
        own = torch.as_tensor(amount, dtype=torch.float32, device=self.accelerator.device)
        total: Tensor = self.accelerator.reduce(own, "sum")
        return total

    def _raise_not_finite(self, step: int, parts: Sequence[TrainingBatch], losses: Sequence[Tensor]) -> None:
        """Name the samples whose loss is not finite; all samples of the step if only the gradients are not."""
        from accelerate.utils import gather_object

        bad = [part for part, loss in zip(parts, losses, strict=True) if not loss.isfinite()]
        found = gather_object([source for part in bad for source in part.sources])
        everything = gather_object([source for part in parts for source in part.sources])
        problem = f"the loss or a gradient is not finite; the batch contained {', '.join(found or everything)}"
        advice = "Check those files or lower the learning rate; --resume continues from the last checkpoint"
        raise ModelError(f"step {step + 1}", problem, advice)
