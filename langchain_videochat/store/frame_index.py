"""The vectors of frames: those of a moment, and the index that finds the frames nearest to a query."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.errors import InputError
from langchain_videochat.perception import Observation
from langchain_videochat.perception.frame_vectors import load_vector
from langchain_videochat.store.observation_vectors import first_positions, signs
from langchain_videochat.store.sign_index import Preselection, SignIndex
from langchain_videochat.utils.vectors import unit

OVERSAMPLING = 10
"""The nearest frames are chosen among this many times more with similar signs. A text and a frame that it describes are
much less similar than two texts: of frames that stand out by six standard deviations among 400,000 random ones, 80 %
are found among the first 50 in this way, 61 % by signs alone."""

PRESELECTION = Preselection(words=6, share=0.06)
"""For the same reason, more of the frames than of the texts are preselected, by more of their signs."""

SAMPLE_SIZE = 500
"""Frames by which the similarities of unrelated pictures and texts are measured, each of a different moment."""


MAX_GROWTH = 0.1
"""Share by which the number of moments changes before frames are sampled again."""


@dataclass(frozen=True)
class FrameVectors:
    """The frames of a moment, with their embeddings."""

    times: NDArray[np.float64]
    """When each frame is shown: start and end in seconds from the start of the video [frames, 2]."""

    vectors: NDArray[np.float16]
    """Unit vectors [frames, dimensions]."""

    @classmethod
    def of(cls, frames: Sequence[Observation], vectors: Mapping[str, NDArray[np.float32]]) -> "FrameVectors | None":
        """Return the frames whose vectors, as `load_frames` returns them, are known; None if there are none."""
        known = [one for one in frames if one.vector in vectors]
        if not known:
            return None
        times = np.array([(one.start, one.end) for one in known])
        return cls(times, unit(np.stack([vectors[one.vector or ""] for one in known])).astype(np.float16))


def load_frames(observations: Iterable[Observation], dimensions: int | None) -> dict[str, NDArray[np.float32]]:
    """Return the vectors of observations of frames by their text form, without damaged ones and those of another width.

    Args:
        observations: Any observations.
        dimensions: Width of the vectors; that of the first one if None.
    """
    loaded: dict[str, NDArray[np.float32]] = {}
    for dumped in dict.fromkeys(one.vector for one in observations if one.vector is not None):
        try:
            vector = load_vector(dumped)
        except InputError:
            continue
        dimensions = dimensions or len(vector)
        if len(vector) == dimensions:
            loaded[dumped] = vector
    return loaded


@dataclass(frozen=True)
class FoundFrames:
    """The frames of several moments."""

    numbers: list[int]
    """Numbers of the moments; those without frames are left out."""

    counts: list[int]
    """Number of frames of each moment."""

    times: NDArray[np.float64]
    """When they are shown: start and end in seconds [frames, 2]."""

    vectors: NDArray[np.float32]
    """Unit vectors of the frames of the first moment, of the second, and so on [frames, dimensions]."""

    @classmethod
    def load(cls, rows: Sequence[tuple[int, bytes, bytes]]) -> "FoundFrames":
        """Convert the number of each moment, and the times and vectors of its frames as bytes."""
        if not rows:
            return cls([], [], np.zeros((0, 2)), np.zeros((0, 1), np.float32))
        times = np.frombuffer(b"".join(one for _, one, _ in rows)).reshape(-1, 2)
        rounded = np.frombuffer(b"".join(one for *_, one in rows), np.float16).reshape(len(times), -1)
        # Rounding has changed their lengths by more than the vectors of similar pictures differ.
        vectors = unit(rounded.astype(np.float32))
        counts = [len(one) // times[0].nbytes for _, one, _ in rows]
        return cls([number for number, *_ in rows], counts, times, vectors)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Position of the first frame of each moment."""
        return first_positions(self.counts)


@dataclass(frozen=True)
class FrameIndex:
    """The frames of a store in memory: one bit per dimension of each, and a sample of their vectors."""

    signs: SignIndex
    """Signs of the vectors, less `center`."""

    center: NDArray[np.float32]
    """The mean of some vectors [dimensions]: vectors of pictures share a large component, which distinguishes none."""

    sample: NDArray[np.float32]
    """Vectors of frames of different moments [frames, dimensions]."""

    sampled_moments: int
    """Number of moments with frames when they were sampled."""

    @property
    def size(self) -> int:
        """Number of frames."""
        return self.signs.size - self.signs.removed

    def is_sample_of(self, signs: SignIndex) -> bool:
        """Return whether the sample also represents other frames: those of about as many moments."""
        if signs is self.signs:
            return True
        difference = abs(signs.moments - self.sampled_moments)
        return signs.moments > SAMPLE_SIZE and difference <= MAX_GROWTH * self.sampled_moments

    @property
    def dimensions(self) -> int:
        """Width of the vectors."""
        return len(self.center)

    def nearest(self, query: NDArray[np.float32], count: int, among: Sequence[int] | None = None) -> list[int]:
        """Return the numbers of the moments of the `count` nearest frames, and of those that are as near.

        Args:
            query: A vector [dimensions]; that of a picture less `center`.
            count: Number of frames.
            among: Numbers of the moments to search; all if None.
        """
        numbers, found = self.signs.nearest_vectors(query, OVERSAMPLING * count, among)
        if len(numbers) > count:
            similarities = _similarities(query, found)
            numbers = numbers[similarities >= np.partition(similarities, -count)[-count]]
        return [int(number) for number in np.unique(numbers)]


def _similarities(query: NDArray[np.float32], found: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Return the dot products of a query and signs [words, vectors]."""
    packed = np.ascontiguousarray(found.T).view(np.uint8)
    bits = np.unpackbits(packed, axis=1, count=len(query)).astype(np.float32)
    products: NDArray[np.float32] = np.einsum("ij,j->i", bits, query)
    return products  # Of bits instead of signs, which gives the same order.


def frame_signs(vectors: NDArray[np.float16], center: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return the signs of the vectors of frames, less the center, as bits [frames, words of 64 dimensions]."""
    return signs(vectors.astype(np.float32) - center)
