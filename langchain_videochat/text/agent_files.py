"""The files that an agent can access: those of one folder, and web addresses if allowed."""

import os
import re
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from langchain_videochat.errors import InputError, SourceError
from langchain_videochat.media import find_sidecars, local_path
from langchain_videochat.media.download import download
from langchain_videochat.media.sources import is_web_address, safe_file_name

MAX_BYTES = 2 * 1024**3
"""Maximum size of a download, in bytes: two hours of 1080p, which a small disk can hold."""

MAX_SECONDS = 600.0
"""Maximum duration of a download, in seconds: the user waits for it."""


@dataclass(frozen=True)
class AgentFiles:
    """The files that an agent can access.

    Paths are checked after symbolic links are resolved.

    Raises:
        InputError: `root` is not a folder.

    Example:
        >>> AgentFiles(root=Path(".")).locate("../../etc/passwd")
        Traceback (most recent call last):
        langchain_videochat.errors.SourceError: ../../etc/passwd: is outside of the folder that you can access. ...
    """

    root: Path | None = None
    """The only folder to read and write; if None, nothing is written, and stored videos are read wherever they are."""

    allow_urls: bool = False
    """Whether http and https URLs may be downloaded. Private networks are refused even then."""

    allowed_hosts: Collection[str] = ()
    """Hosts that are allowed even though they are in a private network."""

    def __post_init__(self) -> None:
        if self.root is not None and not self.root.is_dir():
            raise InputError("root_dir", f"{self.root} is not a folder", "Create it, or use another one")

    def locate(self, name: str) -> Path:
        """Resolve a path that an agent names.

        Args:
            name: Path relative to `root`, or an absolute path below it. The file need not exist.

        Raises:
            SourceError: The path is outside of `root`, or `root` is None.
        """
        if self.root is None:
            raise SourceError(name, "you cannot access any files", "Tell the user that the toolkit needs a root_dir")
        return self._resolve(Path(self.root, name), name)

    @contextmanager
    def local_file(self, source: str) -> Iterator[Path]:
        """Provide a video as a local file; one on the web is downloaded for the duration of the context.

        Args:
            source: The `source` of a stored video, a path from `locate`, or a URL.

        Yields:
            An absolute path without symbolic links.

        Raises:
            SourceError: The file does not exist; it, or a subtitle file next to it, is outside of `root`; the URL is
                not allowed, or the download fails.
            MediaError: The file is empty.
        """
        if is_web_address(source):
            with self._downloaded(source) as path:
                yield path
            return
        path = self._resolve(local_path(source), source)
        if self.root is not None:
            self._check_subtitles(path)
        yield path

    @contextmanager
    def _downloaded(self, address: str) -> Iterator[Path]:
        if not self.allow_urls:
            advice = "Use a video on this machine, or ask the user to download it"
            raise SourceError(address, "web addresses are not allowed", advice)
        with tempfile.TemporaryDirectory(prefix="videochat-") as folder:
            name = unquote(re.split("[?#]", address)[0].rpartition("/")[2])
            path = Path(os.path.realpath(folder), safe_file_name(name))
            download(address, path, max_bytes=MAX_BYTES, max_seconds=MAX_SECONDS, allowed_hosts=self.allowed_hosts)
            yield local_path(path)

    def _check_subtitles(self, path: Path) -> None:
        # Perception reads the subtitle files next to a video.
        for sidecar in find_sidecars(path):
            self._resolve(sidecar, str(sidecar))

    def _resolve(self, path: Path, name: str) -> Path:
        try:
            real = Path(os.path.realpath(path))
        except ValueError as error:
            raise SourceError(name, f"is not a valid path ({error})", "Use a path relative to the folder") from error
        if self.root is not None and not real.is_relative_to(os.path.realpath(self.root)):
            problem = "is outside of the folder that you can access"
            raise SourceError(name, problem, "Use a path relative to the folder, without '..' or links that leave it")
        return real
