"""Quantized vectors: one byte per dimension for scores, one bit per dimension for finding candidates."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.errors import ModelError
from langchain_videochat.perception import Observation
from langchain_videochat.timeline.moments import with_text
from langchain_videochat.utils.vectors import unit

TITLE_WEIGHT = 0.5
"""Weight of the video's title in the vector of an observation: a question often names both, a caption only one."""

PRESELECTION_WORDS, PRESELECTION_SHARE = 3, 0.03
"""3 % of the vectors of texts are preselected by their first 192 signs, in half the time that comparing all signs
takes. Of the best results among 1,400 moments of hand-written videos, 99 % are among them."""

SAMPLING = 16
"""Every 16th distance is sampled to choose the distance up to which vectors are preselected."""

Int8Vectors = NDArray[np.int8]
"""Vectors with one byte per dimension [vectors, dimensions]; each is scaled on its own, so only directions compare."""


def first_positions(counts: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the position of the first vector of each moment, given the number of vectors of each.

    Example:
        >>> first_positions([2, 1, 3]).tolist()
        [0, 2, 3]
    """
    every = np.asarray(counts, dtype=np.int64)
    positions: NDArray[np.int64] = every.cumsum() - every
    return positions


def distinct_texts(observations: Iterable[Observation]) -> list[str]:
    """Return the distinct texts of observations that have a vector."""
    return list(dict.fromkeys(observation_texts(observations)))


def observation_texts(observations: Iterable[Observation]) -> list[str]:
    """Return the texts of observations that have a vector: all but scenes, whose text only repeats their times."""
    return [one.attributed_text for one in with_text(observations) if one.modality != "scene"]


def quantize_vectors(vectors: NDArray[np.float32], title: NDArray[np.float32]) -> Int8Vectors:
    """Add the vector of the video's title to the vectors of texts, and quantize them to one byte per dimension.

    Quantization changes cosine similarities by less than 0.005.

    Args:
        vectors: Of texts [texts, dimensions].
        title: Of the title [dimensions].

    Raises:
        ModelError: A vector has numbers that are not finite.
    """
    mixed = unit(_check_finite(vectors)) + TITLE_WEIGHT * unit(title)
    largest = np.abs(mixed).max(axis=-1, keepdims=True)
    quantized: Int8Vectors = np.asarray(np.rint(127 * mixed / np.where(largest == 0, 1, largest)), dtype=np.int8)
    return quantized


def quantize_vector(vector: NDArray[np.float32]) -> Int8Vectors:
    """Quantize a vector to one byte per dimension."""
    quantized: Int8Vectors = quantize_vectors(vector[None], np.zeros_like(vector))[0]
    return quantized


def read_query(embedding: Sequence[float]) -> NDArray[np.float32]:
    """Return the vector of a query [dimensions].

    Raises:
        ModelError: It has numbers that are not finite.
    """
    return _check_finite(np.asarray(embedding, dtype=np.float32))


def cosines(vectors: Int8Vectors, query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine similarities of vectors with that of a query [vectors]."""
    # Not `@`: BLAS would wake all cores for 0.1 ms of work.
    floats = vectors.astype(np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", floats, floats))
    similarities: NDArray[np.float32] = np.einsum("ij,j->i", floats, unit(query)) / np.where(lengths == 0, 1, lengths)
    return similarities


def signs(vectors: NDArray[np.int8] | NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return the signs of vectors as bits [vectors, words of 64 dimensions]."""
    bits = np.packbits(vectors > 0, axis=1)
    padding = -bits.shape[1] % 8
    return np.pad(bits, ((0, 0), (0, padding))).view(np.uint64)


def dump_vectors(vectors: Int8Vectors) -> str:
    """Return vectors as text, for Chroma."""
    return base64.b64encode(vectors.tobytes()).decode("ascii")


def load_vectors(dumped: str, texts: Sequence[str]) -> Mapping[str, Int8Vectors]:
    """Return the vector [dimensions] of each of the texts, whose vectors were dumped in this order."""
    vectors = np.frombuffer(base64.b64decode(dumped), np.int8).reshape(len(texts), -1)
    return dict(zip(texts, vectors, strict=True))


@dataclass(frozen=True)
class SignIndex:
    """The signs of all vectors of moments and observations, in memory: a query is compared with them in a few ms.

    Example:
        >>> vectors = np.array([[1, -1], [1, 1], [-1, 1]], np.int8)
        >>> index = SignIndex(signs(vectors).T, numbers=np.array([7, 8]), starts=np.array([0, 2, 3]))
        >>> index.nearest(np.array([0.2, 0.9], np.float32), 1)
        [7]
    """

    signs: NDArray[np.uint64]
    """Of the vectors of the first moment, of the second, and so on [words, vectors]."""

    numbers: NDArray[np.int64]
    """The numbers of the moments, ascending [moments]."""

    starts: NDArray[np.int64]
    """Position of the first vector of each moment, and the number of vectors [moments + 1]."""

    preselection_words: int = PRESELECTION_WORDS
    """Vectors are preselected by so many times 64 signs, if all of them are searched."""

    preselection_share: float = PRESELECTION_SHARE
    """Share of the vectors that are preselected."""

    @classmethod
    def load(cls, rows: Sequence[tuple[int, bytes]], words: int, **preselection: Any) -> "SignIndex":
        """Build an index from the number of each moment, ascending, and the signs of its vectors."""
        every = np.frombuffer(b"".join(blob for _, blob in rows), np.uint64).reshape(-1, words)
        starts = np.cumsum([0, *(len(blob) // (8 * words) for _, blob in rows)])
        numbers = np.array([number for number, _ in rows], np.int64)
        return cls(np.ascontiguousarray(every.T), numbers, starts, **preselection)

    def nearest(self, query: NDArray[np.float32], count: int, among: Sequence[int] | None = None) -> list[int]:
        """Return the numbers of the moments of the `count` nearest vectors, and of those that are as near.

        Args:
            query: A vector [dimensions].
            count: Number of vectors.
            among: Numbers of the moments to search; all if None.
        """
        return self.moments_of(self.nearest_vectors(query, count, among))

    def nearest_vectors(
        self, query: NDArray[np.float32], count: int, among: Sequence[int] | None = None
    ) -> NDArray[np.int64]:
        """Return the positions of the `count` nearest vectors, and of those that are as near; see `nearest`."""
        if not len(self.numbers):
            return np.zeros(0, np.int64)
        words = signs(query[None])[0]
        if among is None:
            rows, distances = self._preselect(words, count)
        else:
            rows = self._rows(np.asarray(among))
            distances = self._distances(words, rows)
        return rows[distances <= _limit(distances, count)]

    def moments_of(self, rows: NDArray[np.int64]) -> list[int]:
        """Return the numbers of the moments that have the vectors at these positions."""
        return [int(number) for number in np.unique(self.numbers[self.starts.searchsorted(rows, "right") - 1])]

    def _preselect(self, words: NDArray[np.uint64], count: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Return the vectors that are nearest by some of their signs, many times more than `count`, and distances."""
        size, some = self.signs.shape[1], self.preselection_words
        wanted = max(round(self.preselection_share * size), 10 * count)
        if wanted >= size:
            return np.arange(size), _hamming_distances(self.signs, words)
        partial = _hamming_distances(self.signs[:some], words[:some])
        rows = np.flatnonzero(partial <= _limit(partial[::SAMPLING], -(-wanted // SAMPLING)))
        return rows, partial[rows].astype(np.uint16) + self._distances(words, rows, first=some)

    def _distances(self, words: NDArray[np.uint64], rows: NDArray[np.int64], first: int = 0) -> NDArray[Any]:
        return _hamming_distances(self.signs[first:].take(rows, axis=1), words[first:])

    def _rows(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        # Moments may have been removed since their numbers were read.
        places = np.flatnonzero(np.isin(self.numbers, numbers))
        counts = self.starts[places + 1] - self.starts[places]
        skipped = self.starts[places] - first_positions(counts)
        rows: NDArray[np.int64] = np.arange(counts.sum()) + np.repeat(skipped, counts)
        return rows


def _limit(distances: NDArray[Any], count: int) -> int:
    """Return the distance within which `count` vectors are, or all."""
    return int(np.bincount(distances).cumsum().searchsorted(count))


def _hamming_distances(signs: NDArray[np.uint64], words: NDArray[np.uint64]) -> NDArray[Any]:
    """Return the number of bits of each vector [words, vectors] that differ from `words`."""
    size = signs.shape[1]
    distances: NDArray[Any] = np.zeros(size, np.min_scalar_type(64 * len(words)))
    differing, count = np.empty(size, np.uint64), np.empty(size, np.uint8)
    for column, word in zip(signs, words, strict=True):
        np.bitwise_xor(column, word, out=differing)
        distances += np.bitwise_count(differing, out=count)
    return distances


def _check_finite(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(vectors).all():
        problem = "returned a vector with numbers that are not finite"
        raise ModelError("the embedding model", problem, "Use another embedding model")
    return vectors
