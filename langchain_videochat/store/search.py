"""Hybrid search: the nearest moments by embedding and the best by words, in one ranking."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from chromadb import Collection

from langchain_videochat.store.filters import Filter
from langchain_videochat.store.local_index import LocalIndex
from langchain_videochat.store.words import QueryWord, query_words

EXACT_LIMIT = 1500
"""Moments among which the nearest are found by comparing all: 3 ms, where a filtered query of Chroma takes 100 ms."""

COUNT_LIMIT = 10_000
"""How far the moments that a filter lets pass are counted, to know how many neighbours to ask Chroma for: in 0.4 ms."""

WORD_BUDGET = 1000
"""Moments that the query's words may lead to. The commonest words, which tell the least, are left out for it."""

RANK_CONSTANT = 1
"""Of reciprocal rank fusion. The 60 of its paper (Cormack et al. 2009) suits rankings of a thousand: of our few, it
puts what is low in all of them before what is first in one."""


@dataclass(frozen=True)
class WordRanking:
    """What a query's words tell."""

    moments: list[int]
    """Ranked by the share of the query that they hold, in which a rare word counts for more."""

    by_name: list[int]
    """The same by names alone: codes, numbers and rare words, which are meant as spelled."""

    coverage: float
    """The share of the query that the first moment holds, 0 to 1: little where the query says it in other words."""


@dataclass(frozen=True)
class _Match:
    """A word of the query, and the moments that hold it."""

    word: QueryWord
    moments: list[int]
    weight: float


def search(
    index: LocalIndex, moments: Collection, query: str, embedding: Sequence[float], *, k: int, condition: Filter
) -> list[int]:
    """Rank moments.

    Args:
        index: Words, times and vectors.
        moments: The collection in Chroma that `index` was made from.
        query: What is looked for.
        embedding: The query's embedding.
        k: How many moments to return.
        condition: Which moments may be found.

    Returns:
        Numbers of moments in `index`, best first.
    """
    depth = max(20, 2 * k)
    dense = rank_by_embedding(index, moments, embedding, k=k, depth=depth, condition=condition)
    words = rank_by_words(index, query, depth, condition)
    rankings = [(1 - words.coverage, dense), (words.coverage, words.moments), (1.0, words.by_name)]
    return fuse(rankings)[:k]


def rank_by_embedding(
    index: LocalIndex, moments: Collection, embedding: Sequence[float], *, k: int, depth: int, condition: Filter
) -> list[int]:
    """Rank moments by the cosine of their embeddings, exactly among few, by Chroma's HNSW index among many."""
    is_open = condition == Filter()
    candidates = index.count(condition, COUNT_LIMIT)
    if candidates <= EXACT_LIMIT:
        return _nearest(index, index.find(condition, EXACT_LIMIT), embedding, depth)
    # As many neighbours as let twice k of them pass, if those that pass lie evenly.
    fetched = depth if is_open else max(depth, math.ceil(2 * k * index.size() / candidates))
    found = moments.query(query_embeddings=[embedding], n_results=fetched, include=["distances"])
    passing = index.resolve(found["ids"][0], condition)[:depth]
    return passing if len(passing) >= k else _nearest_of_all(index, embedding, depth, condition)


def rank_by_words(index: LocalIndex, query: str, depth: int, condition: Filter) -> WordRanking:
    """Rank moments by the query's words."""
    matches = _look_up(index, query)
    # 10 of 100 moments, 100 of 10,000: what looks like a name and is this rare tells what is meant; any other word
    # must be ten times as rare.
    rare = math.sqrt(index.size())
    names = [match for match in matches if len(match.moments) <= (rare if match.word.named else rare / 10)]
    held = _held(matches)
    passing = held.keys() if condition == Filter() else index.sift(held, condition)
    moments = _best(held, passing, depth)
    held_names = _held(names)
    by_name = _best(held_names, held_names.keys() & passing, depth)
    coverage = held[moments[0]] / sum(match.weight for match in matches) if moments else 0.0
    return WordRanking(moments, by_name, coverage)


def fuse(rankings: Iterable[tuple[float, Sequence[int]]]) -> list[int]:
    """Join rankings by the sum of reciprocal ranks, best first.

    Args:
        rankings: Each with its weight.

    Example:
        >>> fuse([(0.5, [1, 2, 3]), (0.5, [3, 1])])
        [1, 3, 2]
    """
    scores: defaultdict[int, float] = defaultdict(float)
    for weight, ranking in rankings:
        for rank, number in enumerate(ranking, start=1):
            scores[number] += weight / (RANK_CONSTANT + rank)
    return sorted(scores, key=lambda number: -scores[number])


def _look_up(index: LocalIndex, query: str) -> list[_Match]:
    counts = {word: index.count_phrase(word.phrase, WORD_BUDGET + 1) for word in query_words(query)}
    size, total = index.size(), 0
    matches = []
    for word, count in sorted(counts.items(), key=lambda item: item[1]):
        total += count
        if total > WORD_BUDGET:
            break
        # The inverse document frequency. A word that is nowhere weighs most: the query is not covered without it.
        weight = math.log(1 + size / (count + 0.5))
        matches.append(_Match(word, index.find_phrase(word.phrase) if count else [], weight))
    return matches


def _held(matches: Iterable[_Match]) -> dict[int, float]:
    """Add up the weights of the words that each moment holds."""
    held: defaultdict[int, float] = defaultdict(float)
    for match in matches:
        for number in match.moments:
            held[number] += match.weight
    return held


def _best(held: dict[int, float], passing: Iterable[int], depth: int) -> list[int]:
    return sorted(passing, key=lambda number: (-held[number], number))[:depth]


def _nearest(index: LocalIndex, candidates: Sequence[int], embedding: Sequence[float], depth: int) -> list[int]:
    numbers, matrix = index.vectors(candidates)
    if not numbers:
        return []
    # Not `matrix @ vector`: BLAS would wake all cores for a tenth of a millisecond's work.
    cosines = np.einsum("ij,j->i", matrix, np.asarray(embedding, dtype=np.float32))
    order = np.argsort(-cosines, kind="stable")
    return [numbers[place] for place in order[:depth]]


def _nearest_of_all(index: LocalIndex, embedding: Sequence[float], depth: int, condition: Filter) -> list[int]:
    """Compare all moments that pass, some at a time: what is near passes seldom, so an index does not help."""
    candidates = index.find(condition, index.size())
    best: list[int] = []
    for first in range(0, len(candidates), EXACT_LIMIT):
        best = _nearest(index, [*best, *candidates[first : first + EXACT_LIMIT]], embedding, depth)
    return best
