"""The order in which samples come: a pure function of the seed and the step."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.errors import InputError
from langchain_videochat.training.samples import Media


@dataclass(frozen=True)
class Draw:
    """Which samples belong together."""

    media: Media
    """All are of it."""

    indices: tuple[int, ...]
    """Where they are in its source."""


@dataclass(frozen=True)
class Mixture:
    """Batches of images and batches of videos, as many of each as its source is large.

    An epoch shows every sample once, in an order of its own; where the batch size does not divide the number of
    samples of a medium, some come once more to fill its last batch.

    Example:
        >>> mixture = Mixture((("image", 6), ("video", 3)), batch_size=3, seed=0)
        >>> mixture.steps_per_epoch
        3
        >>> sorted(mixture.draw(step).media for step in range(3))
        ['image', 'image', 'video']
    """

    sizes: tuple[tuple[Media, int], ...]
    """How many samples there are of each medium."""

    batch_size: int
    """Samples of a step."""

    seed: int
    """Another one gives another order."""

    @classmethod
    def of(cls, sizes: Mapping[Media, int], batch_size: int, seed: int) -> "Mixture":
        """Make one that does not depend on the order of the media.

        Raises:
            InputError: There is no sample at all.
        """
        found = tuple(sorted((media, size) for media, size in sizes.items() if size))
        if not found:
            raise InputError("data", "there is no sample in it", "Name a file with videos or images")
        return cls(found, batch_size, seed)

    @cached_property
    def steps_per_epoch(self) -> int:
        """How many steps show every sample once."""
        return sum(-(-size // self.batch_size) for _, size in self.sizes)

    def draw(self, step: int) -> Draw:
        """Tell what is learnt in a step, counted from 0."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order, samples = _epoch(self, epoch)
        chosen = order[place]
        earlier = int((order[:place] == chosen).sum())
        indices = samples[chosen][earlier * self.batch_size :][: self.batch_size]
        return Draw(self.sizes[chosen][0], tuple(indices.tolist()))


def share(draw: Draw, *, rank: int, ranks: int, parts: int) -> list[Draw]:
    """Tell which samples of a step a process takes, in parts that it goes through one by one.

    Example:
        >>> [part.indices for part in share(Draw("image", (5, 6, 7, 8)), rank=1, ranks=2, parts=2)]
        [(6,), (8,)]
    """
    shares = np.reshape(draw.indices, (parts, ranks, -1))[:, rank]
    return [Draw(draw.media, tuple(part)) for part in shares.tolist()]


@lru_cache(maxsize=2)
def _epoch(mixture: Mixture, epoch: int) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Shuffle an epoch: the medium of each step, by its number, and the samples of each medium."""
    random = np.random.default_rng([mixture.seed, epoch])
    steps = [-(-size // mixture.batch_size) for _, size in mixture.sizes]
    order = random.permutation(np.repeat(np.arange(len(steps)), steps))
    samples = [
        np.resize(random.permutation(size), count * mixture.batch_size)
        for (_, size), count in zip(mixture.sizes, steps, strict=True)
    ]
    return order, samples
