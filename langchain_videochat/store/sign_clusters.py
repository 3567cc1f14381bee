"""Clusters of signs, so that a query is compared with those of the nearest clusters only: an inverted file."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.utils.vectors import unit

MIN_CLUSTERED = 2_000_000
"""Fewer vectors are all compared with a query, in about 5 ms."""

VECTORS_PER_CLUSTER = 2048

PROBED_SHARE = 0.05
"""Share of the vectors that are compared with a query."""

SAMPLES_PER_CLUSTER = 16
"""Vectors from which the centroid of a cluster is computed."""

ROUNDS = 6
"""Rounds of k-means."""

COMPARED_GROUPS = 3
"""Groups of centroids in which the nearest centroid of a vector is looked for."""

BATCH = 32_768
"""Vectors that are assigned to clusters at once."""


@dataclass(frozen=True)
class Clusters:
    """Vectors grouped by similarity."""

    centroids: NDArray[np.float32]
    """Unit vectors [clusters, dimensions in words of 64]."""

    starts: NDArray[np.int64]
    """Column of the first vector of each cluster, and the number of vectors [clusters + 1]."""

    order: NDArray[np.int32]
    """Position of the vector in each column, in the order of the moments [vectors]."""

    columns: NDArray[np.int32]
    """Column of each vector, in the order of the moments [vectors]."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """The cluster of each vector, in the order of the moments [vectors]."""
        return np.repeat(np.arange(len(self.centroids)), np.diff(self.starts))[self.columns]

    @classmethod
    def of(cls, signs: NDArray[np.uint64], known: "KnownClusters | None") -> "Clusters | None":
        """Group signs [words, vectors]; return None if they are few.

        Args:
            signs: The signs.
            known: Earlier clusters, which are kept while there are less than twice as many vectors.
        """
        size = signs.shape[1]
        if size < MIN_CLUSTERED:
            return None
        count = size // VECTORS_PER_CLUSTER
        if known is None or count >= 2 * len(known.centroids):
            known = KnownClusters(_train(signs, count), np.zeros(0, np.int64))
        assignment = _Assignment(known.centroids)
        added = (assignment.nearest(batch) for batch in _batches(signs[:, len(known.labels) :]))
        return cls.grouped(known.centroids, np.concatenate([known.labels, *added]))

    @classmethod
    def grouped(cls, centroids: NDArray[np.float32], labels: NDArray[np.int64]) -> "Clusters":
        """Return the clusters of vectors with these labels."""
        starts = np.concatenate([[0], np.bincount(labels, minlength=len(centroids)).cumsum()])
        order = labels.argsort(kind="stable").astype(np.int32)
        columns = np.empty_like(order)
        columns[order] = np.arange(len(order), dtype=np.int32)
        return cls(centroids, starts, order, columns)

    def near(self, query: NDArray[np.float32], wanted: int) -> list[slice]:
        """Return the columns of the clusters near a query, or all columns if that would be most of them.

        Args:
            query: A vector [dimensions].
            wanted: Minimum number of columns.

        Returns:
            The columns of each cluster, ascending.
        """
        size = len(self.order)
        wanted = max(wanted, round(PROBED_SHARE * size))
        if wanted > size / 2:
            return [slice(0, size)]
        nearest = np.einsum("ij,j->i", self.centroids[:, : len(query)], query).argsort()[::-1]
        sizes = np.diff(self.starts)[nearest].cumsum()
        chosen = np.sort(nearest[: sizes.searchsorted(wanted) + 1])
        bounds = zip(self.starts[chosen].tolist(), self.starts[chosen + 1].tolist(), strict=True)
        return [slice(first, last) for first, last in bounds]


@dataclass(frozen=True)
class KnownClusters:
    """Clusters of the first of some vectors."""

    centroids: NDArray[np.float32]
    """Unit vectors [clusters, dimensions in words of 64]."""

    labels: NDArray[np.int64]
    """The cluster of each of these vectors."""


class _Assignment:
    """Finds the nearest centroid of vectors among those of the nearest groups of centroids.

    Comparing seven million vectors with all of 3,400 centroids would take ten times as long.

    Args:
        centroids: Unit vectors [clusters, dimensions].
    """

    def __init__(self, centroids: NDArray[np.float32]) -> None:
        self._centroids = centroids
        self._groups = _k_means(centroids, max(1, round(len(centroids) ** 0.5)))
        self._members = (centroids @ self._groups.T).argmax(axis=1)

    def nearest(self, vectors: NDArray[np.int8]) -> NDArray[np.int64]:
        """Return the number of the centroid of each vector [vectors, dimensions]."""
        floats = vectors.astype(np.float32)
        near = (floats @ self._groups.T).argsort(axis=1)[:, -COMPARED_GROUPS:]
        best, labels = np.full(len(floats), -np.inf, np.float32), np.zeros(len(floats), np.int64)
        for group in range(len(self._groups)):
            members = np.flatnonzero(self._members == group)
            rows = np.flatnonzero((near == group).any(axis=1)) if len(members) else members
            products = floats[rows] @ self._centroids[members].T
            largest = products.max(axis=1, initial=-np.inf)
            better = largest > best[rows]
            best[rows[better]] = largest[better]
            labels[rows[better]] = members[products[better].argmax(axis=1)] if better.any() else 0
        return labels


def _train(signs: NDArray[np.uint64], count: int) -> NDArray[np.float32]:
    """Return the centroids of `count` clusters of signs [words, vectors]."""
    size = signs.shape[1]
    chosen = np.random.default_rng(0).choice(size, min(SAMPLES_PER_CLUSTER * count, size), replace=False)
    sample = np.concatenate(list(_batches(signs.take(np.sort(chosen), axis=1))))
    return _k_means(sample, count)


def _k_means(vectors: NDArray[np.int8] | NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return the centroids of vectors by cosine similarity."""
    start = np.random.default_rng(0).choice(len(vectors), count, replace=False)
    centroids = unit(vectors[start].astype(np.float32))
    for _ in range(ROUNDS):
        batches = (vectors[first : first + BATCH].astype(np.float32) for first in range(0, len(vectors), BATCH))
        nearest = np.concatenate([(one @ centroids.T).argmax(axis=1) for one in batches])
        order = nearest.argsort(kind="stable")
        used, firsts = np.unique(nearest[order], return_index=True)
        centroids[used] = unit(np.add.reduceat(vectors[order], firsts, axis=0, dtype=np.float32))
    return centroids


def _batches(signs: NDArray[np.uint64]) -> Iterator[NDArray[np.int8]]:
    """Yield batches of signs as 1 and -1 [vectors, dimensions]."""
    for first in range(0, signs.shape[1], BATCH):
        packed = np.ascontiguousarray(signs[:, first : first + BATCH].T).view(np.uint8)
        yield 2 * np.unpackbits(packed, axis=1).view(np.int8) - 1
