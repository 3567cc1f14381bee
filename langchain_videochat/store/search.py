"""Hybrid search: one ranking of moments by embedding and by words."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from chromadb import Collection
from langchain_core.documents import Document
from langchain_core.utils.iter import batch_iterate

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

WORD_BUDGET = 1000
"""Maximum number of matches of all words of a query; the most common words are skipped beyond it."""

RANK_CONSTANT = 1
"""Constant of reciprocal rank fusion. The paper's 60 (Cormack et al. 2009) suits rankings of a thousand; with short
rankings it prefers moments that are low in all of them to the first of one."""


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
    index: LocalIndex, moments: Collection, query: str, embedding: Sequence[float], *, k: int, condition: Filter
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

    Returns:
        Moments, best first. In their metadata, `hit_start`, `hit_end` and `citation` refer to the observations that the
        query is about.
    """
    depth = max(20, 2 * k)
    dense = rank_by_embedding(index, moments, embedding, k=k, depth=depth, condition=condition)
    words = rank_by_words(index, query, depth, condition)
    rankings = [(1 - words.coverage, dense), (words.coverage, words.moments), (1.0, words.by_name)]
    return [hit.with_times() for hit in _select(index, fuse(rankings), k, words.informative_words, condition)]


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


def fuse(rankings: Iterable[tuple[float, Sequence[int]]]) -> list[int]:
    """Merge rankings, each given with its weight, by reciprocal rank fusion, best first.

    Example:
        >>> fuse([(0.5, [1, 2, 3]), (0.5, [3, 1])])
        [1, 3, 2]
    """
    scores: defaultdict[int, float] = defaultdict(float)
    for weight, ranking in rankings:
        for rank, number in enumerate(ranking, start=1):
            scores[number] += weight / (RANK_CONSTANT + rank)
    return sorted(scores, key=lambda number: -scores[number])


def _select(
    index: LocalIndex, ranking: Iterable[int], k: int, weights: dict[str, float], condition: Filter
) -> list[SearchHit]:
    """Return the first `k` moments of a ranking, without those that repeat a better one."""
    hits: list[SearchHit] = []
    for batch in batch_iterate(k, ranking):
        for document, observations in index.moments(batch):
            hit = SearchHit(document, [one for one in observations if one.matches(condition)], weights)
            if not any(hit.repeats(other) for other in hits):
                hits.append(hit)
        if len(hits) >= k:
            break
    return hits[:k]


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
