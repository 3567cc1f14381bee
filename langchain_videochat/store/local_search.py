"""Search in the local index, which follows the catalogue."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

from langchain_core.documents import Document

from langchain_videochat.store.connection import Connection
from langchain_videochat.store.embedding_check import EmbeddingCheck
from langchain_videochat.store.filters import Filter
from langchain_videochat.store.hits import TimedWords
from langchain_videochat.store.index_database import is_damage
from langchain_videochat.store.index_follower import IndexFollower
from langchain_videochat.store.index_reader import IndexReader, IndexReplacedError
from langchain_videochat.store.index_snapshot import IndexSnapshot
from langchain_videochat.store.index_updates import update_index
from langchain_videochat.store.local_index import LocalIndex
from langchain_videochat.store.own_writes import writes
from langchain_videochat.store.queries import QueryBuilder, SearchInput
from langchain_videochat.store.saving import StoreCollections
from langchain_videochat.store.search import Diversity, search
from langchain_videochat.store.time_order import TimeOrder

T = TypeVar("T")


class LocalSearch:
    """Searches snapshots of the local index.

    A search sees all that this process has written before, and what others had written a second before. The first
    search, and the first after a pause, updates the index itself, so that it sees everything.

    Args:
        index: The local index.
        collections: The collections that it holds copies of.
        connection: The client of the collections.
        check: Checks the embedding model.
        queries: Embeds what is searched for.
    """

    def __init__(
        self,
        index: LocalIndex,
        collections: StoreCollections,
        connection: Connection,
        check: EmbeddingCheck,
        queries: QueryBuilder,
    ) -> None:
        self._index = index
        self._collections = collections
        self._connection = connection
        self._check = check
        self._queries = queries
        self._reader = IndexReader(index.path)
        self._follower = IndexFollower(self._update, lambda: writes(connection.catalogue.id))
        index.pause = self._follower.pause

    def search(
        self,
        given: SearchInput,
        k: int,
        condition: Filter,
        diversity: Diversity,
        min_score: float,
        order: TimeOrder | None,
    ) -> list[Document]:
        """Find the moments with the highest scores: see `search.search`.

        Raises:
            InputError: A modality of the filter is unknown, or `given` names a frame that was not embedded.
            StoreError: The store cannot be read, or was built with another embedding model.
        """

        def find(index: IndexSnapshot) -> list[Document]:
            if condition.modalities is not None:
                condition.check_modalities(index.modalities())
            if index.size() == 0:
                return []
            query = self._queries.build(index, given, condition)
            return search(index, query, k=k, condition=condition, diversity=diversity, min_score=min_score, order=order)

        if not self._check.passed:
            with self._connection.errors():
                self._check.run()  # before the local index is built, which can take long
        return self._read(find)

    def neighbors(self, keys: Sequence[tuple[str, float]]) -> list[Document]:
        """Return the moments directly before and after those with a video id and start in seconds."""
        return self._read(lambda index: index.documents(index.neighbors(keys)))

    def timed_words(self, keys: Sequence[tuple[str, float]]) -> list[list[TimedWords]]:
        """Return the words of the observations of the moments with a video id and start in seconds."""
        return self._read(lambda index: [index.timed_words(*key) for key in keys])

    def modalities(self) -> set[str]:
        """Return the names of all modalities in the index."""
        return self._read(IndexSnapshot.modalities)

    def _read(self, read: Callable[[IndexSnapshot], T]) -> T:
        self._follower.ensure_current()
        with self._connection.index_errors():
            try:
                return self._read_snapshot(read)
            except (sqlite3.DatabaseError, IndexReplacedError) as error:
                if not _can_repair(error):
                    raise
                self._repair(error)
            return self._read_snapshot(read)

    def _read_snapshot(self, read: Callable[[IndexSnapshot], T]) -> T:
        with self._follower.searching(), self._reader.snapshot() as index:
            return read(index)

    def _repair(self, error: Exception) -> None:
        if isinstance(error, sqlite3.DatabaseError):
            self._index.rebuild()
        self._follower.update()
        self._reader.reset()

    def _update(self) -> None:
        with self._connection.errors(), self._index.updating():
            try:
                update_index(self._index, self._collections)
                self._reader.pack()
            except (sqlite3.DatabaseError, IndexReplacedError) as error:
                if not _can_repair(error):
                    raise
                if isinstance(error, sqlite3.DatabaseError):
                    self._index.rebuild()
                self._reader.reset()
                update_index(self._index, self._collections)


def _can_repair(error: Exception) -> bool:
    return isinstance(error, IndexReplacedError) or (isinstance(error, sqlite3.Error) and is_damage(error))
