"""Clips and reports that tools have written, for clients to read."""

import secrets
from collections import OrderedDict
from pathlib import Path

MAX_FILES = 1000
"""Files that are remembered; the oldest are forgotten."""


class WrittenFiles:
    """The files that tools have written since the server was started, by their addresses.

    An address contains nothing of the title of a video, and cannot be guessed by other clients.

    Example:
        >>> files = WrittenFiles()
        >>> files.find(files.add("c0ffee", Path("clip.mp4")))
        PosixPath('clip.mp4')
    """

    def __init__(self) -> None:
        self._paths: OrderedDict[str, Path] = OrderedDict()

    def add(self, video_id: str, path: Path) -> str:
        """Remember a file, and return its address."""
        address = f"video://{video_id}/files/{secrets.token_hex(16)}"
        self._paths[address] = path
        if len(self._paths) > MAX_FILES:
            self._paths.popitem(last=False)
        return address

    def find(self, address: str) -> Path | None:
        """Return the file with an address, or None if there is none."""
        return self._paths.get(address)
