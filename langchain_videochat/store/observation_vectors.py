"""Quantized vectors: one byte per dimension for scores, one bit per dimension for finding candidates."""

import base64
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.errors import ModelError
from langchain_videochat.perception import Observation
from langchain_videochat.timeline.moments import with_text
from langchain_videochat.utils.vectors import unit

TITLE_WEIGHT = 0.5
"""Weight of the video's title in the vector of an observation: a question often names both, a caption only one."""

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


def load_vector(dumped: str) -> Int8Vectors:
    """Return a dumped vector [dimensions]; several are in one row, one after the other."""
    return np.frombuffer(base64.b64decode(dumped), np.int8)


def load_vectors(dumped: str, texts: Sequence[str]) -> Mapping[str, Int8Vectors]:
    """Return the vector [dimensions] of each of the texts, whose vectors were dumped in this order."""
    vectors = load_vector(dumped).reshape(len(texts), -1)
    return dict(zip(texts, vectors, strict=True))


def _check_finite(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(vectors).all():
        problem = "returned a vector with numbers that are not finite"
        raise ModelError("the embedding model", problem, "Use another embedding model")
    return vectors
