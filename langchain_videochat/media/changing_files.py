"""Files that may still be written, or were removed for a moment only."""

import os
import re
import time
from collections.abc import Iterator

SETTLE_SECONDS = 5.0
"""Default seconds in which a file must not change to count as complete."""

# Names of browsers and download programs, before or after the suffix of a video: film.mp4.part, film.temp.mp4.
_UNFINISHED = re.compile(
    r"\.(part|partial|temp|tmp|download|crdownload|opdownload|aria2|!ut|!qb)(\.[^.]+)?$", re.IGNORECASE
)

_MARKS = (".aria2", ".part", ".crdownload")
"""Suffixes of files beside a file that is being downloaded."""

_Signature = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds."""


class ChangingFiles:
    """Files that have changed lately.

    Args:
        settle_seconds: Seconds in which a file must not change to count as complete, or as removed.
    """

    def __init__(self, settle_seconds: float) -> None:
        self._settle_seconds = settle_seconds
        self._changed: dict[str, tuple[_Signature, float]] = {}
        self._missing: dict[str, float] = {}

    def add(self, path: str) -> None:
        """Add a file that was created or changed."""
        signature = _sign(path)
        if signature is not None:
            self._changed[path] = signature, time.monotonic()

    def add_listed(self, path: str) -> bool:
        """Add a file that was found, unless it has not changed for long enough; return whether it was added."""
        signature = _sign(path)
        if signature is None:
            return True
        size, mtime_ns = signature
        age = time.time() - mtime_ns / 1e9
        if size and age >= self._settle_seconds and not _is_marked(path):
            return False
        self.add(path)
        return True

    def miss(self, path: str) -> None:
        """Add a file or folder that does not exist any more."""
        self._missing.setdefault(path, time.monotonic())

    def complete(self) -> Iterator[str]:
        """Yield the files that have become complete, once each."""
        for path, (signature, since) in list(self._changed.items()):
            present = _sign(path)
            if present is None:
                del self._changed[path]
            elif present != signature:
                self._changed[path] = present, time.monotonic()
            elif time.monotonic() - since >= self._settle_seconds and not _is_marked(path):
                del self._changed[path]
                # Browsers reserve the name of a download with an empty file.
                if present[0]:
                    yield path

    def removed(self) -> Iterator[str]:
        """Yield the files and folders that have not come back, once each."""
        for path, since in list(self._missing.items()):
            if os.path.lexists(path):
                del self._missing[path]
            elif time.monotonic() - since >= self._settle_seconds:
                del self._missing[path]
                yield path


def is_unfinished(path: str) -> bool:
    """Return whether the name of a file is that of an unfinished download.

    Example:
        >>> is_unfinished("talk.temp.mp4"), is_unfinished("talk.mp4")
        (True, False)
    """
    return _UNFINISHED.search(path) is not None


def _is_marked(path: str) -> bool:
    return any(os.path.exists(path + mark) for mark in _MARKS)


def _sign(path: str) -> _Signature | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
