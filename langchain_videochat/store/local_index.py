"""The local index of a store: an SQLite database of words, times, modalities and vectors.

It holds copies only and can be rebuilt from Chroma at any time.
"""

import json
import os
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from langchain_core.documents import Document
from numpy.typing import NDArray

from langchain_videochat.errors import VideoChatError
from langchain_videochat.media import local_path
from langchain_videochat.media.sources import is_remote_address
from langchain_videochat.store.addresses import VideoSource, choose_source, dump_sources, load_sources
from langchain_videochat.store.catalogue import VideoRecord
from langchain_videochat.store.filters import Filter
from langchain_videochat.store.frame_index import (
    PRESELECTION_SHARE,
    PRESELECTION_WORDS,
    SAMPLE_SIZE,
    FoundFrames,
    FrameIndex,
    FrameVectors,
    frame_signs,
)
from langchain_videochat.store.hits import TimedWords
from langchain_videochat.store.observation_vectors import Int8Vectors, SignIndex, first_positions, signs
from langchain_videochat.store.words import index_text, stems
from langchain_videochat.timeline import citation
from langchain_videochat.timeline.documents import identify_moment
from langchain_videochat.utils.interval import Interval

CACHE_KIB = 65536
"""Size of SQLite's page cache: reading 2,000 scattered vectors takes twice as long with its default of 2 MB."""

FRAME_SECONDS = 10.0
"""Seconds after its end up to which a frame stands for what is shown: frames are sampled at intervals."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (token TEXT);
CREATE TABLE IF NOT EXISTS videos (
    video_id TEXT PRIMARY KEY, save_id TEXT NOT NULL, title TEXT NOT NULL,
    sources TEXT NOT NULL -- VideoSources as a JSON array of arrays
);
-- Sets of modalities that occur in moments, as sorted JSON arrays of names: few, however many moments there are.
CREATE TABLE IF NOT EXISTS modality_sets (number INTEGER PRIMARY KEY, names TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS moments (
    number INTEGER PRIMARY KEY, video_id TEXT NOT NULL, start REAL NOT NULL, "end" REAL NOT NULL,
    modality_set INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS moments_by_video ON moments (video_id, start, "end", modality_set);
CREATE INDEX IF NOT EXISTS moments_by_time ON moments (start, "end", modality_set);
CREATE INDEX IF NOT EXISTS moments_by_length ON moments ("end" - start);
CREATE INDEX IF NOT EXISTS moments_by_modality_set ON moments (modality_set);
-- In separate tables, so that filters read small rows only.
CREATE TABLE IF NOT EXISTS documents (
    number INTEGER PRIMARY KEY, text TEXT NOT NULL, metadata TEXT NOT NULL,
    observations TEXT NOT NULL -- TimedWords as a JSON array of arrays
);
-- The vector of the moment, then those of its observations, in the order of documents.observations: one byte per
-- dimension, and one bit. Videos that an earlier version of this package stored have vectors of moments only.
CREATE TABLE IF NOT EXISTS vectors (number INTEGER PRIMARY KEY, vectors BLOB NOT NULL, dimensions INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS signs (number INTEGER PRIMARY KEY, signs BLOB NOT NULL);
-- The frames of a moment, if it has any: start and end of each in 64 bits, vectors in 16 bits per number, and signs of
-- the vectors less the center, which is the mean of those of the first video with frames.
CREATE TABLE IF NOT EXISTS frames (number INTEGER PRIMARY KEY, times BLOB NOT NULL, vectors BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS frame_signs (number INTEGER PRIMARY KEY, signs BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS frame_center (vector BLOB NOT NULL);
-- Tokens of index_text, version 2. This tokenizer splits only at its spaces.
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (text, stems, tokenize = 'ascii');
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, video_id TEXT NOT NULL
);
"""

SCHEMA_VERSION = zlib.crc32(_SCHEMA.encode()) >> 1
"""A file with another version is rebuilt; also count up the version in the schema if `index_text` changes."""

# Names, not bits by position: those would change their meaning when a modality is added. SQLite resolves the names to
# a few numbers of sets before it reads any moment.
_MODALITY_SETS = """modality_set IN (
    SELECT modality_sets.number FROM modality_sets, json_each(names) WHERE value IN (SELECT value FROM json_each(?)))"""

_SAME_VIDEO = "video_id = json_extract(value, '$[0]')"
_GIVEN_START = "json_extract(value, '$[1]')"


@dataclass(frozen=True)
class IndexedMoment:
    """A moment as stored in Chroma."""

    document: Document
    observations: Sequence[TimedWords]
    vectors: Int8Vectors
    """Of the moment, then of each observation; none of these if an earlier version of this package stored the video."""

    frames: FrameVectors | None = None
    """Its frames, if they were embedded."""


@dataclass(frozen=True)
class MomentVectors:
    """The vectors of moments and of their observations."""

    numbers: list[int]
    """Numbers of the moments."""

    vectors: Int8Vectors
    """Of the first moment, of its observations, of the second moment, and so on [vectors, dimensions]."""

    counts: list[int]
    """Number of vectors of each moment with its observations."""

    @property
    def starts(self) -> NDArray[np.int64]:
        """Position of the vector of each moment; those of its observations follow."""
        return first_positions(self.counts)


@dataclass(frozen=True)
class IndexedVersion:
    """The version of a video that is in the index."""

    save_id: str
    title: str
    sources: tuple[VideoSource, ...]

    @classmethod
    def of(cls, record: VideoRecord) -> "IndexedVersion":
        """Return the version that a record describes."""
        return cls(record.save_id, record.title, record.sources)

    @classmethod
    def load(cls, save_id: str, title: str, sources: str) -> "IndexedVersion":
        """Return the version that a row of the database describes."""
        return cls(save_id, title, load_sources(sources))

    def has_same_moments(self, other: "IndexedVersion") -> bool:
        """Return whether the moments of another version of the video are the same."""
        return (self.save_id, self.title) == (other.save_id, other.title)


class KnownContent(NamedTuple):
    """The content of a file."""

    size: int
    """Bytes."""

    video_id: str


class LocalIndex:
    """Finds moments by time, video, modality, word and vector, on one machine.

    Moments have numbers, which are valid until the index changes. Safe for use from several threads and processes.

    Args:
        path: Database file; in memory if None. A damaged file, or one of another version, is replaced.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._database = _open(path)
        self._signs: tuple[str | None, SignIndex] | None = None
        self._frames: tuple[str | None, FrameIndex | None] | None = None

    def token(self) -> str | None:
        """Return the catalogue's token at the last update."""
        rows = self._select("SELECT token FROM state")
        return rows[0][0] if rows else None

    def set_token(self, token: str | None) -> None:
        """Record that the index is up to date with this token of the catalogue."""
        with self._transaction() as database:
            database.execute("DELETE FROM state")
            database.execute("INSERT INTO state VALUES (?)", (token,))

    def versions(self, video_ids: Sequence[str] | None = None) -> dict[str, IndexedVersion]:
        """Return the version of each video in the index, or of some videos, by video id."""
        query = """SELECT video_id, save_id, title, sources FROM videos
            WHERE ?1 IS NULL OR video_id IN (SELECT value FROM json_each(?1))"""
        rows = self._select(query, None if video_ids is None else json.dumps(video_ids))
        return {video_id: IndexedVersion.load(*rest) for video_id, *rest in rows}

    def put_video(self, video_id: str, version: IndexedVersion, moments: Iterable[IndexedMoment]) -> None:
        """Replace all moments of a video in one transaction, unless another thread or program has just done so."""
        with self._change() as database:
            known = _get_version(database, video_id)
            if known is not None and known.has_same_moments(version):
                return  # A search may be using the numbers of its moments.
            _delete_video(database, video_id)
            _put_version(database, video_id, version)
            numbered = {_insert_moment(database, video_id, moment): moment for moment in moments}
            _insert_frames(database, {number: one.frames for number, one in numbered.items() if one.frames is not None})

    def put_sources(self, video_id: str, version: IndexedVersion) -> None:
        """Replace the version of a video by one with the same moments."""
        with self._change() as database:
            _put_version(database, video_id, version)

    def delete_video(self, video_id: str) -> None:
        """Delete a video."""
        with self._change() as database:
            _delete_video(database, video_id)

    def modalities(self) -> set[str]:
        """Return the names of all modalities that occurred since the index was built."""
        return {name for (name,) in self._select("SELECT value FROM modality_sets, json_each(names)")}

    def find(self, condition: Filter, limit: int) -> list[int]:
        """Return the numbers of at most `limit` moments that match a filter."""
        where, values = _where(condition)
        query = f"SELECT number FROM moments WHERE {where} LIMIT ?"  # noqa: S608 - `where` has placeholders only
        return [number for (number,) in self._select(query, *values, limit)]

    def count(self, condition: Filter, limit: int) -> int:
        """Count the moments that match a filter, up to `limit`."""
        where, values = _where(condition)
        query = f"SELECT count(*) FROM (SELECT 1 FROM moments WHERE {where} LIMIT ?)"  # noqa: S608
        return int(self._select(query, *values, limit)[0][0])

    def vectors(self, numbers: Sequence[int]) -> MomentVectors:
        """Return the vectors of the moments that exist, and of their observations."""
        query = "SELECT number, vectors, dimensions FROM vectors WHERE number IN (SELECT value FROM json_each(?))"
        rows = self._select(query, json.dumps(numbers))
        dimensions = rows[0][2] if rows else 1
        vectors = np.frombuffer(b"".join(blob for _, blob, _ in rows), np.int8).reshape(-1, dimensions)
        return MomentVectors([number for number, *_ in rows], vectors, [len(blob) // dimensions for _, blob, _ in rows])

    def nearest(self, query: NDArray[np.float32], count: int, among: Sequence[int] | None = None) -> list[int]:
        """Return the numbers of the moments with the vectors nearest to a query, as `SignIndex.nearest` does."""
        return self._current_signs().nearest(query, count, among)

    def count_vectors(self) -> int:
        """Return the number of vectors of moments and observations."""
        return int(self._current_signs().signs.shape[1])

    def frame_index(self) -> FrameIndex | None:
        """Return the frames of all moments in memory; None if there are none."""
        with self._lock:
            self._database.execute("BEGIN")
            with self._database:
                token = self.token()
                if token is None or self._frames is None or self._frames[0] != token:
                    self._frames = token, self._read_frame_index()
            return self._frames[1]

    def frames(self, numbers: Sequence[int]) -> FoundFrames:
        """Return the frames of the moments that exist and have some."""
        query = "SELECT number, times, vectors FROM frames WHERE number IN (SELECT value FROM json_each(?))"
        return FoundFrames.load(self._select(query, json.dumps(numbers)))

    def frame_at(self, video_id: str, seconds: float) -> tuple[int, NDArray[np.float32]] | None:
        """Return the frame of a video at a time, if it was embedded: the number of its moment, and its vector."""
        query = """SELECT number FROM moments JOIN frames USING (number) WHERE video_id = ? AND start <= ?
            ORDER BY start DESC LIMIT 1"""
        for (number,) in self._select(query, video_id, seconds):
            found = self.frames([number])
            position = max(0, int(found.times[:, 0].searchsorted(seconds, "right")) - 1)
            if seconds <= found.times[position, 1] + FRAME_SECONDS:
                return number, found.vectors[position]
        return None

    def count_phrase(self, phrase: str, limit: int) -> int:
        """Count the moments that contain a phrase, up to `limit`."""
        query = "SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT ?)"
        return int(self._select(query, phrase, limit)[0][0])

    def find_phrase(self, phrase: str) -> list[int]:
        """Return the numbers of the moments that contain a phrase."""
        query = "SELECT json_group_array(rowid) FROM words WHERE words MATCH ?"  # twice as fast as one row per moment
        return list(json.loads(self._select(query, phrase)[0][0]))

    def matching(self, numbers: Iterable[int], condition: Filter) -> set[int]:
        """Return the numbers of the moments that match a filter."""
        where, values = _where(condition, by_number=True)
        query = f"SELECT number FROM moments WHERE number IN (SELECT value FROM json_each(?)) AND {where}"  # noqa: S608
        return {number for (number,) in self._select(query, json.dumps(list(numbers)), *values)}

    def places(self, numbers: Sequence[int]) -> dict[int, tuple[str, Interval]]:
        """Return the video and the interval of each moment that exists, by number."""
        query = """SELECT number, video_id, start, "end" FROM moments
            WHERE number IN (SELECT value FROM json_each(?))"""
        rows = self._select(query, json.dumps(numbers))
        return {number: (video_id, Interval(start, end)) for number, video_id, start, end in rows}

    def neighbors(self, moments: Iterable[tuple[str, float]]) -> list[int]:
        """Return the numbers of the moments directly before and after those with a video id and start in seconds."""
        query = f"""SELECT
            (SELECT number FROM moments WHERE {_SAME_VIDEO} AND start < {_GIVEN_START} ORDER BY start DESC LIMIT 1),
            (SELECT number FROM moments WHERE {_SAME_VIDEO} AND start > {_GIVEN_START} ORDER BY start LIMIT 1)
            FROM json_each(?)"""  # noqa: S608 - constants
        rows = self._select(query, json.dumps(list(moments)))
        return [number for row in rows for number in row if number is not None]

    def size(self) -> int:
        """Return the approximate number of moments: the highest number in use."""
        return int(self._select("SELECT coalesce(max(number), 0) FROM moments")[0][0])

    def documents(self, numbers: Sequence[int]) -> list[Document]:
        """Return moments as Documents, in the order of their numbers."""
        return [document for document, _ in self.moments(numbers).values()]

    def moments(self, numbers: Sequence[int]) -> dict[int, tuple[Document, list[TimedWords]]]:
        """Return moments and the words of their observations, by number and in the order of the numbers.

        Title, `source` and `citation` are those of the file on this machine at present.
        """
        query = """SELECT number, text, metadata, observations, video_id, sources
            FROM documents JOIN moments USING (number) JOIN videos USING (video_id)
            WHERE number IN (SELECT value FROM json_each(?))"""
        rows = {number: rest for number, *rest in self._select(query, json.dumps(numbers))}
        found = {number: rows[number] for number in numbers if number in rows}
        chosen = {video_id: self.choose_source(video_id, load_sources(text)) for *_, video_id, text in found.values()}
        return {
            number: (
                _with_source(text, json.loads(data), chosen[video_id]),
                [TimedWords(*one) for one in json.loads(words)],
            )
            for number, (text, data, words, video_id, _) in found.items()
        }

    def timed_words(self, video_id: str, start: float) -> list[TimedWords]:
        """Return the words of the observations of the moment of a video that starts at a time in seconds."""
        query = """SELECT observations FROM moments JOIN documents USING (number)
            WHERE video_id = ? AND abs(start - ?) < 0.001"""
        return [TimedWords(*one) for (words,) in self._select(query, video_id, start) for one in json.loads(words)]

    def find_file(self, path: Path, size: int, mtime_ns: int) -> str | None:
        """Return the video_id of a file; None if it is unknown or has changed since `remember_file`."""
        query = "SELECT video_id FROM files WHERE path = ? AND size = ? AND mtime_ns = ?"
        rows = self._select(query, os.fsencode(path), size, mtime_ns)
        return rows[0][0] if rows else None

    def last_content(self, path: Path) -> KnownContent | None:
        """Return what a file contained when `remember_file` was called last, whether it has changed since or not."""
        rows = self._select("SELECT size, video_id FROM files WHERE path = ?", os.fsencode(path))
        return KnownContent(*rows[0]) if rows else None

    def remember_file(self, path: Path, size: int, mtime_ns: int, video_id: str) -> None:
        """Record the video_id of a file: computing it again would read the whole file."""
        with self._transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", (os.fsencode(path), size, mtime_ns, video_id)
            )

    def choose_source(self, video_id: str, sources: Sequence[VideoSource]) -> VideoSource:
        """Return the source of a video on this machine, which all readers get: see `addresses.choose_source`."""
        return choose_source(sources, lambda address: self.has_video(video_id, address))

    def has_video(self, video_id: str, address: str) -> bool:
        """Return whether a video is at an address: a remote one, or a file that is not known to have other content.

        Files are not read for that; `remember_file` makes their content known.
        """
        if is_remote_address(address):
            return True
        try:
            path = local_path(address)
            status = path.stat()
            return self.find_file(path, status.st_size, status.st_mtime_ns) in (None, video_id)
        except (VideoChatError, OSError):
            return False
        except sqlite3.DatabaseError:
            return True  # Nothing is known: the next search rebuilds the index.

    def rebuild(self) -> None:
        """Replace the index by an empty one."""
        with self._lock:
            self._database.close()
            _delete_file(self._path)
            self._database = _open(self._path)
            self._signs = self._frames = None

    def _current_signs(self) -> SignIndex:
        with self._lock:
            self._database.execute("BEGIN")  # Other programs may write between reading the token and the signs.
            with self._database:
                token = self.token()
                # Without a token, the index is being updated.
                if token is None or self._signs is None or self._signs[0] != token:
                    self._signs = token, self._read_signs()
            return self._signs[1]

    def _read_signs(self) -> SignIndex:
        rows = self._select("SELECT number, signs FROM signs ORDER BY number")
        dimensions = self._select("SELECT dimensions FROM vectors LIMIT 1")
        return SignIndex.load(rows, -(-dimensions[0][0] // 64) if dimensions else 1)

    def _read_frame_index(self) -> FrameIndex | None:
        center = _frame_center(self._database)
        rows = self._select("SELECT number, signs FROM frame_signs ORDER BY number")
        if center is None or not rows:
            return None
        preselection = {"preselection_words": PRESELECTION_WORDS, "preselection_share": PRESELECTION_SHARE}
        every = SignIndex.load(rows, -(-len(center) // 64), **preselection)
        numbers = every.numbers[:: -(-len(rows) // SAMPLE_SIZE)].tolist()
        found = self.frames(numbers)
        return FrameIndex(every, center, found.vectors[found.starts])

    def _select(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            with self._database:
                yield self._database

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """Change videos in a transaction; the index counts as outdated until the next `set_token`."""
        with self._transaction() as database:
            database.execute("DELETE FROM state")
            yield database


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error means that the database file is damaged and must be rebuilt."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _open(path: Path | None) -> sqlite3.Connection:
    if not _is_usable(path):
        _delete_file(path)
    database = _connect(path)
    database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    database.execute("PRAGMA journal_mode = WAL")
    # Locked, because two processes may open a new store at the same time.
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
    for suffix in ("", "-wal", "-shm") if path else ():
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _delete_video(database: sqlite3.Connection, video_id: str) -> None:
    rows = database.execute("SELECT number FROM moments WHERE video_id = ?", (video_id,)).fetchall()
    by_number = ("vectors", "signs", "frames", "frame_signs", "documents", "moments")
    for table, key in (("words", "rowid"), *((table, "number") for table in by_number)):
        database.executemany(f"DELETE FROM {table} WHERE {key} = ?", rows)  # noqa: S608
    database.execute("DELETE FROM videos WHERE video_id = ?", (video_id,))


def _get_version(database: sqlite3.Connection, video_id: str) -> IndexedVersion | None:
    query = "SELECT save_id, title, sources FROM videos WHERE video_id = ?"
    return next((IndexedVersion.load(*row) for row in database.execute(query, (video_id,))), None)


def _put_version(database: sqlite3.Connection, video_id: str, version: IndexedVersion) -> None:
    row = (video_id, version.save_id, version.title, dump_sources(version.sources))
    database.execute("INSERT OR REPLACE INTO videos VALUES (?, ?, ?, ?)", row)


def retitle(moment: Document, title: str) -> Document:
    """Replace the title of a moment, with which its text begins: the file may have been renamed since it was stored."""
    text = title + moment.page_content.removeprefix(moment.metadata["title"])
    return Document(page_content=text, metadata=moment.metadata | {"title": title}, id=moment.id)


def _with_source(text: str, metadata: dict[str, Any], source: VideoSource) -> Document:
    address = source.address
    located = metadata | {"source": address, "citation": citation(address, metadata["start"], metadata["end"])}
    moment = identify_moment(Document(page_content=text, metadata=located))
    return retitle(moment, source.title or metadata["title"])


def _insert_moment(database: sqlite3.Connection, video_id: str, moment: IndexedMoment) -> int:
    text, metadata = moment.document.page_content, moment.document.metadata
    names = json.dumps(sorted(metadata["modalities"].split(",")))
    database.execute("INSERT OR IGNORE INTO modality_sets (names) VALUES (?)", (names,))
    number = database.execute(
        'INSERT INTO moments (video_id, start, "end", modality_set) '
        "VALUES (?, ?, ?, (SELECT number FROM modality_sets WHERE names = ?))",
        (video_id, metadata["start"], metadata["end"], names),
    ).lastrowid
    row = (number, moment.vectors.tobytes(), moment.vectors.shape[1])
    database.execute("INSERT INTO vectors VALUES (?, ?, ?)", row)
    database.execute("INSERT INTO signs VALUES (?, ?)", (number, signs(moment.vectors).tobytes()))
    observations = json.dumps(moment.observations, ensure_ascii=False)
    database.execute(
        "INSERT INTO documents VALUES (?, ?, ?, ?)", (number, text, json.dumps(metadata, sort_keys=True), observations)
    )
    tokens = index_text(text)
    database.execute("INSERT INTO words (rowid, text, stems) VALUES (?, ?, ?)", (number, tokens, stems(tokens)))
    return cast("int", number)


def _insert_frames(database: sqlite3.Connection, frames: Mapping[int, FrameVectors]) -> None:
    """Insert the frames of moments, by number; those whose vectors are of another width are left out."""
    if not frames:
        return
    center = _frame_center(database)
    if center is None:
        center = np.concatenate([one.vectors for one in frames.values()]).mean(axis=0, dtype=np.float32)
        database.execute("INSERT INTO frame_center VALUES (?)", (center.tobytes(),))
    for number, one in frames.items():
        if one.vectors.shape[1] == len(center):
            database.execute(
                "INSERT INTO frames VALUES (?, ?, ?)", (number, one.times.tobytes(), one.vectors.tobytes())
            )
            row = (number, frame_signs(one.vectors, center).tobytes())
            database.execute("INSERT INTO frame_signs VALUES (?, ?)", row)


def _frame_center(database: sqlite3.Connection) -> NDArray[np.float32] | None:
    row = database.execute("SELECT vector FROM frame_center").fetchone()
    return None if row is None else np.frombuffer(row[0], np.float32)


def _where(condition: Filter, *, by_number: bool = False) -> tuple[str, list[object]]:
    # Moments looked up by number or id are only checked: a plus sign keeps SQLite from using that column's index.
    plus = "+" if by_number else ""
    clauses: list[str] = []
    values: list[object] = []
    if condition.video_ids is not None:
        clauses.append(f"{plus}video_id IN ({', '.join('?' * len(condition.video_ids))})")
        values += condition.video_ids
    if condition.interval is not None:
        start, end = condition.interval.start, condition.interval.end
        # The second clause follows from the third; it limits the range of the index that is read.
        longest = '(SELECT max("end" - start) FROM moments)'
        clauses += [f"{plus}start < ?", f"{plus}start >= ? - {longest} - 0.001", '(+"end" > ? OR +start >= ?)']
        values += [end, start, start, start]
    for bound in condition.bounds:
        clauses.append(f'{plus}"{bound.field}" {bound.operator} ?')
        values.append(bound.seconds)
    if condition.modalities is not None:
        # With another condition, that condition's index is the better one.
        clauses.append(f"+{_MODALITY_SETS}" if clauses or by_number else _MODALITY_SETS)
        values.append(json.dumps(condition.modalities))
    return " AND ".join(clauses) or "TRUE", values
