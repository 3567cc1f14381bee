"""Files on this machine whose content is known, and the choice of a video's source by them."""

import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langchain_videochat.errors import VideoChatError
from langchain_videochat.media import local_path
from langchain_videochat.media.sources import is_remote_address
from langchain_videochat.store.addresses import VideoSource, choose_source


class KnownFiles:
    """Finds out which video a file is, without reading it.

    Args:
        select: Runs a query on the database of the local index, and returns its rows.
    """

    def __init__(self, select: Callable[..., list[tuple[Any, ...]]]) -> None:
        self._select = select

    def find(self, path: Path, size: int, mtime_ns: int) -> str | None:
        """Return the video_id of a file; None if it is unknown or has changed since it was recorded."""
        query = "SELECT video_id FROM files WHERE path = ? AND size = ? AND mtime_ns = ?"
        rows = self._select(query, os.fsencode(path), size, mtime_ns)
        return rows[0][0] if rows else None

    def choose_source(self, video_id: str, sources: Sequence[VideoSource]) -> VideoSource:
        """Return the source of a video on this machine, which all readers get: see `addresses.choose_source`."""
        return choose_source(sources, lambda address: self.has_video(video_id, address))

    def has_video(self, video_id: str, address: str) -> bool:
        """Return whether a video is at an address: a remote one, or a file that is not known to have other content.

        Files are not read for that; `LocalIndex.remember_file` makes their content known.
        """
        if is_remote_address(address):
            return True
        try:
            path = local_path(address)
            status = path.stat()
            return self.find(path, status.st_size, status.st_mtime_ns) in (None, video_id)
        except (VideoChatError, OSError):
            return False
        except sqlite3.DatabaseError:
            return True  # Nothing is known: the next search rebuilds the index.
