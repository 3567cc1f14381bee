"""Hybrid search: one ranking of moments by embedding and by words."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from chromadb import Collection
from langchain_core.documents import Document
from langchain_core.utils.iter import batch_iterate
from numpy.typing import NDArray

from langchain_videochat.errors import InputError
from langchain_videochat.store.filters import Filter
from langchain_videochat.store.hits import SearchHit, informative_words, inverse_document_frequency
from langchain_videochat.store.local_index import LocalIndex
from langchain_videochat.store.words import QueryWord, query_words

EXACT_LIMIT = 1500
"""Maximum number of moments that are compared one by one: this takes 3 ms, a filtered query of Chroma 100 ms."""

COUNT_LIMIT = 10_000
"""Limit for counting the moments that match a filter, to estimate how many neighbors to request: takes 0.4 ms."""

RETRY_FACTOR = 4
"""Factor by which more moments are requested from Chroma if too few of those returned can be used."""

DEFAULT_FETCH_K = 20
"""Best moments among which moments that differ are chosen; the default of LangChain's vector stores."""

WORD_BUDGET = 1000
"""Maximum number of matches of all words of a query; the most common words are skipped beyond it."""

RANK_CONSTANT = 1
"""Constant of reciprocal rank fusion. The paper's 60 (Cormack et al. 2009) suits rankings of a thousand; with short
rankings it prefers moments that are low in all of them to the first of one."""


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
class WordRanking:
    """Moments ranked by the words of a query."""

    moments: list[int]
    """Ranked by the fraction of the query that they contain, with more weight for rare words."""

    by_name: list[int]
    """The same, for names only: codes, numbers and rare words, which must match exactly."""

    coverage: float
    """Fraction of the query that the first moment contains, 0 to 1: low if the query paraphrases it."""

    informative_words: dict[str, float]
    """The rarer words of the query with their weights."""


@dataclass(frozen=True)
class _Match:
    word: QueryWord
    moments: list[int]
    weight: float


def search(
    index: LocalIndex,
    moments: Collection,
    query: str,
    embedding: Sequence[float],
    *,
    k: int,
    condition: Filter,
    diversity: Diversity,
) -> list[Document]:
    """Rank moments by embedding and by words together.

    The ranking by words has the weight `coverage`, the ranking by embedding the rest. Moments that match only because
    of an observation that a better one contains too are left out.

    Args:
        index: The local index.
        moments: The collection in Chroma that `index` was built from.
        query: Search text.
        embedding: Its embedding.
        k: Maximum number of moments.
        condition: Filter on moments.
        diversity: How much moments that differ from better ones are preferred.

    Returns:
        Moments, best first. In their metadata, `hit_start`, `hit_end` and `citation` refer to the observations that the
        query is about.
    """
    candidates = diversity.candidates(k)
    depth = max(20, 2 * candidates)
    dense = rank_by_embedding(index, moments, embedding, k=candidates, depth=depth, condition=condition)
    words = rank_by_words(index, query, depth, condition)
    scores = fuse([(1 - words.coverage, dense), (words.coverage, words.moments), (1.0, words.by_name)])
    hits = _select(index, scores, candidates, words.informative_words, condition)
    if hits and diversity.lambda_mult < 1:
        hits = _diversify(index, hits, scores, k, diversity)
    return [hit.with_times() for hit in hits.values()]


def rank_by_embedding(
    index: LocalIndex, moments: Collection, embedding: Sequence[float], *, k: int, depth: int, condition: Filter
) -> list[int]:
    """Rank moments by cosine similarity: exactly among a few, by Chroma's HNSW index among many."""
    candidates = index.count(condition, COUNT_LIMIT)
    if candidates <= EXACT_LIMIT:
        return _nearest(index, index.find(condition, EXACT_LIMIT), embedding, depth)
    # Enough for 2 * k matches if the matching moments are distributed evenly.
    fetched = depth if condition == Filter() else max(depth, math.ceil(2 * k * index.size() / candidates))
    matching = index.resolve(_query(moments, embedding, fetched), condition)[:depth]
    if len(matching) < k:
        # Perhaps because of moments of saves in progress, which are in Chroma only.
        matching = index.resolve(_query(moments, embedding, RETRY_FACTOR * fetched), condition)[:depth]
    return matching if len(matching) >= k else _nearest_of_all(index, embedding, depth, condition)


def _query(moments: Collection, embedding: Sequence[float], count: int) -> list[str]:
    found = moments.query(query_embeddings=[embedding], n_results=count, include=["distances"])
    return found["ids"][0]


def rank_by_words(index: LocalIndex, query: str, depth: int, condition: Filter) -> WordRanking:
    """Rank moments by the words of a query."""
    matches = _match_words(index, query)
    # 10 of 100 moments, 100 of 10,000: a word that looks like a name and is this rare identifies a moment; any other
    # word must be ten times rarer.
    max_matches = math.sqrt(index.size())
    names = [one for one in matches if len(one.moments) <= (max_matches if one.word.is_name else max_matches / 10)]
    scores = _sum_weights(matches)
    matching = scores.keys() if condition == Filter() else index.matching(scores, condition)
    moments = _best(scores, matching, depth)
    name_scores = _sum_weights(names)
    by_name = _best(name_scores, name_scores.keys() & matching, depth)
    coverage = scores[moments[0]] / sum(match.weight for match in matches) if moments else 0.0
    counts = {match.word: len(match.moments) for match in matches}
    return WordRanking(moments, by_name, coverage, informative_words(counts, index.size()))


def fuse(rankings: Iterable[tuple[float, Sequence[int]]]) -> dict[int, float]:
    """Merge rankings, each given with its weight, by reciprocal rank fusion.

    Returns:
        The scores of the moments, best first.

    Example:
        >>> list(fuse([(0.5, [1, 2, 3]), (0.5, [3, 1])]))
        [1, 3, 2]
    """
    scores: defaultdict[int, float] = defaultdict(float)
    for weight, ranking in rankings:
        for rank, number in enumerate(ranking, start=1):
            scores[number] += weight / (RANK_CONSTANT + rank)
    return dict(sorted(scores.items(), key=lambda item: -item[1]))


def _select(
    index: LocalIndex, ranking: Iterable[int], k: int, weights: dict[str, float], condition: Filter
) -> dict[int, SearchHit]:
    """Return the first `k` moments of a ranking by number, without those that repeat a better one."""
    hits: dict[int, SearchHit] = {}
    for batch in batch_iterate(k, ranking):
        for number, (document, observations) in index.moments(batch).items():
            hit = SearchHit(document, [one for one in observations if one.matches(condition)], weights)
            if not any(hit.repeats(other) for other in hits.values()):
                hits[number] = hit
        if len(hits) >= k:
            break
    return dict(islice(hits.items(), k))


def _diversify(
    index: LocalIndex, hits: dict[int, SearchHit], scores: dict[int, float], k: int, diversity: Diversity
) -> dict[int, SearchHit]:
    numbers, vectors = index.vectors(list(hits))
    relevance = np.asarray([scores[number] for number in numbers], dtype=np.float32)
    chosen = diversity.select(relevance / relevance.max(), vectors, k)
    return {numbers[position]: hits[numbers[position]] for position in chosen}


def _match_words(index: LocalIndex, query: str) -> list[_Match]:
    counts = {word: index.count_phrase(word.phrase, WORD_BUDGET + 1) for word in query_words(query)}
    size, total = index.size(), 0
    matches = []
    for word, count in sorted(counts.items(), key=lambda item: item[1]):
        total += count
        if total > WORD_BUDGET:
            break
        # A word without matches weighs most: it lowers the coverage of all moments.
        weight = inverse_document_frequency(count, size)
        matches.append(_Match(word, index.find_phrase(word.phrase) if count else [], weight))
    return matches


def _sum_weights(matches: Iterable[_Match]) -> dict[int, float]:
    weights: defaultdict[int, float] = defaultdict(float)
    for match in matches:
        for number in match.moments:
            weights[number] += match.weight
    return weights


def _best(scores: dict[int, float], candidates: Iterable[int], depth: int) -> list[int]:
    return sorted(candidates, key=lambda number: (-scores[number], number))[:depth]


def _nearest(index: LocalIndex, candidates: Sequence[int], embedding: Sequence[float], depth: int) -> list[int]:
    numbers, matrix = index.vectors(candidates)
    if not numbers:
        return []
    # Not `matrix @ vector`: BLAS would wake all cores for 0.1 ms of work.
    cosines = np.einsum("ij,j->i", matrix, np.asarray(embedding, dtype=np.float32))
    order = np.argsort(-cosines, kind="stable")
    return [numbers[position] for position in order[:depth]]


def _nearest_of_all(index: LocalIndex, embedding: Sequence[float], depth: int, condition: Filter) -> list[int]:
    """Compare all matching moments in chunks: few of the nearest moments match, so Chroma's index does not help."""
    candidates = index.find(condition, index.size())
    best: list[int] = []
    for first in range(0, len(candidates), EXACT_LIMIT):
        best = _nearest(index, [*best, *candidates[first : first + EXACT_LIMIT]], embedding, depth)
    return best
