"""Locks that other processes hold on a SQLite database.

Chroma holds the GIL while it waits for a lock, which blocks all threads of the process; so locks must be found before
Chroma is called. Python's `sqlite3` cannot look for them: when it closes the file, the operating system releases all
locks that this process holds on it, including Chroma's.
"""

import os
import struct
import sys
import threading
import time
from pathlib import Path
from weakref import WeakValueDictionary

if sys.platform == "linux":
    import fcntl

SECONDS = 10.0
"""Seconds to wait for a lock: ordinary writes hold it for milliseconds."""

_INTERVAL = 0.05
_FLOCK = "hhqqi"  # l_type, l_whence, l_start, l_len, l_pid

_SHARED = (0x40000002, 510)
"""First byte and length of the range that SQLite locks to keep readers out."""

_RESERVED = (0x40000001, 1)
"""The byte that a writer locks."""

_watched: "WeakValueDictionary[tuple[int, int], DatabaseLock]" = WeakValueDictionary()
"""By device and inode of the file."""

_access = threading.Lock()


def watch(path: Path) -> "DatabaseLock | None":
    """Return the lock of a database, the same for all callers; None if the file cannot be opened."""
    with _access:
        try:
            status = path.stat()
            identity = status.st_dev, status.st_ino
            lock = _watched.get(identity)
            if lock is None:
                lock = _watched[identity] = DatabaseLock(path)
        except OSError:
            return None
        return lock


class DatabaseLock:
    """Finds out whether another process has locked a SQLite database. Elsewhere than on Linux, none is ever found.

    Args:
        path: The file. It is held open as long as this object exists, which must be as long as Chroma uses it.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def wait(self, *, to_write: bool) -> bool:
        """Wait until the database can be read, or written; return whether it can."""
        until = time.monotonic() + SECONDS
        while self._is_locked(*_SHARED) or (to_write and self._is_locked(*_RESERVED)):
            if time.monotonic() > until:
                return False
            time.sleep(_INTERVAL)
        return True

    def _is_locked(self, first: int, length: int) -> bool:
        if sys.platform != "linux":
            return False
        request = struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, first, length, 0)
        (kind, *_) = struct.unpack(_FLOCK, fcntl.fcntl(self._descriptor, fcntl.F_GETLK, request))
        return bool(kind != fcntl.F_UNLCK)
