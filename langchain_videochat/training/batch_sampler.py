"""The order of the samples: a pure function of the seed and the step."""

from collections.abc import Mapping, Sized
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.errors import InputError
from langchain_videochat.training.samples import Media


@dataclass(frozen=True)
class BatchIndices:
    """The samples of a batch, all of one media type."""

    media: Media

    indices: tuple[int, ...]
    """Positions in the samples of that media type."""


@dataclass(frozen=True)
class MediaBatchSampler:
    """Samples batches of images and batches of videos, in proportion to the number of samples of each.

    An epoch contains every sample once, in shuffled order. Where the batch size does not divide the number of samples
    of a media type, some samples are repeated to fill its last batch.

    Example:
        >>> sampler = MediaBatchSampler((("image", 6), ("video", 3)), batch_size=3, seed=0)
        >>> sampler.steps_per_epoch
        3
        >>> sorted(sampler.batch(step).media for step in range(3))
        ['image', 'image', 'video']
    """

    sizes: tuple[tuple[Media, int], ...]
    """Number of samples of each media type."""

    batch_size: int
    """Samples per step."""

    seed: int

    @classmethod
    def of(cls, samples: Mapping[Media, Sized], batch_size: int, seed: int) -> "MediaBatchSampler":
        """Build a sampler for samples by media type, whose order does not matter.

        Raises:
            InputError: There are no samples.
        """
        sizes = tuple(sorted((media, len(each)) for media, each in samples.items() if len(each)))
        if not sizes:
            raise InputError("data", "there are no samples", "Name a file with videos or images")
        return cls(sizes, batch_size, seed)

    @cached_property
    def steps_per_epoch(self) -> int:
        """Number of steps that cover every sample once."""
        return sum(-(-size // self.batch_size) for _, size in self.sizes)

    def batch(self, step: int) -> BatchIndices:
        """Return the samples of a step, counted from 0."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order, samples = _shuffle_epoch(self, epoch)
        chosen = order[position]
        earlier = int((order[:position] == chosen).sum())
        indices = samples[chosen][earlier * self.batch_size :][: self.batch_size]
        return BatchIndices(self.sizes[chosen][0], tuple(indices.tolist()))


def split_batch(batch: BatchIndices, *, rank: int, world_size: int, parts: int) -> list[BatchIndices]:
    """Return one process's share of a batch, split into the parts of gradient accumulation.

    Example:
        >>> parts = split_batch(BatchIndices("image", (5, 6, 7, 8)), rank=1, world_size=2, parts=2)
        >>> [part.indices for part in parts]
        [(6,), (8,)]
    """
    shares = np.reshape(batch.indices, (parts, world_size, -1))[:, rank]
    return [BatchIndices(batch.media, tuple(part)) for part in shares.tolist()]


@lru_cache(maxsize=2)
def _shuffle_epoch(sampler: MediaBatchSampler, epoch: int) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Return the media type of each step of an epoch, as an index into `sizes`, and the samples of each media type."""
    rng = np.random.default_rng([sampler.seed, epoch])
    steps = [-(-size // sampler.batch_size) for _, size in sampler.sizes]
    order = rng.permutation(np.repeat(np.arange(len(steps)), steps))
    samples = [
        np.resize(rng.permutation(size), count * sampler.batch_size)
        for (_, size), count in zip(sampler.sizes, steps, strict=True)
    ]
    return order, samples
