"""Training of parts of a model on generated batches, before the two stages of the paper.

With Muon, 62 % of shapes in images were right after 100 steps; with AdamW, 47 % after 200.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from langchain_videochat.evaluation.shapes.muon import Muon
from langchain_videochat.training.optimizers import build_lr_scheduler

MUON_RATE = 6e-3
"""Learning rate of Muon, which trains the hidden linear layers."""

WARMUP_RATIO, MIN_LR_RATIO = 0.1, 0.01
WEIGHT_DECAY = 0.02
BETAS = (0.9, 0.98)
MAX_GRAD_NORM = 1.0


@dataclass(frozen=True)
class TrainingRound:
    """A warm-up and decay of learning rates."""

    title: str

    steps: range
    """Step numbers, counted from the first round."""

    lr_scale: float
    """Learning rates relative to those of the first round."""


def plan_rounds(lengths: Sequence[int]) -> Iterator[TrainingRound]:
    """Return rounds with given numbers of steps, each with half the learning rates of the previous one.

    Example:
        >>> [(each.title, each.steps, each.lr_scale) for each in plan_rounds([20, 10])]
        [('1 of 2', range(0, 20), 1.0), ('2 of 2', range(20, 30), 0.5)]
    """
    for number, (end, length) in enumerate(zip(accumulate(lengths), lengths, strict=True)):
        yield TrainingRound(f"{number + 1} of {len(lengths)}", range(end - length, end), 0.5**number)


@dataclass(frozen=True)
class GeneratedBatches(Dataset[tuple[Tensor, ...]]):
    """A dataset of batches, one for each step, generated on access by a worker process."""

    generate: Callable[[int], tuple[Tensor, ...]]
    steps: range

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return self.generate(self.steps[index])


def train_part(
    muon_modules: Iterable[nn.Module],
    parameters: Sequence[nn.Parameter],
    batches: GeneratedBatches,
    loss_function: Callable[..., Tensor],
    *,
    learning_rate: float,
    lr_scale: float = 1.0,
    name: str | None,
) -> float:
    """Train parameters on generated batches and return the loss of the last step.

    The linear layers of `muon_modules` are trained with Muon, all other parameters with AdamW. `lr_scale` is a factor
    of both learning rates. `name` is the title of the progress bar; None hides it.
    """
    layers = [layer for module in muon_modules for layer in module.modules() if isinstance(layer, nn.Linear)]
    matrices = [layer.weight for layer in layers]
    others = [each for each in parameters if all(each is not matrix for matrix in matrices)]
    optimizers: list[Optimizer] = [
        Muon(matrices, lr_scale * MUON_RATE, weight_decay=WEIGHT_DECAY),
        AdamW(others, lr_scale * learning_rate, betas=BETAS, weight_decay=WEIGHT_DECAY),
    ]
    schedules = [
        build_lr_scheduler(each, steps=len(batches), warmup_ratio=WARMUP_RATIO, min_lr_ratio=MIN_LR_RATIO)
        for each in optimizers
    ]
    loader = DataLoader(batches, batch_size=None, num_workers=1)
    with tqdm(loader, desc=name, unit="step", disable=name is None) as bar:
        for batch in bar:
            loss = loss_function(*batch)
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, MAX_GRAD_NORM)
            for optimizer, schedule in zip(optimizers, schedules, strict=True):
                optimizer.step()
                schedule.step()
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return loss.item()
