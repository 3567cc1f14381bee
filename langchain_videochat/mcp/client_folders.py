"""The folders that an MCP client may access: those of the server, narrowed by the roots of the client."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from langchain_videochat.errors import SourceError


@dataclass(frozen=True)
class ClientFolders:
    """The folders that the clients of a server may access.

    A client with roots, the folders that its user has opened, accesses only those. A client can name any root, so roots
    never extend the folder of the server.

    Example:
        A client may access its roots in the folder of the server:

            folders = ClientFolders(Path("videos"))
            folders.permitted([Path("videos").absolute().as_uri()])
    """

    folder: Path | None = None
    """The only folder that clients may access; None for none."""

    accepts_roots: bool = False
    """Whether a client may access its roots if there is no `folder`: one that has started the server itself."""

    def may_access(self, *, has_roots: bool) -> bool:
        """Return whether a client can access any folder."""
        return self.folder is not None or (self.accepts_roots and has_roots)

    def permitted(self, roots: Sequence[str] | None) -> tuple[Path, ...]:
        """Return the folders that a client may access; empty for none.

        Args:
            roots: Its roots as `file:` addresses; None or empty if it has none.

        Raises:
            SourceError: The client has roots, but none of them is in the folder of the server.
        """
        if not roots or not self.may_access(has_roots=True):
            return () if self.folder is None else (self.folder,)
        found = tuple(dict.fromkeys(self._narrow(roots)))
        if not found:
            problem = f"no root of the client ({', '.join(roots)}) is a folder that this server may open"
            raise SourceError("roots", problem, "Tell the user to open a folder below the one of --folder")
        return found

    def _narrow(self, roots: Sequence[str]) -> Iterator[Path]:
        limit = None if self.folder is None else Path(os.path.realpath(self.folder))
        for root in filter(None, map(_local_folder, roots)):
            if limit is None or root.is_relative_to(limit):
                yield root
            elif limit.is_relative_to(root):
                yield limit


def _local_folder(address: str) -> Path | None:
    parts = urlsplit(address)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        return None
    try:
        path = Path(os.path.realpath(url2pathname(parts.path)))
        return path if path.is_dir() else None
    except (OSError, ValueError):  # no valid path
        return None
