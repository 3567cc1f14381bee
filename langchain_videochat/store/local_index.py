"""The local index of a store, for writing: an SQLite database of words, times, modalities and vectors.

It holds copies only and can be rebuilt from Chroma at any time. Searches read it through `index_reader.py`.
"""

import json
import os
import shutil
import sqlite3
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock
from langchain_core.documents import Document

from langchain_videochat.store.addresses import VideoSource, dump_sources, load_sources
from langchain_videochat.store.catalogue import VideoRecord
from langchain_videochat.store.frame_index import FrameVectors
from langchain_videochat.store.hits import TimedWords
from langchain_videochat.store.index_database import delete_files, file_identity, open_for_writing
from langchain_videochat.store.index_rows import MomentRows, delete_moments, insert_moments
from langchain_videochat.store.known_files import KnownFiles
from langchain_videochat.store.observation_vectors import Int8Vectors


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
    """Writes the local index. Safe for use from several threads and processes.

    Args:
        path: Database file; a temporary one if None. A damaged file, or one of another version, is replaced.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path or _temporary_path(self)
        self.pause: Callable[[], None] = lambda: None
        """Called between small steps of an update, which it may delay or abort with an error."""
        self._lock = threading.RLock()
        self._file_lock = FileLock(f"{self.path}.lock")
        self._open()

    @contextmanager
    def updating(self) -> Iterator[None]:
        """Let no other thread or process update the index in this block.

        An update that has read older records than another one can thus not put an older version of a video back. The
        operating system releases the lock of a killed process.
        """
        with self._file_lock:
            if file_identity(self.path) != self._identity:
                self._open()  # Another program has rebuilt the index, or deleted it.
            yield

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
        """Replace all moments of a video in one transaction."""
        rows = [self._prepare(one) for one in moments]
        with self._change() as database:
            delete_moments(database, video_id)
            _put_version(database, video_id, version)
            insert_moments(database, video_id, rows)

    def put_sources(self, video_id: str, version: IndexedVersion) -> None:
        """Replace the version of a video by one with the same moments."""
        with self._change() as database:
            _put_version(database, video_id, version)

    def delete_video(self, video_id: str) -> None:
        """Delete a video."""
        self.pause()
        with self._change() as database:
            delete_moments(database, video_id)
            database.execute("DELETE FROM videos WHERE video_id = ?", (video_id,))

    def find_file(self, path: Path, size: int, mtime_ns: int) -> str | None:
        """Return the video_id of a file; None if it is unknown or has changed since `remember_file`."""
        return self._files.find(path, size, mtime_ns)

    def last_content(self, path: Path) -> KnownContent | None:
        """Return what a file contained when `remember_file` was called last, whether it has changed since or not."""
        rows = self._select("SELECT size, video_id FROM files WHERE path = ?", os.fsencode(path))
        return KnownContent(*rows[0]) if rows else None

    def remember_file(self, path: Path, size: int, mtime_ns: int, video_id: str) -> None:
        """Record the video_id of a file: computing it again would read the whole file."""
        with self._transaction() as database:
            row = (os.fsencode(path), size, mtime_ns, video_id)
            database.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", row)

    def choose_source(self, video_id: str, sources: Sequence[VideoSource]) -> VideoSource:
        """Return the source of a video on this machine: see `KnownFiles.choose_source`."""
        return self._files.choose_source(video_id, sources)

    def has_video(self, video_id: str, address: str) -> bool:
        """Return whether a video is at an address: see `KnownFiles.has_video`."""
        return self._files.has_video(video_id, address)

    @property
    def _files(self) -> KnownFiles:
        return KnownFiles(self._select)  # not an attribute, whose reference to this object would delay its deletion

    def rebuild(self) -> None:
        """Replace the index by an empty one."""
        with self._lock, self._file_lock:
            self._database.close()
            delete_files(self.path)
            self._open()

    def _open(self) -> None:
        with self._lock:
            self._database = open_for_writing(self.path)
            self._identity = file_identity(self.path)

    def _prepare(self, moment: IndexedMoment) -> MomentRows:
        self.pause()
        document = moment.document
        return MomentRows.of(
            document.page_content, document.metadata, moment.observations, moment.vectors, moment.frames
        )

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


def _temporary_path(owner: object) -> Path:
    """Return a path in a new directory, which is deleted with its owner."""
    directory, process = Path(tempfile.mkdtemp(prefix="videochat-")), os.getpid()

    def delete() -> None:
        if os.getpid() == process:  # A forked process must not delete the directory of its parent.
            shutil.rmtree(directory, ignore_errors=True)

    weakref.finalize(owner, delete)
    return directory / "index.sqlite3"


def _put_version(database: sqlite3.Connection, video_id: str, version: IndexedVersion) -> None:
    row = (video_id, version.save_id, version.title, dump_sources(version.sources))
    database.execute("INSERT OR REPLACE INTO videos VALUES (?, ?, ?, ?)", row)


def retitle(moment: Document, title: str) -> Document:
    """Replace the title of a moment, with which its text begins: the file may have been renamed since it was stored."""
    text = title + moment.page_content.removeprefix(moment.metadata["title"])
    return Document(page_content=text, metadata=moment.metadata | {"title": title}, id=moment.id)
