"""The database of Chroma in a directory of this machine: its faults, and reopening it after an error."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import UUID

from chromadb.api import ServerAPI
from chromadb.api.shared_system_client import SharedSystemClient

from langchain_videochat.errors import StoreError
from langchain_videochat.store.database_lock import SECONDS, DatabaseLock, watch
from langchain_videochat.store.index_database import is_damage

MIN_FREE_BYTES = 4 * 2**20
"""Free bytes on the disk that are required before each write.

A batch of 32 moments with 3,000 characters each takes 1.6 MB in Chroma; the rest is for SQLite's journals, the local
index and other writers.
"""

INDEX_SUFFIX = ".index.sqlite3"
"""End of the names of local indexes, which are in the same directory."""

_Identity = tuple[int, int]
"""Device and inode of a file."""

_LOCK = threading.Lock()
_OPENED: dict[str, _Identity | None] = {}
"""The database files that this process has open, by Chroma's key of their directory."""


class LocalDatabase:
    """Checks and reopens the database in a directory.

    All clients of a directory in one process share one database connection pool. Chroma never returns a connection to
    the pool if its transaction fails, for example because the disk is full. When none is left, Chroma waits forever,
    and stops all threads of the process, because it holds Python's global lock. Therefore the database is reopened, for
    all clients in the process, before it is used after an error.

    Args:
        key: The directory as given to Chroma.
    """

    def __init__(self, key: str) -> None:
        self.directory = Path(os.path.abspath(key))
        self._key = key
        self._file = self.directory / "chroma.sqlite3"
        self._identity: _Identity | None = None
        self._database_lock: DatabaseLock | None = None

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Check the files, and let Chroma open them in this block.

        Raises:
            StoreError: The database is damaged, or another program has locked it.
        """
        # Waiting must not block other stores of this process. Missing collections are created, so Chroma may write.
        self._check_lock(to_write=True)
        with _LOCK:
            self._check_files()
            # The process may have an earlier directory of this name open, or one that could not be opened.
            if self._key not in _OPENED or _OPENED[self._key] != self._find_identity():
                self._reopen()
            yield
            self._identity = _OPENED[self._key] = self._find_identity()

    def prepare(self) -> None:
        """Make the database ready for use.

        Raises:
            StoreError: It is not the one that was opened, it is damaged, or another program has locked it.
        """
        self.check_identity()
        self._check_lock(to_write=False)
        if _OPENED.get(self._key) != self._identity:
            with self.opening():
                pass

    def check_space(self) -> None:
        """Check the free disk space, and the locks of other programs, before a write.

        Raises:
            StoreError: There is too little space, another program has locked the database, or the directory is not the
                one that was opened.
        """
        self.check_identity()
        self._check_lock(to_write=True)
        try:
            free = shutil.disk_usage(self.directory).free
        except OSError as error:
            problem = f"cannot be written ({error.strerror})"
            raise StoreError(self.directory, problem, "Check the directory and its permissions") from error
        if free < MIN_FREE_BYTES:
            problem = f"the disk is full: {free / 1e6:.1f} MB are free, {MIN_FREE_BYTES / 1e6:.1f} MB are required"
            advice = "Free disk space, then run the command again; finished work is kept"
            raise StoreError(self.directory, problem, advice)

    def check_after_error(self) -> None:
        """Find the cause of an error, and let the database be reopened before it is used again.

        Raises:
            StoreError: The cause, if it is one of the known ones.
        """
        _OPENED[self._key] = None
        self.check_identity()
        self._check_files()
        self._check_pages("quick_check(1)")  # reads the whole file, but only after an error
        self.check_space()

    def check_identity(self) -> None:
        """Check that the directory is the one that was opened; raises a StoreError if it is not."""
        if self._identity is not None and self._find_identity() != self._identity:
            problem = "the directory was deleted, replaced or moved while the store was open"
            raise StoreError(self.directory, problem, "Open the store again")

    def _check_lock(self, *, to_write: bool) -> None:
        self._database_lock = watch(self._file)
        if self._database_lock is not None and not self._database_lock.wait(to_write=to_write):
            problem = f"another program has locked the database for over {SECONDS:.0f} s"
            raise StoreError(self.directory, problem, "Wait until that program has finished, or close it")

    def _check_files(self) -> None:
        """Check cheaply what Chroma would not report: it panics, or takes a truncated database for a new one."""
        if not self._file.is_file() or self._file.stat().st_size == 0:
            if _has_data(self.directory):
                raise self._damaged(f"{self._file.name} is {'empty' if self._file.exists() else 'missing'}")
        else:
            self._check_pages("integrity_check(migrations)")  # what Chroma reads first

    def _check_pages(self, check: str) -> None:
        result = self._query(f"PRAGMA {check}")
        if result and result[0] != ("ok",):
            raise self._damaged(str(result[0][0]).splitlines()[-1])

    def _query(self, query: str) -> list[tuple[object, ...]]:
        """Run a query; return nothing if it fails for another reason than damage, such as a lock."""
        try:
            with closing(sqlite3.connect(f"{self._file.as_uri()}?mode=ro", uri=True)) as database:
                return database.execute(query).fetchall()
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                raise self._damaged(str(error)) from error
            return []

    def _damaged(self, detail: str) -> StoreError:
        problem = f"the database is damaged ({detail})"
        return StoreError(self.directory, problem, "Restore it from a backup, or index again into a new directory")

    def _find_identity(self) -> _Identity | None:
        try:
            status = self._file.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _reopen(self) -> None:
        if os.path.abspath(self._key) != str(self.directory):
            problem = "was opened by a relative path, and the working directory has changed"
            raise StoreError(self.directory, problem, "Open it by an absolute path")
        # Chroma has no public way: a client's close() does nothing while the process has other clients.
        system = SharedSystemClient._identifier_to_system.get(self._key)
        if system is not None:
            system.instance(ServerAPI).start()  # type: ignore[type-abstract]


def _has_data(directory: Path) -> bool:
    """Return whether a directory contains other files of a store: Chroma's vectors, or a local index."""
    return directory.is_dir() and any(
        one.name.endswith(INDEX_SUFFIX) or (one.is_dir() and _is_uuid(one.name)) for one in directory.iterdir()
    )


def _is_uuid(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False
