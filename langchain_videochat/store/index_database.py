"""The SQLite database of a local index: its schema, opening it, and replacing it if it is damaged."""

import random
import sqlite3
import zlib
from pathlib import Path

CACHE_KIB = 65536
"""Size of SQLite's page cache: reading 2,000 scattered vectors takes twice as long with its default of 2 MB."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (token TEXT);
CREATE TABLE IF NOT EXISTS videos (
    video_id TEXT PRIMARY KEY, save_id TEXT NOT NULL, title TEXT NOT NULL,
    sources TEXT NOT NULL -- VideoSources as a JSON array of arrays
);
-- Sets of modalities that occur in moments, as sorted JSON arrays of names: few, however many moments there are.
CREATE TABLE IF NOT EXISTS modality_sets (number INTEGER PRIMARY KEY, names TEXT NOT NULL UNIQUE);
-- A number is never used again: signs in memory may be older or newer than what a search reads. The moments of a video
-- have consecutive numbers.
CREATE TABLE IF NOT EXISTS moments (
    number INTEGER PRIMARY KEY AUTOINCREMENT, video_id TEXT NOT NULL, start REAL NOT NULL, "end" REAL NOT NULL,
    modality_set INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS moments_by_video ON moments (video_id, start, "end", modality_set);
CREATE INDEX IF NOT EXISTS moments_by_time ON moments (start, "end", modality_set);
CREATE INDEX IF NOT EXISTS moments_by_length ON moments ("end" - start);
CREATE INDEX IF NOT EXISTS moments_by_modality_set ON moments (modality_set);
-- The first and last number of moments that were deleted, by which signs in memory are updated.
CREATE TABLE IF NOT EXISTS removals (
    id INTEGER PRIMARY KEY AUTOINCREMENT, first INTEGER NOT NULL, last INTEGER NOT NULL
);
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

FileIdentity = tuple[int, int]
"""Device and inode of a file."""


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open the database of a local index; a missing one is created, a damaged one or another version is replaced."""
    if not _is_usable(path):
        delete_files(path)
    database = connect(path)
    # Locked, because two processes may open a new store at the same time.
    database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION};")
    if database.execute("PRAGMA application_id").fetchone() == (0,):
        # By this, a file of signs that belongs to another index is recognized.
        database.execute(f"PRAGMA application_id = {random.SystemRandom().randrange(1, 2**31)}")
    database.execute("COMMIT")
    return database


def connect(path: Path) -> sqlite3.Connection:
    """Connect to a database, in which readers and a writer do not wait for one another."""
    database = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
    database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    database.execute("PRAGMA journal_mode = WAL")
    # A power failure may lose the last updates, which are then repeated; waiting for the disk would slow each one down.
    database.execute("PRAGMA synchronous = NORMAL")
    return database


def delete_files(path: Path) -> None:
    """Delete a database with its journals."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def file_identity(path: Path) -> FileIdentity | None:
    """Return what identifies the file at a path until it is replaced; None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error means that the database file is damaged and must be rebuilt."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _is_usable(path: Path) -> bool:
    database = sqlite3.connect(path, timeout=60)
    try:
        return database.execute("PRAGMA user_version").fetchone()[0] in (0, SCHEMA_VERSION)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return False
    finally:
        database.close()
