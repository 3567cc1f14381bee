"""Search without a local index: Chroma finds candidates, which are then ranked as in a local index.

It suits stores that are too large to copy, and processes that search once. Frames are not compared: their vectors are
on pages, which Chroma does not search.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from langchain_core.documents import Document
from langchain_core.utils.iter import batch_iterate

from langchain_videochat.errors import InputError
from langchain_videochat.perception.modalities import list_modalities
from langchain_videochat.store.candidate_index import StoredMoment, candidate_snapshot
from langchain_videochat.store.connection import Connection
from langchain_videochat.store.embedding_check import EmbeddingCheck
from langchain_videochat.store.filters import Filter, TimeBound
from langchain_videochat.store.hits import TimedWords
from langchain_videochat.store.observation_vectors import read_query
from langchain_videochat.store.queries import VISUAL, SearchInput
from langchain_videochat.store.quotas import MAX_LISTED, MAX_PREDICATES, MAX_RECORDS
from langchain_videochat.store.saving import StoreCollections
from langchain_videochat.store.search import AROUND_SECONDS, Diversity, Query, search
from langchain_videochat.store.server_filters import Where, to_wheres
from langchain_videochat.store.similarity_scale import unrelated_similarity
from langchain_videochat.store.time_order import TimeOrder
from langchain_videochat.store.words import query_words

CANDIDATES = 50
"""Minimum number of moments that are ranked: those that are nearest to the query."""

CODE_CANDIDATES = 10
"""Number of the nearest moments that contain a code of the query; they are ranked too."""

MAX_CODE_LENGTH = 100
"""Characters of a code that Chroma looks for."""

Key = tuple[str, float]
"""A moment: its video, and its start in seconds."""

_INCLUDE: Any = ["documents", "metadatas", "embeddings"]


class ServerSearch:
    """Searches the moments of a store in Chroma.

    Args:
        collections: The collections of the store.
        connection: Their client.
        check: Checks the embedding model.
    """

    def __init__(self, collections: StoreCollections, connection: Connection, check: EmbeddingCheck) -> None:
        self._collections = collections
        self._connection = connection
        self._check = check
        self._moments: Any = collections.moment_records

    def modalities(self) -> set[str]:
        """Return the names of all modalities that are known: those of plugins only if they are installed."""
        return {one.name for one in list_modalities()}

    def search(
        self,
        given: SearchInput,
        k: int,
        condition: Filter,
        diversity: Diversity,
        min_score: float,
        order: TimeOrder | None = None,
    ) -> list[Document]:
        """Find the moments with the highest scores; the arguments are those of `search.search`.

        Raises:
            InputError: Frames are to be compared.
        """
        _check_input(given, condition)
        if condition.modalities is not None:
            condition.check_modalities(self.modalities())
        with self._connection.errors():
            self._check.run()
            text = given.text or ""
            query = Query(text, read_query(self._collections.embedding.embed_query(text)), self._unrelated)
            with candidate_snapshot(self._collections, self._find(query, k, condition, diversity, order)) as index:
                if index.size() == 0:
                    return []
                return search(
                    index, query, k=k, condition=condition, diversity=diversity, min_score=min_score, order=order
                )

    def neighbors(self, keys: Sequence[Key]) -> list[Document]:
        """Return the moments directly before and after the given moments, which may be among them."""
        with self._connection.errors():
            given = self._find_moments(keys)
            adjacent = (one.with_number(one.number + step) for one in given.values() for step in (-1, 1))
            with candidate_snapshot(self._collections, given | self._get_moments(adjacent)) as index:
                return index.documents(index.neighbors(keys))

    def timed_words(self, keys: Sequence[Key]) -> list[list[TimedWords]]:
        """Return the words of the observations of each moment; none if it does not exist."""
        with self._connection.errors(), candidate_snapshot(self._collections, self._find_moments(keys)) as index:
            return [index.timed_words(*key) for key in keys]

    def _find(
        self, query: Query, k: int, condition: Filter, diversity: Diversity, order: TimeOrder | None
    ) -> dict[str, StoredMoment]:
        """Return the moments that are ranked."""
        narrowed = condition if order is None else order.narrow(condition)
        nearest = max(CANDIDATES, 2 * diversity.candidates(k))
        found = self._find_nearest(query, narrowed, nearest)
        if codes := _find_codes(query.text):
            found |= self._find_nearest(query, narrowed, CODE_CANDIDATES, containing=codes)
        # Around anchors, moments may match the query too little to be among the nearest.
        for around in _around(order, condition):
            found |= self._find_nearest(query, around, CANDIDATES)
        return found

    def _find_nearest(
        self, query: Query, condition: Filter, count: int, containing: Sequence[str] = ()
    ) -> dict[str, StoredMoment]:
        """Return the moments that are nearest to a query, among those that match a condition and contain a code."""
        found: dict[str, StoredMoment] = {}
        for where in to_wheres(condition):
            # One call after the other: Chroma Cloud allows ten at once in a collection, from all clients.
            result = self._moments.query(
                query_embeddings=[query.embedding],
                n_results=min(count, MAX_RECORDS),
                where=where,
                where_document=_any_of(containing),
                include=_INCLUDE,
            )
            found |= _read({key: rows[0] for key, rows in result.items() if key in ("ids", *_INCLUDE)})
        return found

    def _find_moments(self, keys: Iterable[Key]) -> dict[str, StoredMoment]:
        """Return the moments with these keys, and perhaps others that start at the same times."""
        found: dict[str, StoredMoment] = {}
        for batch in batch_iterate(MAX_LISTED, keys):
            video_ids, starts = ({"$in": list(dict.fromkeys(values))} for values in zip(*batch, strict=True))
            where = {"$and": [{"video_id": video_ids}, {"start": starts}]}
            found |= _read(self._moments.get(where=where, limit=MAX_RECORDS, include=_INCLUDE))
        return found

    def _get_moments(self, ids: Iterable[str]) -> dict[str, StoredMoment]:
        found: dict[str, StoredMoment] = {}
        for batch in batch_iterate(MAX_RECORDS, ids):
            found |= _read(self._moments.get(ids=batch, include=_INCLUDE))
        return found

    @cached_property
    def _unrelated(self) -> float:
        return unrelated_similarity(self._collections.embedding)


def _read(found: Mapping[str, Any]) -> dict[str, StoredMoment]:
    rows = zip(found["ids"], found["documents"], found["metadatas"], found["embeddings"], strict=True)
    return {row[0]: StoredMoment(*row) for row in rows}


def _check_input(given: SearchInput, condition: Filter) -> None:
    name = "image" if given.picture is not None else "like" if given.like is not None else None
    if name is None and condition.modalities == (VISUAL,):
        name = "modalities"
    if name is not None:
        problem = "frames cannot be compared without a local index"
        raise InputError(name, problem, "Open the store without local_index=False")


def _find_codes(text: str) -> list[str]:
    """Return the codes, numbers and acronyms in a search text, as they are written."""
    words = (one.strip(".,;:?!()[]\"'") for one in text.split())
    # The word before keeps a code from being taken for a text in capitals.
    codes = [one for one in words if any(word.is_code for word in query_words(f"a {one}"))]
    return [one[:MAX_CODE_LENGTH] for one in dict.fromkeys(codes)][:MAX_PREDICATES]


def _any_of(codes: Sequence[str]) -> Where | None:
    clauses = [{"$contains": one} for one in codes]
    return {"$or": clauses} if len(clauses) > 1 else clauses[0] if clauses else None


def _around(order: TimeOrder | None, condition: Filter) -> Iterator[Filter]:
    """Return filters for the moments around the anchors of an order."""
    anchors = [] if order is None else [*(order.after or ()), *(order.before or ())]
    for anchor in anchors:
        start, end = anchor.interval.start - AROUND_SECONDS, anchor.interval.end + AROUND_SECONDS
        bounds = (TimeBound("end", ">", start), TimeBound("start", "<", end))
        yield condition.narrow(video_ids=[anchor.video_id], bounds=bounds)
