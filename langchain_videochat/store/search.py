"""Hybrid search: the nearest moments by embedding and the best by words, in one ranking."""

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from chromadb import Collection

from langchain_videochat.store.filters import Filter
from langchain_videochat.store.local_index import LocalIndex
from langchain_videochat.store.words import query_words

EXACT_LIMIT = 1500
"""Moments among which the nearest are found by comparing all: 3 ms, where a filtered query of Chroma takes 100 ms."""

COUNT_LIMIT = 4000
"""How far the moments that a filter lets pass are counted, to know how many neighbours to ask Chroma for."""

WORD_BUDGET = 1000
"""Moments that word ranking may look at. The commonest words, which tell the least, are left out for it."""

RANK_CONSTANT = 60
"""Of reciprocal rank fusion, as in its paper (Cormack et al. 2009)."""


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
    words, names = rank_by_words(index, query, depth, condition)
    return fuse(dense, words, names)[:k]


def rank_by_embedding(
    index: LocalIndex, moments: Collection, embedding: Sequence[float], *, k: int, depth: int, condition: Filter
) -> list[int]:
    """Rank moments by the cosine of their embeddings, exactly among few, by Chroma's HNSW index among many."""
    is_open = condition == Filter()
    candidates = index.find(condition, EXACT_LIMIT + 1 if is_open else COUNT_LIMIT)
    if len(candidates) <= EXACT_LIMIT:
        return _nearest(index, candidates, embedding, depth)
    # As many neighbours as let twice k of them pass, if those that pass lie evenly.
    fetched = depth if is_open else max(depth, math.ceil(2 * k * index.size() / len(candidates)))
    found = moments.query(query_embeddings=[embedding], n_results=fetched, include=["distances"])
    passing = index.resolve(found["ids"][0], condition)[:depth]
    return passing if len(passing) >= k else _nearest_of_all(index, embedding, depth, condition)


def rank_by_words(index: LocalIndex, query: str, depth: int, condition: Filter) -> tuple[list[int], list[int]]:
    """Rank moments by the query's words.

    Returns:
        The ranking by all words, and that by names alone: codes, numbers and rare words, which are meant as spelled.
    """
    counts = {word: index.count_phrase(word.phrase, WORD_BUDGET + 1) for word in query_words(query)}
    # 10 of 100 moments, 100 of 10,000: what looks like a name and is this rare tells what is meant; any other word
    # must be ten times as rare.
    rare = math.sqrt(index.size())
    phrases, names, total = [], [], 0
    for word, count in sorted(counts.items(), key=lambda item: item[1]):
        total += count
        if count == 0:
            continue
        if total > WORD_BUDGET:
            break
        phrases.append(word.phrase)
        if count <= (rare if word.named else rare / 10):
            names.append(word.phrase)
    by_words = _rank_phrases(index, phrases, condition, depth)
    return by_words, by_words if names == phrases else _rank_phrases(index, names, condition, depth)


def fuse(*rankings: Sequence[int]) -> list[int]:
    """Join rankings by the sum of reciprocal ranks, best first.

    Example:
        >>> fuse([1, 2, 3], [3, 1])
        [1, 3, 2]
    """
    scores: defaultdict[int, float] = defaultdict(float)
    for ranking in rankings:
        for rank, number in enumerate(ranking, start=1):
            scores[number] += 1 / (RANK_CONSTANT + rank)
    return sorted(scores, key=lambda number: -scores[number])


def _rank_phrases(index: LocalIndex, phrases: list[str], condition: Filter, depth: int) -> list[int]:
    return index.rank_phrases(phrases, condition, depth) if phrases else []


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
