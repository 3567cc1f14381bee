"""Hits: the observations of a moment that a query, or a statement of an answer, is about."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import NamedTuple

from langchain_core.documents import Document

from langchain_videochat.perception import Observation
from langchain_videochat.store.filters import Filter
from langchain_videochat.store.words import QueryWord, index_text
from langchain_videochat.timeline import MOMENT_SECONDS, citation
from langchain_videochat.timeline.documents import with_metadata
from langchain_videochat.timeline.moments import with_text
from langchain_videochat.utils.interval import Interval

MIN_STEM_LENGTH = 4
STEM_FRACTION = 0.7
"""The first 70 % of a word, at least four letters, must match: inflected forms differ in their endings."""

CODE_WEIGHT = 2.0
"""Factor by which codes and numbers weigh more: only their exact form can match."""


class TimedWords(NamedTuple):
    """The words of an observation, and when they hold."""

    start: float
    """Seconds from the start of the video."""

    end: float
    """Seconds from the start of the video."""

    modality: str

    words: str
    """Tokens of `index_text`."""

    @property
    def is_short(self) -> bool:
        """Whether it lasts no longer than a moment may, so that it says more about when than a moment does."""
        return self.end - self.start <= MOMENT_SECONDS

    def matches(self, condition: Filter) -> bool:
        """Return whether it is in the interval and of one of the modalities of a filter."""
        interval = condition.interval or Interval()
        is_then = self.start < interval.end and (self.end > interval.start or self.start >= interval.start)
        return is_then and (condition.modalities is None or self.modality in condition.modalities)

    def within(self, moment: Interval) -> Interval:
        """Return the interval of a short observation, or the part of a longer one in a moment."""
        if self.is_short:
            return Interval(self.start, self.end)
        start = min(max(self.start, moment.start), moment.end)
        return Interval(start, max(start, min(self.end, moment.end)))


def timed_words(observations: Iterable[Observation]) -> list[TimedWords]:
    """Return the words of observations, except of scenes: their text only repeats their times."""
    said_or_seen = (one for one in with_text(observations) if one.modality != "scene")
    return [TimedWords(one.start, one.end, one.modality, index_text(one.attributed_text)) for one in said_or_seen]


def inverse_document_frequency(count: int, size: int) -> float:
    """Return the weight of a word that `count` of `size` moments contain."""
    return math.log(1 + size / (count + 0.5))


def word_weight(word: QueryWord, count: int, size: int) -> float:
    """Return the weight of a word of a query that `count` of `size` moments contain."""
    weight = inverse_document_frequency(count, size)
    return CODE_WEIGHT * weight if word.is_code else weight


def informative_words(counts: Mapping[QueryWord, int], size: int) -> dict[str, float]:
    """Select codes, and words that are at least as rare as the average, with their weights.

    Words that no moment contains are included, because moments may contain another form of them.

    Args:
        counts: Number of moments that contain each word.
        size: Number of moments.

    Example:
        >>> from langchain_videochat.store.words import query_words
        >>> how, to, whisk, eggs = query_words("how to whisk eggs")
        >>> list(informative_words({how: 80, to: 95, whisk: 0, eggs: 5}, 100))
        ['whisk', 'eggs']
    """
    weights = {word: inverse_document_frequency(count, size) for word, count in counts.items()}
    known = [weights[word] for word, count in counts.items() if count]
    # Reduced, because the average of equal numbers may be rounded up.
    average = 0.999 * fmean(known) if known else 0.0
    return {
        word.text: word_weight(word, counts[word], size)
        for word, weight in weights.items()
        if word.is_code or weight >= average
    }


def find_hit(weights: Mapping[str, float], observations: Collection[TimedWords]) -> list[TimedWords]:
    """Return the observations that stand out for the words that they contain.

    Args:
        weights: The informative words of a query or statement, as `query_words` returns them, with their weights.
        observations: Those of one moment.

    Returns:
        The observation with most of the words; also a second one if it adds half as much, such as the next line of
        the same subtitle. None if together they contain less than half of what the moment contains.

    Example:
        >>> said = [TimedWords(2, 4, "speech", "whisk two eggs"), TimedWords(5, 8, "speech", "take two spoons")]
        >>> [(one.start, one.end) for one in find_hit({"two": 1.0, "eggs": 2.0, "whisked": 2.0}, said)]
        [(2, 4)]
    """
    return _choose_hit(weights, _find_words(weights, observations))


def _choose_hit(weights: Mapping[str, float], found: Mapping[TimedWords, set[str]]) -> list[TimedWords]:
    weights = _weights_within(found, weights)
    first = _most(weights, found, known=set())
    if first is None:
        return []
    second = _most(weights, found, known=found[first])
    adds = 0.0 if second is None else _sum(weights, found[second] - found[first])
    hit = [first] if second is None or adds < _sum(weights, found[first]) / 2 else [first, second]
    covered = _sum(weights, set[str]().union(*(found[one] for one in hit)))
    return hit if covered >= _sum(weights, set[str]().union(*found.values())) / 2 else []


def hit_interval(hit: Iterable[TimedWords], moment: Interval) -> Interval:
    """Return the interval of the observations of a hit; the moment's if there are none.

    Observations that last longer than any moment are cut to the moment: a slide may be shown for an hour.
    """
    parts = [one.within(moment) for one in hit] or [moment]
    return Interval(min(part.start for part in parts), max(part.end for part in parts))


@dataclass(frozen=True)
class SearchHit:
    """A moment among the results of a search."""

    document: Document
    """The moment."""

    observations: Sequence[TimedWords]
    """Its observations."""

    weights: Mapping[str, float]
    """The informative words of the query with their weights."""

    score: float
    """How well the moment matches the query, 0 to 1."""

    nearest: TimedWords | None
    """The observation whose meaning is nearest to the query; None if the moment as a whole is nearer."""

    part: Interval | None = None
    """The part of the moment that counts; all of it if None."""

    @cached_property
    def matching(self) -> Sequence[TimedWords]:
        """The observations that the query is about: those that stand out for its words; without any, the nearest."""
        if self.nearest is None or any(self._words.values()):
            return _choose_hit(self.weights, self._words)
        return [self.nearest]

    def to_document(self) -> Document:
        """Return the moment with its score and the times of the matching observations in its metadata.

        `hit_start` and `hit_end` are in seconds, and `citation` refers to the interval between them.
        """
        data = self.document.metadata
        hit = hit_interval(self.matching, self.part or Interval(data["start"], data["end"]))
        found = {"score": round(self.score, 4), "hit_start": round(hit.start, 3), "hit_end": round(hit.end, 3)}
        return with_metadata(self.document, found | {"citation": citation(data["source"], hit.start, hit.end)})

    def repeats(self, other: "SearchHit") -> bool:
        """Return whether this moment matches only by observations that another moment of the video contains too.

        An observation that spans the boundary of two moments is in both.
        """
        if not self.is_across or self.document.metadata["video_id"] != other.document.metadata["video_id"]:
            return False
        shared = self._short_observations & other._short_observations
        if not shared.intersection(self.matching):
            return False
        weights = _weights_within(self._words, self.weights)
        own = max((_sum(weights, words) for one, words in self._words.items() if one not in shared), default=0.0)
        return own < _sum(weights, self._words[self.matching[0]]) / 2

    @cached_property
    def is_across(self) -> bool:
        """Whether it matches by an observation that extends beyond it, so that it may repeat another moment."""
        data = self.document.metadata
        return any(one.start < data["start"] or one.end > data["end"] for one in self.matching)

    @cached_property
    def _short_observations(self) -> frozenset[TimedWords]:
        return frozenset(one for one in self.observations if one.is_short)

    @cached_property
    def _words(self) -> dict[TimedWords, set[str]]:
        return _find_words(self.weights, self.observations)


def _find_words(weights: Mapping[str, float], observations: Iterable[TimedWords]) -> dict[TimedWords, set[str]]:
    """Return the words that each observation contains."""
    patterns = {word: _pattern(word) for word in weights}
    texts = {one: f" {one.words} " for one in observations}
    return {one: {word for word, pattern in patterns.items() if pattern in text} for one, text in texts.items()}


def _weights_within(found: Mapping[TimedWords, set[str]], weights: Mapping[str, float]) -> dict[str, float]:
    """Return weights that are larger for words in few observations of a moment, which distinguish these."""
    counts = Counter(word for words in found.values() for word in words)
    return {word: weights[word] * inverse_document_frequency(count, len(found)) for word, count in counts.items()}


def _pattern(word: str) -> str:
    # Short words would be found within others. Numbers and letters of scripts without spaces have no endings.
    if len(word) < MIN_STEM_LENGTH or " " in word or any(map(str.isdigit, word)):
        return f" {word} "
    return word[: max(MIN_STEM_LENGTH, round(STEM_FRACTION * len(word)))]


def _most(weights: Mapping[str, float], found: Mapping[TimedWords, set[str]], known: set[str]) -> TimedWords | None:
    """Return the observation with most of the words that are not known; of equals the shortest, then the first."""

    def rank(one: TimedWords) -> tuple[float, float, float]:
        return -_sum(weights, found[one] - known), one.end - one.start, one.start

    best = min(found, key=rank, default=None)
    return best if best is not None and found[best] - known else None


def _sum(weights: Mapping[str, float], words: Iterable[str]) -> float:
    return sum(weights[word] for word in words)
