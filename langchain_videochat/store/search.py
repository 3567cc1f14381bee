"""Search: each moment gets one score, from its meaning, that of its best observation, and words."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from operator import itemgetter

import numpy as np
from langchain_core.documents import Document
from langchain_core.utils.iter import batch_iterate
from numpy.typing import NDArray

from langchain_videochat.errors import InputError
from langchain_videochat.store.filters import Filter, TimeBound
from langchain_videochat.store.hits import SearchHit, TimedWords, informative_words, word_weight
from langchain_videochat.store.local_index import LocalIndex
from langchain_videochat.store.observation_vectors import cosines, read_query, unit
from langchain_videochat.store.time_order import Placement, TimeOrder
from langchain_videochat.store.words import query_words

FEW_WORDS_WEIGHT = 0.2
"""Weight of single words in the score of words. They count little, because a question mostly paraphrases its answer;
the rest is for a moment that contains most of the query, such as a code or a name. Values from 0.15 to 0.3 work about
equally well on collections that differ in style and language."""

EXACT_LIMIT = 500
"""Up to this many matching moments are all scored; if there are more, candidates are selected first."""

FEW_MATCHES = 10_000
"""If fewer moments match a filter, candidates are selected among these; otherwise among all moments, and filtered
afterwards."""

CANDIDATES = 100
"""Minimum number of nearest vectors whose moments become candidates. Of the best results among 1,400 moments of
hand-written videos, 98.6 % are among the moments of the first 100 vectors."""

WORD_CANDIDATES = 20
"""Minimum number of candidates that are chosen because they contain most of the query."""

WIDENING = 4
"""Factor by which the number of vectors grows while too few of their moments match the filter."""

AROUND_SECONDS = 300.0
"""Moments up to this far from an anchor are always scored."""

RERANKED = 20
"""Minimum number of best moments that a reranker gets."""

RERANKED_CHARACTERS = 4000
"""Length of the text that a reranker gets of a moment; most cross-encoders read 512 tokens."""

DEFAULT_FETCH_K = 20
"""Best moments among which moments that differ are chosen; the default of LangChain's vector stores."""

WORD_BUDGET = 1000
"""Maximum number of matches of all words of a query; the most common words are skipped beyond it."""


@dataclass(frozen=True)
class Diversity:
    """How much moments that differ from better ones are preferred: maximal marginal relevance.

    Raises:
        InputError: `lambda_mult` is not from 0 to 1, or `fetch_k` is below 1.
    """

    lambda_mult: float = 1.0
    """Weight of the match with the query, 0 to 1; the rest is that of the difference from better moments."""

    fetch_k: int = DEFAULT_FETCH_K
    """The moments are chosen among this many best ones, at least `k`."""

    def __post_init__(self) -> None:
        if not 0 <= self.lambda_mult <= 1:
            advice = "Give 1 to rank by the match alone, less to prefer moments that differ"
            raise InputError("lambda_mult", f"must be from 0 to 1, got {self.lambda_mult}", advice)
        if self.fetch_k < 1:
            raise InputError("fetch_k", f"must be at least 1, got {self.fetch_k}", "Choose among more than k moments")

    def candidates(self, k: int) -> int:
        """Return the number of best moments among which `k` are chosen."""
        return k if self.lambda_mult == 1 else max(k, self.fetch_k)

    def select(self, relevance: NDArray[np.float32], vectors: NDArray[np.float32], k: int) -> list[int]:
        """Choose items by maximal marginal relevance (Carbonell and Goldstein 1998).

        Args:
            relevance: How well each item matches, at most 1 [items].
            vectors: Their unit vectors [items, dimensions].
            k: Maximum number of items.

        Returns:
            Positions of the chosen items, in the order of choice.

        Example:
            >>> eggs, also_eggs, pan = [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]
            >>> Diversity(0.5).select(np.array([1.0, 0.9, 0.3]), np.array([eggs, also_eggs, pan]), k=2)
            [0, 2]
        """
        chosen: list[int] = []
        redundancy = np.zeros(len(relevance))
        while len(chosen) < min(k, len(relevance)):
            scores = self.lambda_mult * relevance - (1 - self.lambda_mult) * redundancy
            scores[chosen] = -np.inf
            chosen.append(int(scores.argmax()))
            similarity = np.einsum("ij,j->i", vectors, vectors[chosen[-1]])
            redundancy = similarity if len(chosen) == 1 else np.maximum(redundancy, similarity)
        return chosen


@dataclass(frozen=True)
class WordMatches:
    """The moments that contain words of a query."""

    shares: dict[int, float]
    """The share of the query that each moment contains, 0 to 1, by its number; rare words make up more of it. Words
    that no moment contains count: a moment that contains one word of a paraphrase has little of the query."""

    weights: dict[str, float]
    """The rarer words of the query with their weights."""

    def best(self, numbers: Iterable[int], count: int) -> list[int]:
        """Return the moments among `numbers` that contain most."""
        return sorted(numbers, key=lambda number: (-self.shares[number], number))[:count]


@dataclass(frozen=True)
class _Scored:
    """A moment with its score."""

    number: int

    score: float

    similarities: NDArray[np.float32]
    """Cosine similarities of its observations with the query; empty if they have no vectors."""

    similarity: float
    """Cosine similarity of the moment as a whole."""

    def nearest(self, observations: Sequence[TimedWords], condition: Filter) -> TimedWords | None:
        """Return the matching observation that is nearest to the query, unless the moment as a whole is nearer."""
        known = zip(self.similarities, observations, strict=False)
        nearest = max(((value, one) for value, one in known if one.matches(condition)), default=None, key=itemgetter(0))
        return nearest[1] if nearest is not None and nearest[0] >= self.similarity else None


def search(
    index: LocalIndex,
    query: str,
    embedding: Sequence[float],
    *,
    k: int,
    condition: Filter,
    diversity: Diversity,
    min_score: float,
    unrelated: float,
    order: TimeOrder | None = None,
) -> list[Document]:
    """Find the moments with the highest scores.

    A score is the mean of the score of meaning and that of words. Meaning is the mean of two cosine similarities with
    the query, that of the moment and that of its nearest observation, scaled so that unrelated texts have 0. A moment
    that matches only because of an observation that a better one contains too is left out.

    Args:
        index: The local index.
        query: Search text.
        embedding: Its embedding.
        k: Maximum number of moments.
        condition: Filter on moments.
        diversity: How much moments that differ from better ones are preferred.
        min_score: Moments with a lower score are left out.
        unrelated: Cosine similarity of unrelated texts, from `unrelated_similarity`.
        order: Order in time that replaces the order by score; `diversity` must then leave the order as it is.

    Returns:
        Moments, best first. In their metadata, `hit_start`, `hit_end` and `citation` refer to the observations that the
        query is about.
    """
    wanted = min(diversity.candidates(k), index.size())
    vector = read_query(embedding)
    words = match_words(index, query)
    searched = condition if order is None else order.narrow(condition)
    numbers = find_candidates(index, vector, words, wanted, searched)
    if order is not None:
        # They may match the query too little to be candidates.
        numbers = list(dict.fromkeys([*numbers, *_find_around(index, order, condition)]))
    scored = [one for one in score(index, numbers, vector, words, unrelated) if one.score >= min_score]
    if order is not None:
        return _select_in_order(index, scored, wanted, words.weights, condition, order)
    hits = _select(index, scored, wanted, words.weights, condition)
    if hits and diversity.lambda_mult < 1:
        hits = _diversify(index, hits, k, diversity)
    return [hit.to_document() for hit in hits.values()]


def match_words(index: LocalIndex, query: str) -> WordMatches:
    """Find the moments that contain words of a query."""
    size = index.size()
    counts = {word: index.count_phrase(word.phrase, WORD_BUDGET + 1) for word in query_words(query)}
    rarest_first = sorted(counts.items(), key=lambda item: item[1])
    totals = accumulate(count for _, count in rarest_first)
    used = [word for (word, _), total in zip(rarest_first, totals, strict=True) if total <= WORD_BUDGET]
    weights = {word: word_weight(word, counts[word], size) for word in used}
    whole = sum(weights.values())
    shares: defaultdict[int, float] = defaultdict(float)
    for word, weight in weights.items():
        for number in index.find_phrase(word.phrase) if counts[word] else ():
            shares[number] += weight / (whole or 1)
    return WordMatches(dict(shares), informative_words({word: counts[word] for word in used}, size))


def find_candidates(
    index: LocalIndex, embedding: NDArray[np.float32], words: WordMatches, k: int, condition: Filter
) -> list[int]:
    """Return all moments that match a filter if they are few, else those that may be among the best `k`."""
    matching = index.find(condition, EXACT_LIMIT + 1)
    if len(matching) <= EXACT_LIMIT:
        return matching
    count = max(WORD_CANDIDATES, 2 * k)
    if condition == Filter():
        found = [*_find_near(index, embedding, k), *words.best(words.shares, count)]
    elif index.count(condition, FEW_MATCHES) < FEW_MATCHES:
        among = index.find(condition, FEW_MATCHES)
        found = [*_find_near(index, embedding, k, among), *words.best(words.shares.keys() & set(among), count)]
    else:
        worded = index.matching(words.best(words.shares, WIDENING * count), condition)
        found = [*_find_near_and_test(index, embedding, k, condition), *worded]
    return list(dict.fromkeys(found))


def _find_near(
    index: LocalIndex, embedding: NDArray[np.float32], k: int, among: Sequence[int] | None = None
) -> Collection[int]:
    enough = k if among is None else min(k, len(among))
    return _widen(lambda count: index.nearest(embedding, count, among), index, k, enough)


def _find_near_and_test(
    index: LocalIndex, embedding: NDArray[np.float32], k: int, condition: Filter
) -> Collection[int]:
    enough = max(CANDIDATES // 4, k)
    return _widen(lambda count: index.matching(index.nearest(embedding, count), condition), index, k, enough)


def _widen(find: Callable[[int], Collection[int]], index: LocalIndex, k: int, enough: int) -> Collection[int]:
    """Find moments among more and more of the nearest vectors, until they are enough or all vectors were used."""
    count = max(CANDIDATES, 2 * k)
    while len(found := find(count)) < enough and count <= index.count_vectors():
        count *= WIDENING
    return found


def _find_around(index: LocalIndex, order: TimeOrder, condition: Filter) -> Iterator[int]:
    """Return the moments around the anchors."""
    for anchor in (*(order.after or ()), *(order.before or ())):
        start, end = anchor.interval.start - AROUND_SECONDS, anchor.interval.end + AROUND_SECONDS
        bounds = (TimeBound("end", ">", start), TimeBound("start", "<", end))
        yield from index.find(condition.narrow(video_ids=[anchor.video_id], bounds=bounds), EXACT_LIMIT)


def score(
    index: LocalIndex, numbers: Sequence[int], embedding: NDArray[np.float32], words: WordMatches, unrelated: float
) -> list[_Scored]:
    """Score moments, and return them best first; those that no longer exist are left out."""
    found = index.vectors(numbers)
    if not found.numbers:
        return []
    similarities, starts = cosines(found.vectors, embedding), found.starts
    wholes = similarities[starts]
    observations = similarities.copy()
    observations[starts] = -1
    nearest = np.where(np.array(found.counts) > 1, np.maximum.reduceat(observations, starts), wholes)
    # The difference is 0 for a model that gives the same vector to all texts.
    meaning = np.clip(((wholes + nearest) / 2 - unrelated) / max(1 - unrelated, 0.001), 0, 1)
    shares = np.array([words.shares.get(number, 0.0) for number in found.numbers])
    scores = (meaning + FEW_WORDS_WEIGHT * shares + (1 - FEW_WORDS_WEIGHT) * shares**3) / 2
    parts = np.split(similarities, starts[1:])
    return [
        _Scored(found.numbers[place], float(scores[place]), parts[place][1:], float(wholes[place]))
        for place in np.argsort(-scores, kind="stable")
    ]


def _select_in_order(
    index: LocalIndex,
    scored: Sequence[_Scored],
    k: int,
    weights: dict[str, float],
    condition: Filter,
    order: TimeOrder,
) -> list[Document]:
    """Return the first `k` moments in the order of time, with their anchors in the metadata."""
    by_number = {one.number: one for one in scored}
    scores = {number: one.score for number, one in by_number.items()}
    places = order.arrange(scores, index.places(list(by_number)))
    hits = _select(index, [by_number[number] for number in places], k, weights, condition, places)
    return [places[number].add_anchors(hit.to_document()) for number, hit in hits.items()]


def _select(
    index: LocalIndex,
    ranking: Iterable[_Scored],
    k: int,
    weights: dict[str, float],
    condition: Filter,
    places: Mapping[int, Placement] | None = None,
) -> dict[int, SearchHit]:
    """Return the first `k` moments of a ranking by number, without those that repeat a better one."""
    hits: dict[int, SearchHit] = {}
    for batch in batch_iterate(k, ranking):
        found = index.moments([one.number for one in batch])
        for one in batch:
            if one.number not in found:
                continue
            document, observations = found[one.number]
            placement = None if places is None else places[one.number]
            own = condition if placement is None else placement.narrow(condition)
            matching = [other for other in observations if other.matches(own)]
            if own != condition and not matching:
                continue  # The moment extends beyond its anchor, but nothing was observed there.
            nearest, part = one.nearest(observations, own), None if placement is None else placement.part
            hit = SearchHit(document, matching, weights, one.score, nearest, part)
            if not (hit.is_across and any(hit.repeats(other) for other in hits.values())):
                hits[one.number] = hit
        if len(hits) >= k:
            break
    return dict(islice(hits.items(), k))


def _diversify(index: LocalIndex, hits: dict[int, SearchHit], k: int, diversity: Diversity) -> dict[int, SearchHit]:
    found = index.vectors(list(hits))
    wholes = unit(found.vectors[found.starts].astype(np.float32))
    relevance = np.asarray([hits[number].score for number in found.numbers], dtype=np.float32)
    chosen = diversity.select(relevance / (relevance.max(initial=0) or 1), wholes, k)
    return {found.numbers[position]: hits[found.numbers[position]] for position in chosen}
