"""The signs of vectors in memory, one bit per dimension, among which candidates are found in a few milliseconds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.store.observation_vectors import first_positions, signs
from langchain_videochat.store.sign_clusters import Clusters, KnownClusters

SAMPLING = 16
"""Every 16th distance is sampled to choose the distance up to which vectors are preselected."""

MIN_SEARCHED = 100
"""In clusters, at least so many times more vectors are searched than are to be found."""

_FARTHEST = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class Preselection:
    """Which vectors are compared by all of their signs, if all of them are searched."""

    words: int
    """Vectors are preselected by so many times 64 signs."""

    share: float
    """Share of the vectors that are preselected."""


TEXT_PRESELECTION = Preselection(words=3, share=0.03)
"""3 % of the vectors of texts are preselected by their first 192 signs, in half the time that comparing all signs
takes. Of the best results among 1,400 moments of hand-written videos, 99 % are among them."""


@dataclass(frozen=True)
class SignBlock:
    """The signs of the vectors of some moments.

    Example:
        >>> vectors = np.array([[1, -1], [1, 1], [-1, 1]], np.int8)
        >>> block = SignBlock(signs(vectors).T, numbers=np.array([7, 8]), starts=np.array([0, 2, 3]))
        >>> block.moments_of(np.array([1, 2])).tolist()
        [7, 8]
    """

    signs: NDArray[np.uint64]
    """Signs of the vectors [words of 64 dimensions, vectors]."""

    numbers: NDArray[np.int64]
    """The numbers of the moments, ascending [moments]."""

    starts: NDArray[np.int64]
    """Position of the first vector of each moment, and the number of vectors [moments + 1]."""

    clusters: Clusters | None = None
    """The order of `signs` if they are grouped by similarity; else they are in the order of the moments."""

    removed: NDArray[np.bool_] | None = None
    """Which columns of `signs` belong to moments that were removed; None if there are none."""

    removed_moments: int = 0

    @property
    def size(self) -> int:
        """Number of vectors, including removed ones."""
        return int(self.signs.shape[1])

    @property
    def moments(self) -> int:
        """Number of moments that were not removed."""
        return len(self.numbers) - self.removed_moments

    def remove(self, ranges: Sequence[tuple[int, int]]) -> "SignBlock":
        """Return a block without the moments whose numbers are in these ranges, both ends inclusive."""
        first, last = np.array(ranges, np.int64).reshape(-1, 2).T
        bounds = np.stack([self.numbers.searchsorted(first), self.numbers.searchsorted(last, "right")], axis=1)
        bounds = bounds[bounds[:, 0] < bounds[:, 1]]
        if not len(bounds):
            return self
        removed = np.zeros(self.size, np.bool_) if self.removed is None else self.removed.copy()
        for first, last in self.starts[bounds].tolist():
            removed[self._columns(np.arange(first, last))] = True
        count = int((bounds[:, 1] - bounds[:, 0]).sum())
        return replace(self, removed=removed, removed_moments=self.removed_moments + count)

    def remaining(self) -> NDArray[np.bool_]:
        """Return whether each moment remains [moments]."""
        if self.removed is None:
            return np.ones(len(self.numbers), np.bool_)
        remaining: NDArray[np.bool_] = ~self.removed[self._columns(self.starts[:-1])]
        return remaining

    def signs_of(self, place: int) -> NDArray[np.uint64]:
        """Return the signs [vectors, words] of the moment at a position in `numbers`."""
        columns = self._columns(np.arange(self.starts[place], self.starts[place + 1]))
        return np.ascontiguousarray(take(self.signs, columns).T)

    def in_moment_order(self, moments: NDArray[np.bool_]) -> NDArray[np.uint64]:
        """Return the signs [words, vectors] of some of the moments, in their order."""
        columns = self._columns(np.flatnonzero(np.repeat(moments, np.diff(self.starts))))
        return take(self.signs, columns)

    def known_clusters(self, moments: NDArray[np.bool_]) -> KnownClusters | None:
        """Return the clusters of some of the moments, if the signs are grouped."""
        if self.clusters is None:
            return None
        return KnownClusters(self.clusters.centroids, self.clusters.labels[np.repeat(moments, np.diff(self.starts))])

    def nearest(
        self, query: NDArray[np.float32], words: NDArray[np.uint64], count: int, preselection: Preselection
    ) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
        """Return columns that include the `count` nearest to a query, approximately, and their distances.

        Args:
            query: A vector [dimensions].
            words: Its signs.
            count: Number of columns.
            preselection: Which vectors are compared by all of their signs.
        """
        some = preselection.words
        slices = [slice(0, self.size)] if self.clusters is None else self.clusters.near(query, MIN_SEARCHED * count)
        beginnings = _join(self.signs[:some], slices)
        wanted = max(round(preselection.share * beginnings.shape[1]), 10 * count)
        if wanted >= self.size:
            columns = np.arange(self.size)
            return columns, self._mask(hamming_distances(self.signs, words), columns)
        partial = hamming_distances(beginnings, words[:some])
        if self.removed is not None:
            partial[_join(self.removed[None], slices)[0]] = _FARTHEST
        chosen = np.flatnonzero(partial <= distance_limit(partial[::SAMPLING], -(-wanted // SAMPLING)))
        columns = _columns_at(slices, chosen)
        rest = hamming_distances(take(self.signs[some:], columns), words[some:])
        return columns, self._mask(partial[chosen] + rest, columns)

    def among(
        self, words: NDArray[np.uint64], numbers: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
        """Return the columns of moments, and their distances; `numbers` are ascending."""
        places = self.numbers.searchsorted(numbers)
        places = places[self.numbers.take(places, mode="clip") == numbers]
        counts = self.starts[places + 1] - self.starts[places]
        skipped = self.starts[places] - first_positions(counts)
        columns = self._columns(np.arange(counts.sum()) + np.repeat(skipped, counts))
        return columns, self._mask(hamming_distances(take(self.signs, columns), words), columns)

    def moments_of(self, columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of the moment that each of the vectors belongs to."""
        positions = columns if self.clusters is None else self.clusters.order[columns]
        return self.numbers[self.starts.searchsorted(positions, "right") - 1]

    def _columns(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """Return the columns of vectors, given their positions in the order of the moments."""
        return positions if self.clusters is None else self.clusters.columns[positions]

    def _mask(self, distances: NDArray[np.uint16], columns: NDArray[np.int64]) -> NDArray[np.uint16]:
        if self.removed is not None:
            distances[self.removed[columns]] = _FARTHEST
        return distances


@dataclass(frozen=True)
class SignIndex:
    """The signs of all vectors of one kind.

    Example:
        >>> vectors = np.array([[1, -1], [1, 1], [-1, 1]], np.int8)
        >>> index = SignIndex((SignBlock(signs(vectors).T, numbers=np.array([7, 8]), starts=np.array([0, 2, 3])),))
        >>> index.nearest(np.array([0.2, 0.9], np.float32), 1)
        [7]
    """

    blocks: tuple[SignBlock, ...]

    preselection: Preselection = TEXT_PRESELECTION

    @cached_property
    def size(self) -> int:
        """Number of vectors, including some that were removed."""
        return sum(one.size for one in self.blocks)

    @cached_property
    def removed(self) -> int:
        """Number of vectors that were removed."""
        return sum(int(one.removed.sum()) for one in self.blocks if one.removed is not None)

    @cached_property
    def moments(self) -> int:
        """Number of moments that have vectors."""
        return sum(one.moments for one in self.blocks)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The numbers of these moments, ascending."""
        return np.concatenate([one.numbers[one.remaining()] for one in self.blocks])

    def nearest(self, query: NDArray[np.float32], count: int, among: Sequence[int] | None = None) -> list[int]:
        """Return the numbers of the moments of the `count` nearest vectors, and of those that are as near.

        Args:
            query: A vector [dimensions].
            count: Number of vectors.
            among: Numbers of the moments to search; all if None.
        """
        numbers, _ = self.nearest_vectors(query, count, among)
        return [int(number) for number in np.unique(numbers)]

    def nearest_vectors(
        self, query: NDArray[np.float32], count: int, among: Sequence[int] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Return the numbers of the moments, and the signs, of the `count` nearest vectors and of those as near.

        Args:
            query: A vector [dimensions].
            count: Number of vectors.
            among: Numbers of the moments to search; all if None.

        Returns:
            Numbers [vectors] and signs [words, vectors].
        """
        if not self.moments:
            return np.zeros(0, np.int64), np.zeros((0, 0), np.uint64)
        words = signs(query[None])[0]
        numbers = None if among is None else np.unique(np.asarray(among, np.int64))
        found = [
            block.nearest(query, words, count, self.preselection) if numbers is None else block.among(words, numbers)
            for block in self.blocks
        ]
        limit = distance_limit(np.concatenate([distances for _, distances in found]), count)
        kept = [columns[distances <= limit] for columns, distances in found]
        return (
            np.concatenate([block.moments_of(one) for block, one in zip(self.blocks, kept, strict=True)]),
            np.concatenate([take(block.signs, one) for block, one in zip(self.blocks, kept, strict=True)], axis=1),
        )

    def pack(self) -> SignBlock:
        """Return one block of all moments that remain, in clusters if there are many."""
        parts = [(one, one.remaining()) for one in self.blocks]
        every = np.concatenate([block.in_moment_order(kept) for block, kept in parts], axis=1)
        counts = np.concatenate([np.diff(block.starts)[kept] for block, kept in parts])
        starts = np.concatenate([[0], counts.cumsum()])
        numbers = np.concatenate([block.numbers[kept] for block, kept in parts])
        clusters = Clusters.of(every, parts[0][0].known_clusters(parts[0][1]))
        return SignBlock(every if clusters is None else take(every, clusters.order), numbers, starts, clusters)


def take(signs: NDArray[np.uint64], columns: NDArray[Any]) -> NDArray[np.uint64]:
    """Return some columns of signs [words, vectors]."""
    # Row by row: NumPy would first copy all of an array that is part of a larger one.
    taken = np.empty((len(signs), len(columns)), np.uint64)
    for row, target in zip(signs, taken, strict=True):
        row.take(columns, out=target, mode="clip")  # unlike "raise", without a copy
    return taken


def _join(rows: NDArray[Any], slices: Sequence[slice]) -> NDArray[Any]:
    """Return the columns in slices, one slice after the other [rows, columns]; a view if there is only one."""
    parts = [rows[:, one] for one in slices]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _columns_at(slices: Sequence[slice], positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the columns at some positions of what `_join` returns.

    Example:
        >>> _columns_at([slice(10, 12), slice(20, 25)], np.array([0, 1, 2, 6])).tolist()
        [10, 11, 20, 24]
    """
    firsts = first_positions([one.stop - one.start for one in slices])
    moved = np.array([one.start for one in slices]) - firsts
    columns: NDArray[np.int64] = positions + moved[firsts.searchsorted(positions, "right") - 1]
    return columns


def distance_limit(distances: NDArray[np.uint16], count: int) -> int:
    """Return the distance within which `count` vectors are, or all that were not removed."""
    return min(int(np.bincount(distances).cumsum()[:_FARTHEST].searchsorted(count)), _FARTHEST - 1)


def hamming_distances(signs: NDArray[np.uint64], words: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """Return the number of bits of each vector [words, vectors] that differ from `words`."""
    size = signs.shape[1]
    distances: NDArray[Any] = np.zeros(size, np.min_scalar_type(64 * len(words)))
    differing, count = np.empty(size, np.uint64), np.empty(size, np.uint8)
    for column, word in zip(signs, words, strict=True):
        np.bitwise_xor(column, word, out=differing)
        distances += np.bitwise_count(differing, out=count)
    return distances.astype(np.uint16, copy=False)
