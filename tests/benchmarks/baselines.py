"""Textbook search, to compare with: embeddings alone, words alone, and both by reciprocal rank fusion."""

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

import numpy as np
import regex
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

RANK_CONSTANT = 60
"""Constant of reciprocal rank fusion, as in the paper (Cormack et al. 2009)."""


@dataclass(frozen=True)
class ScoredMoment:
    """A moment that was found, and how well it matches: more is better."""

    moment: Document
    score: float


class CachedEmbeddings(Embeddings):
    """Embeds each text once, because several searches share a model."""

    def __init__(self, embedding: Embeddings) -> None:
        self._embedding = embedding
        self._vectors: dict[str, list[float]] = {}
        self._embed_query = cache(embedding.embed_query)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        self._vectors |= zip(missing, self._embedding.embed_documents(missing), strict=True)
        return [self._vectors[text] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Embed a query."""
        return self._embed_query(text)


class EmbeddingIndex:
    """The moments of a collection, ranked by the cosine similarity of their embeddings.

    They are compared one by one: Chroma's index is built at random, and results would differ from run to run.
    """

    def __init__(self, moments: list[Document], embedding: Embeddings) -> None:
        self._moments = moments
        matrix = np.array(embedding.embed_documents([moment.page_content for moment in moments]))
        self._matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
        self._embedding = embedding

    def search(self, query: str, k: int, video_ids: Collection[str] = ()) -> list[ScoredMoment]:
        """Search moments with a similar meaning, in some videos or all."""
        vector = np.array(self._embedding.embed_query(query))
        cosines = self._matrix @ (vector / np.linalg.norm(vector))
        order = np.argsort(-cosines, kind="stable")
        return _first(k, (ScoredMoment(self._moments[one], float(cosines[one])) for one in order), video_ids)


class WordIndex:
    """The moments of a collection, ranked by SQLite's BM25 of their stemmed words."""

    def __init__(self, moments: list[Document]) -> None:
        self._moments = moments
        self._database = sqlite3.connect(":memory:")
        self._database.execute("CREATE VIRTUAL TABLE moments USING fts5 (text, tokenize = 'porter unicode61')")
        rows = ((number, moment.page_content) for number, moment in enumerate(moments))
        self._database.executemany("INSERT INTO moments (rowid, text) VALUES (?, ?)", rows)

    def search(self, query: str, k: int, video_ids: Collection[str] = ()) -> list[ScoredMoment]:
        """Search moments with any word of a query, in some videos or all."""
        # With marks, because SQLite splits words at the vowel signs of Hindi; it finds the parts as a phrase.
        words = regex.findall(r"[\p{L}\p{M}\p{N}]+", query)
        match = " OR ".join(f'"{word}"' for word in words)
        # SQLite's BM25 is negative, so that the best match comes first.
        statement = "SELECT rowid, -bm25(moments) FROM moments WHERE moments MATCH ? ORDER BY bm25(moments), rowid"
        rows = self._database.execute(statement, (match,))
        return _first(k, (ScoredMoment(self._moments[number], score) for number, score in rows), video_ids)


def fuse(rankings: Iterable[Sequence[ScoredMoment]]) -> list[ScoredMoment]:
    """Merge rankings by reciprocal rank fusion."""
    moments: dict[str, Document] = {}
    scores: defaultdict[str, float] = defaultdict(float)
    for ranking in rankings:
        for rank, one in enumerate(ranking, start=1):
            key = one.moment.metadata["document_id"]
            moments[key] = one.moment
            scores[key] += 1 / (RANK_CONSTANT + rank)
    best = sorted(scores, key=lambda key: -scores[key])
    return [ScoredMoment(moments[key], scores[key]) for key in best]


def _first(k: int, ranking: Iterable[ScoredMoment], video_ids: Collection[str]) -> list[ScoredMoment]:
    """Return the best `k` moments of some videos, or of all if none are given."""
    return list(islice((one for one in ranking if not video_ids or one.moment.metadata["video_id"] in video_ids), k))
