"""How a part of a model learns from batches that are made on the way, before the two stages of the paper."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from langchain_videochat.evaluation.shapes.muon import Muon
from langchain_videochat.training.optimizers import make_schedule

MUON_RATE = 6e-3
"""Learning rate of Muon, which changes the linear layers inside a model."""

WARMUP, FLOOR = 0.1, 0.01
WEIGHT_DECAY = 0.02
BETAS = (0.9, 0.98)
CLIP = 1.0


@dataclass(frozen=True)
class Round:
    """Steps in which learning rates rise and fall."""

    title: str
    """As "2 of 2"."""

    steps: range
    """Their numbers, counted from the first round."""

    share: float
    """Of the learning rates of the first round."""


def make_rounds(lengths: Sequence[int]) -> Iterator[Round]:
    """Make rounds of so many steps, each with half the learning rates of the one before.

    Example:
        >>> [(each.title, each.steps, each.share) for each in make_rounds([20, 10])]
        [('1 of 2', range(0, 20), 1.0), ('2 of 2', range(20, 30), 0.5)]
    """
    for number, (end, length) in enumerate(zip(accumulate(lengths), lengths, strict=True)):
        yield Round(f"{number + 1} of {len(lengths)}", range(end - length, end), 0.5**number)


class Batches(Dataset[tuple[Tensor, ...]], ABC):
    """A batch for each step, made when it is taken; a worker process calls it."""

    def __init__(self, steps: range) -> None:
        self._steps = steps

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, place: int) -> tuple[Tensor, ...]:
        """Make the batch of a step."""
        return self._make(self._steps[place])

    @abstractmethod
    def _make(self, step: int) -> tuple[Tensor, ...]: ...


def learn(
    inner: Iterable[nn.Module],
    learnt: Sequence[nn.Parameter],
    batches: Batches,
    miss: Callable[..., Tensor],
    *,
    rate: float,
    share: float = 1.0,
    name: str | None,
) -> float:
    """Change weights so that batches miss less.

    Args:
        inner: Modules whose linear layers are changed by Muon.
        learnt: All weights that are changed: the others by AdamW.
        batches: What is learnt from, step by step.
        miss: Tells by how much a batch is missed.
        rate: AdamW's learning rate.
        share: Of both learning rates.
        name: Of the progress bar; none is shown if None.

    Returns:
        By how much the last batch was missed.
    """
    layers = [layer for part in inner for layer in part.modules() if isinstance(layer, nn.Linear)]
    matrices = [layer.weight for layer in layers]
    others = [each for each in learnt if all(each is not matrix for matrix in matrices)]
    optimizers: list[Optimizer] = [
        Muon(matrices, share * MUON_RATE, weight_decay=WEIGHT_DECAY),
        AdamW(others, share * rate, betas=BETAS, weight_decay=WEIGHT_DECAY),
    ]
    schedules = [make_schedule(each, steps=len(batches), warmup=WARMUP, floor=FLOOR) for each in optimizers]
    loader = DataLoader(batches, batch_size=None, num_workers=1)
    with tqdm(loader, desc=name, unit="step", disable=name is None) as bar:
        for batch in bar:
            loss = miss(*batch)
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(learnt, CLIP)
            for optimizer, schedule in zip(optimizers, schedules, strict=True):
                optimizer.step()
                schedule.step()
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return loss.item()
