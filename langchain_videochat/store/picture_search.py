"""Search by picture: scores of frames for a text or a picture, which are comparable with scores of texts."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.store.frame_index import FoundFrames, FrameIndex
from langchain_videochat.utils.interval import Interval

FULL_DEVIATIONS = 6.0
"""A frame has the score 1 for a text if its similarity exceeds that of unrelated texts by this many standard
deviations."""

SMALLEST = 1e-7
"""Smallest difference of two similarities that means anything: the precision of 32-bit numbers."""

MAX_CHANCE = 0.95
"""Maximum of the score that is attributed to chance, however many frames there are."""

WEAK_SCORE = 0.1
"""Minimum score of a moment whose best frame matches a text as well as frames do by chance: about as much as unrelated
texts score. Where no text matches, moments are thus ranked by their frames."""


@dataclass(frozen=True)
class PictureQuery:
    """What frames are compared with, and the scale of the similarities."""

    vector: NDArray[np.float32]
    """Frames with a larger dot product match better [dimensions]."""

    sought: NDArray[np.float32]
    """The same for vectors less the center of the index [dimensions]."""

    unrelated: float
    """Dot product that scores 0."""

    span: float
    """Difference from it that scores 1."""

    chance: float = 0.0
    """Score that the best of the store's frames reaches by chance."""

    def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the score of each frame, given its vector [frames, dimensions]: at most 1, below 0 if it differs."""
        products = np.einsum("ij,j->i", vectors, self.vector)
        scores: NDArray[np.float64] = np.minimum((products.astype(np.float64) - self.unrelated) / self.span, 1)
        return scores


@dataclass(frozen=True)
class DescriptionScale:
    """The scale of the similarities of texts and frames.

    The similarity of a text and a frame says little by itself: it is small, and some texts are nearer to all pictures
    than others. So what unrelated texts have in common is subtracted, and the rest is measured in standard deviations
    of the similarities that unrelated texts have with frames of the store.
    """

    unrelated: NDArray[np.float32]
    """Mean of the embeddings of unrelated texts [dimensions]."""

    deviation: float
    """Standard deviation of their dot products with frames."""

    chance: float
    """Score that the best of the store's frames reaches by chance."""

    @classmethod
    def of(cls, unrelated: NDArray[np.float32], index: FrameIndex) -> "DescriptionScale":
        """Measure the scale.

        Args:
            unrelated: Embeddings of unrelated texts [texts, dimensions].
            index: The frames of the store.
        """
        products, count = index.sample @ unrelated.T, len(unrelated)
        # Each text is compared with the mean of the others, as a query is.
        deviations = (products - products.mean(axis=1, keepdims=True)) * count / (count - 1)
        deviation = max(float(np.sqrt(np.square(deviations).mean())), SMALLEST)
        # About the largest of so many normally distributed numbers.
        chance = math.sqrt(2 * math.log(index.size)) / FULL_DEVIATIONS
        return cls(unrelated.mean(axis=0), deviation, min(chance, MAX_CHANCE))

    def query(self, text: NDArray[np.float32]) -> PictureQuery:
        """Return a query by a text, given its embedding [dimensions]."""
        vector = text - self.unrelated
        return PictureQuery(vector, vector, 0.0, FULL_DEVIATIONS * self.deviation, self.chance)


def picture_query(picture: NDArray[np.float32], index: FrameIndex) -> PictureQuery:
    """Return a query by a picture. The same picture scores 1; frames that resemble it no more than one another score 0.

    Args:
        picture: The embedding of the picture [dimensions].
        index: The frames of the store.
    """
    total, count = index.sample.sum(axis=0, dtype=np.float64), len(index.sample)
    unrelated = (float(total @ total) - count) / (count * (count - 1)) if count > 1 else 0.0
    span = max(1 - unrelated, SMALLEST)
    return PictureQuery(picture, picture - index.center, unrelated, span)


@dataclass(frozen=True)
class ScoredFrames:
    """The frames of a moment with their scores."""

    times: NDArray[np.float64]
    """Start and end of each in seconds [frames, 2]."""

    scores: NDArray[np.float64]
    """Score of each [frames]."""

    best: float
    """The best score."""

    def best_within(self, interval: Interval) -> Interval | None:
        """Return when the best of the frames is shown that are shown in an interval; None if there are none."""
        starts, ends = self.times.T
        is_within = (starts < interval.end) & ((ends > interval.start) | (starts >= interval.start))
        if not is_within.any():
            return None
        start, end = self.times[np.where(is_within, self.scores, -np.inf).argmax()].tolist()
        return Interval(start, end)


def score_frames(found: FoundFrames, query: PictureQuery) -> dict[int, ScoredFrames]:
    """Return the scores of the frames of each moment, by its number."""
    if not found.numbers:
        return {}
    scores, starts = query.scores(found.vectors), found.starts
    best = np.maximum.reduceat(scores, starts).tolist()
    spans = [slice(start, start + count) for start, count in zip(starts.tolist(), found.counts, strict=True)]
    rows = zip(found.numbers, spans, best, strict=True)
    return {number: ScoredFrames(found.times[span], scores[span], score) for number, span, score in rows}


def fuse(text: float, picture: float, chance: float) -> float:
    """Return the score of a moment from that of its texts and that of its frames for a description.

    A strong match in either is enough. Frames that match no better than by chance change nothing, unless the texts
    match as badly.

    Args:
        text: Score of the texts, 0 to 1.
        picture: Score of the best frame, at most 1.
        chance: Score that the best of the store's frames reaches by chance.

    Example:
        >>> fuse(0.4, 0.7, chance=0.7), fuse(0.4, 1.0, chance=0.7), fuse(0.0, 0.7, chance=0.7)
        (0.4, 1.0, 0.1)
    """
    beyond = max(picture - chance, 0.0) / (1 - chance)
    weak = WEAK_SCORE * min(max(picture, 0.0) / chance, 1.0) if chance else 0.0
    # Squared, because some frames match a little better than is to be expected by chance.
    return max(1 - (1 - text) * (1 - beyond**2), weak)
