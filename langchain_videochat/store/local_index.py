"""The word, time and vector index of a store: an SQLite database that can be rebuilt from Chroma at any time."""

import json
import os
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document
from numpy.typing import NDArray

from langchain_videochat.perception.observation import MODALITIES
from langchain_videochat.store.filters import Filter, check_stretch
from langchain_videochat.store.words import index_text

CACHE_KIB = 65536
"""The most memory that SQLite keeps pages in: with its own 2 MB, 2,000 scattered vectors take twice as long."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (token TEXT);
CREATE TABLE IF NOT EXISTS videos (video_id TEXT PRIMARY KEY, revision TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS moments (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, video_id TEXT NOT NULL, start REAL NOT NULL,
    "end" REAL NOT NULL, modalities INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS moments_by_video ON moments (video_id, start, "end", modalities);
CREATE INDEX IF NOT EXISTS moments_by_time ON moments (start, "end", modalities);
CREATE INDEX IF NOT EXISTS moments_by_length ON moments ("end" - start);
CREATE INDEX IF NOT EXISTS moments_by_modalities ON moments (modalities);
-- Apart from the moments, so that filtering reads small rows only.
CREATE TABLE IF NOT EXISTS documents (number INTEGER PRIMARY KEY, text TEXT NOT NULL, metadata TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS vectors (number INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (text, tokenize = 'unicode61 remove_diacritics 2');
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, video_id TEXT NOT NULL
);
"""

SCHEMA_VERSION = zlib.crc32(_SCHEMA.encode()) >> 1
"""A file with another schema is rebuilt; change the schema's text also where `index_text` changes."""

# The different sets of modalities, found by as many look-ups in the index rather than by reading all moments.
_MODALITY_SETS = """modalities IN (
    WITH RECURSIVE sets (members) AS (
        SELECT min(modalities) FROM moments UNION ALL
        SELECT (SELECT min(modalities) FROM moments WHERE modalities > members) FROM sets WHERE members IS NOT NULL
    ) SELECT members FROM sets WHERE members & ?)"""

_SAME_VIDEO = "video_id = json_extract(value, '$[0]')"
_GIVEN_START = "json_extract(value, '$[1]')"


@dataclass(frozen=True)
class IndexedMoment:
    """A moment as it stands in Chroma."""

    id: str
    document: Document
    vector: NDArray[np.float32]


class LocalIndex:
    """Moments by number, time, video, modality and word, for one machine.

    Safe to use from several threads and processes. All times are in seconds.

    Args:
        path: The database's file; one in memory if None. A file that is damaged or of another version is replaced.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._database = _open(path)

    def token(self) -> str | None:
        """The catalogue's token at the time up to which this index is complete."""
        rows = self._select("SELECT token FROM state")
        return rows[0][0] if rows else None

    def remember_token(self, token: str | None) -> None:
        """Note that everything up to this token is in the index."""
        with self._writing() as database:
            database.execute("DELETE FROM state")
            database.execute("INSERT INTO state VALUES (?)", (token,))

    def revisions(self) -> dict[str, str]:
        """The videos of the index, and which revision of each."""
        return dict(self._select("SELECT video_id, revision FROM videos"))

    def put_video(self, video_id: str, revision: str, moments: Iterable[IndexedMoment]) -> None:
        """Take in all moments of a video, at once for all readers, in place of those that were there."""
        with self._writing() as database:
            _delete_video(database, video_id)
            database.execute("INSERT INTO videos VALUES (?, ?)", (video_id, revision))
            for moment in moments:
                _insert_moment(database, video_id, moment)

    def delete_video(self, video_id: str) -> None:
        """Forget a video."""
        with self._writing() as database:
            _delete_video(database, video_id)

    def find(self, condition: Filter, limit: int) -> list[int]:
        """Find the numbers of moments that a filter lets pass, `limit` of them at most."""
        where, values = _where(condition)
        query = f"SELECT number FROM moments WHERE {where} LIMIT ?"  # noqa: S608 - `where` has placeholders only
        return [number for (number,) in self._select(query, *values, limit)]

    def count(self, condition: Filter, limit: int) -> int:
        """Count the moments that a filter lets pass, up to `limit`."""
        where, values = _where(condition)
        query = f"SELECT count(*) FROM (SELECT 1 FROM moments WHERE {where} LIMIT ?)"  # noqa: S608
        return int(self._select(query, *values, limit)[0][0])

    def resolve(self, ids: Sequence[str], condition: Filter) -> list[int]:
        """Turn ids into numbers, in the same order, leaving out unknown ones and those that a filter keeps back."""
        where, values = _where(condition, by_number=True)
        query = f"SELECT id, number FROM moments WHERE id IN (SELECT value FROM json_each(?)) AND {where}"  # noqa: S608
        numbers = dict(self._select(query, json.dumps(ids), *values))
        return [numbers[moment_id] for moment_id in ids if moment_id in numbers]

    def vectors(self, numbers: Sequence[int]) -> tuple[list[int], NDArray[np.float32]]:
        """Read the vectors of some moments, each of length 1, with their numbers."""
        query = "SELECT number, vector FROM vectors WHERE number IN (SELECT value FROM json_each(?))"
        rows = self._select(query, json.dumps(numbers))
        matrix = np.frombuffer(b"".join(vector for _, vector in rows), np.float32)
        return [number for number, _ in rows], matrix.reshape(len(rows), -1) if rows else matrix

    def count_phrase(self, phrase: str, limit: int) -> int:
        """Count the moments with a phrase, up to `limit`."""
        query = "SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT ?)"
        return int(self._select(query, phrase, limit)[0][0])

    def find_phrase(self, phrase: str) -> list[int]:
        """Find the numbers of the moments with a phrase."""
        query = "SELECT json_group_array(rowid) FROM words WHERE words MATCH ?"  # half the time of as many rows
        return list(json.loads(self._select(query, phrase)[0][0]))

    def sift(self, numbers: Iterable[int], condition: Filter) -> set[int]:
        """Keep those numbers whose moments a filter lets pass."""
        where, values = _where(condition, by_number=True)
        query = f"SELECT number FROM moments WHERE number IN (SELECT value FROM json_each(?)) AND {where}"  # noqa: S608
        return {number for (number,) in self._select(query, json.dumps(list(numbers)), *values)}

    def neighbours(self, moments: Iterable[tuple[str, float]]) -> list[int]:
        """Find the numbers of the moments right before and right after others, given by video and start."""
        query = f"""SELECT
            (SELECT number FROM moments WHERE {_SAME_VIDEO} AND start < {_GIVEN_START} ORDER BY start DESC LIMIT 1),
            (SELECT number FROM moments WHERE {_SAME_VIDEO} AND start > {_GIVEN_START} ORDER BY start LIMIT 1)
            FROM json_each(?)"""  # noqa: S608 - constants
        rows = self._select(query, json.dumps(list(moments)))
        return [number for row in rows for number in row if number is not None]

    def size(self) -> int:
        """About how many moments there are: the highest number."""
        return int(self._select("SELECT coalesce(max(number), 0) FROM moments")[0][0])

    def documents(self, numbers: Sequence[int]) -> list[Document]:
        """Read moments as Documents, in the order of the numbers."""
        query = "SELECT number, text, metadata FROM documents WHERE number IN (SELECT value FROM json_each(?))"
        rows = self._select(query, json.dumps(numbers))
        found = {number: Document(page_content=text, metadata=json.loads(metadata)) for number, text, metadata in rows}
        return [found[number] for number in numbers if number in found]

    def known_file(self, path: Path, size: int, mtime_ns: int) -> str | None:
        """The video_id of a file that has not changed since `remember_file`."""
        query = "SELECT video_id FROM files WHERE path = ? AND size = ? AND mtime_ns = ?"
        rows = self._select(query, os.fsencode(path), size, mtime_ns)
        return rows[0][0] if rows else None

    def remember_file(self, path: Path, size: int, mtime_ns: int, video_id: str) -> None:
        """Note the video_id of a file, so that a large file is read for it only once."""
        with self._writing() as database:
            database.execute(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", (os.fsencode(path), size, mtime_ns, video_id)
            )

    def rebuild(self) -> None:
        """Start again with an empty index."""
        with self._lock:
            self._database.close()
            _delete_file(self._path)
            self._database = _open(self._path)

    def _select(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            with self._database:
                yield self._database


def is_damage(error: sqlite3.Error) -> bool:
    """Tell whether an error means that the file itself is broken, so that only a rebuild helps."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _open(path: Path | None) -> sqlite3.Connection:
    if not _is_usable(path):
        _delete_file(path)
    database = _connect(path)
    database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    database.execute("PRAGMA journal_mode = WAL")
    # The lock, because two processes may open a new store at once.
    database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    return database


def _is_usable(path: Path | None) -> bool:
    database = _connect(path)
    try:
        return database.execute("PRAGMA user_version").fetchone()[0] in (0, SCHEMA_VERSION)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return False
    finally:
        database.close()


def _connect(path: Path | None) -> sqlite3.Connection:
    return sqlite3.connect(path or ":memory:", timeout=60, isolation_level=None, check_same_thread=False)


def _delete_file(path: Path | None) -> None:
    for ending in ("", "-wal", "-shm") if path else ():
        Path(f"{path}{ending}").unlink(missing_ok=True)


def _delete_video(database: sqlite3.Connection, video_id: str) -> None:
    rows = database.execute("SELECT number FROM moments WHERE video_id = ?", (video_id,)).fetchall()
    for table, key in (("words", "rowid"), ("vectors", "number"), ("documents", "number"), ("moments", "number")):
        database.executemany(f"DELETE FROM {table} WHERE {key} = ?", rows)  # noqa: S608
    database.execute("DELETE FROM videos WHERE video_id = ?", (video_id,))


def _insert_moment(database: sqlite3.Connection, video_id: str, moment: IndexedMoment) -> None:
    text, metadata = moment.document.page_content, moment.document.metadata
    modalities = _members(metadata["modalities"].split(","))
    number = database.execute(
        'INSERT INTO moments (id, video_id, start, "end", modalities) VALUES (?, ?, ?, ?, ?)',
        (moment.id, video_id, metadata["start"], metadata["end"], modalities),
    ).lastrowid
    vector = moment.vector / (np.linalg.norm(moment.vector) or 1.0)
    database.execute("INSERT INTO vectors VALUES (?, ?)", (number, vector.astype(np.float32).tobytes()))
    database.execute("INSERT INTO documents VALUES (?, ?, ?)", (number, text, json.dumps(metadata, sort_keys=True)))
    database.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (number, index_text(text)))


def _members(modalities: Iterable[str]) -> int:
    """Write a set of modalities as a number with one bit for each."""
    return sum(1 << bit for bit, modality in enumerate(MODALITIES) if modality in modalities)


def _where(condition: Filter, *, by_number: bool = False) -> tuple[str, list[object]]:
    """Write a filter in SQL.

    Args:
        condition: The filter.
        by_number: The moments are looked up by number or id, and the filter is only to check them: a plus sign before
            a column keeps SQLite from using its index.
    """
    plus = "+" if by_number else ""
    clauses: list[str] = []
    values: list[object] = []
    if condition.video_ids is not None:
        clauses.append(f"{plus}video_id IN ({', '.join('?' * len(condition.video_ids))})")
        values += condition.video_ids
    if condition.start is not None or condition.end is not None:
        low, high = check_stretch(condition.start, condition.end)
        # The second clause follows from the third: it bounds the part of the index that is read.
        longest = '(SELECT max("end" - start) FROM moments)'
        clauses += [f"{plus}start < ?", f"{plus}start >= ? - {longest} - 0.001", '(+"end" > ? OR +start >= ?)']
        values += [high, low, low, low]
    if condition.modalities is not None:
        # Beside another condition, or where only single moments are checked, the sets would cost more than they save.
        clauses.append("+modalities & ?" if clauses or by_number else _MODALITY_SETS)
        values.append(_members(condition.modalities))
    return " AND ".join(clauses) or "TRUE", values
