"""Reading a local index: connections, and the signs in memory that belong to what a transaction sees."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from langchain_videochat.store.frame_index import PRESELECTION, FrameIndex
from langchain_videochat.store.index_database import connect, file_identity
from langchain_videochat.store.index_rows import read_center
from langchain_videochat.store.index_snapshot import IndexSnapshot, read_sample
from langchain_videochat.store.resident_signs import ResidentSigns, SignTable, read_position
from langchain_videochat.store.sign_file import Position
from langchain_videochat.store.sign_index import SignIndex

MAX_IDLE = 4
"""Connections that are kept for later searches."""

_TEXTS = SignTable("signs", "SELECT dimensions FROM vectors LIMIT 1")
_FRAMES = SignTable("frame_signs", "SELECT length(vector) / 4 FROM frame_center", PRESELECTION)


class IndexReplacedError(Exception):
    """The file of a local index was deleted, or replaced by another one."""


class IndexReader:
    """Opens snapshots of a local index. Safe for use from several threads.

    Args:
        path: The database file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything that was read: the file has been replaced."""
        with self._lock:
            self._idle: list[sqlite3.Connection] = []
            self._process = os.getpid()
            self._identity = file_identity(self._path)
            self._texts = ResidentSigns(_TEXTS, Path(f"{self._path}.signs"))
            self._frames = ResidentSigns(_FRAMES, Path(f"{self._path}.frame-signs"))
            self._frame_index: FrameIndex | None = None

    @contextmanager
    def snapshot(self) -> Iterator[IndexSnapshot]:
        """Open a snapshot, which does not change while others write.

        Raises:
            IndexReplacedError: The index is another one than at the last `reset`.
        """
        with self._connection() as database:
            with self._lock:
                # In this order: a transaction must not be older than the signs in memory.
                database.execute("BEGIN")
                position = read_position(database)
                texts = self._texts.follow(database, position)
                frames = self._follow_frames(database, position)
            yield IndexSnapshot(database, texts, frames)

    def pack(self) -> None:
        """Pack the signs in memory and write their files, if that is due; call it while no other process does."""
        for signs in (self._texts, self._frames):
            if signs.should_pack:
                with self._connection() as database, self._lock:
                    database.execute("BEGIN")
                    position = read_position(database)
                    signs.read_file(database, position)  # Another process may have packed.
                    index = signs.follow(database, position)
            if signs.should_pack:
                block = index.pack()
                signs.write_file(block, position)
                with self._lock:
                    signs.replace(block, position)

    def _follow_frames(self, database: sqlite3.Connection, position: Position) -> FrameIndex | None:
        center = read_center(database)
        signs = SignIndex(()) if center is None else self._frames.follow(database, position)
        known = self._frame_index
        if center is None or not signs.moments:
            self._frame_index = None
        elif known is None or not known.is_sample_of(signs):
            self._frame_index = FrameIndex(signs, center, read_sample(database, signs), signs.moments)
        elif known.signs is not signs:
            self._frame_index = replace(known, signs=signs)
        return self._frame_index

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        database = self._take()
        try:
            yield database
        finally:
            if database.in_transaction:
                database.execute("ROLLBACK")
            with self._lock:
                if len(self._idle) < MAX_IDLE and self._is_current():
                    self._idle.append(database)

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            if not self._is_current():
                raise IndexReplacedError
            if self._idle:
                return self._idle.pop()
        return connect(self._path)

    def _is_current(self) -> bool:
        # SQLite's connections must not be used in a forked process.
        return file_identity(self._path) == self._identity and os.getpid() == self._process
