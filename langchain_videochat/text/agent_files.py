"""What an agent may open: files of one folder, and web addresses only where that is allowed."""

import os
import re
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from langchain_videochat.errors import InputError, SourceError
from langchain_videochat.media import local_path
from langchain_videochat.media.download import download
from langchain_videochat.media.sources import is_web_address, safe_name
from langchain_videochat.media.subtitles import SIDE_CAR_ENDINGS

MAX_BYTES = 2 * 1024**3
"""Bytes of a download: two hours of 1080p, and no more than a small disk can take."""

MAX_SECONDS = 600.0
"""Seconds that a download may take: an agent's user waits for it."""


@dataclass(frozen=True)
class AgentFiles:
    """The files that an agent may open.

    Symbolic links are followed before a path is judged: what counts is where the file really is.

    Raises:
        InputError: `root` is no folder.

    Example:
        >>> AgentFiles(root=Path(".")).locate("../../etc/passwd")
        Traceback (most recent call last):
        langchain_videochat.errors.SourceError: ../../etc/passwd: lies outside of the folder that is open to you. ...
    """

    root: Path | None = None
    """The folder with everything that may be read or written; None: videos of the store may be read where they are."""

    allow_urls: bool = False
    """Whether http and https addresses may be fetched. Those in private networks are refused even so."""

    allowed_hosts: Collection[str] = ()
    """Hosts that may be visited although they lie in a private network."""

    def __post_init__(self) -> None:
        if self.root is not None and not self.root.is_dir():
            raise InputError("root_dir", f"{self.root} is no folder", "Make it first, or give another one")

    def locate(self, name: str) -> Path:
        """Find where a path that an agent names really leads.

        Args:
            name: Relative to `root`, or an absolute path below it. The file need not exist.

        Raises:
            SourceError: It leads out of `root`, or there is no such folder.
        """
        if self.root is None:
            raise SourceError(name, "no folder is open to you", "Tell the user that the toolkit needs a root_dir")
        return self._checked(Path(self.root, name), name)

    @contextmanager
    def opened(self, source: str) -> Iterator[Path]:
        """Provide a video as a file, fetching it for as long as the context lasts if it is on the web.

        Args:
            source: Of a video in the store, or what `locate` found, or a web address.

        Yields:
            An absolute path without symbolic links.

        Raises:
            SourceError: There is no such file; it, or a subtitle file beside it, lies outside of `root`; or the address
                is refused or fails.
            MediaError: The file is empty.
        """
        if is_web_address(source):
            with self._downloaded(source) as path:
                yield path
            return
        path = self._checked(local_path(source), source)
        if self.root is not None:
            self._check_subtitles(path)
        yield path

    @contextmanager
    def _downloaded(self, address: str) -> Iterator[Path]:
        if not self.allow_urls:
            problem = "is a web address, and none may be opened"
            raise SourceError(address, problem, "Take a video that is on this machine, or ask the user to download it")
        with tempfile.TemporaryDirectory(prefix="videochat-") as folder:
            path = Path(os.path.realpath(folder), safe_name(unquote(re.split("[?#]", address)[0].rpartition("/")[2])))
            download(address, path, max_bytes=MAX_BYTES, max_seconds=MAX_SECONDS, allowed_hosts=self.allowed_hosts)
            yield local_path(path)

    def _check_subtitles(self, path: Path) -> None:
        # They are read with the video that they lie beside.
        for beside in path.parent.iterdir():
            if beside.name.startswith(path.stem) and beside.suffix.lower() in SIDE_CAR_ENDINGS:
                self._checked(beside, str(beside))

    def _checked(self, path: Path, name: str) -> Path:
        try:
            real = Path(os.path.realpath(path))
        except ValueError as error:
            raise SourceError(name, f"is no path ({error})", "Give a path relative to the folder") from error
        if self.root is not None and not real.is_relative_to(os.path.realpath(self.root)):
            problem = "lies outside of the folder that is open to you"
            raise SourceError(name, problem, "Give a path relative to the folder, without '..' or links that leave it")
        return real
