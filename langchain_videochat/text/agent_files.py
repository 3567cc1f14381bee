"""The files that an agent can access: those of one folder, and web addresses if allowed."""

import os
import re
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from langchain_videochat.errors import InputError, SourceError, VideoChatError
from langchain_videochat.media import find_sidecars, isolated_media, local_path
from langchain_videochat.media.download import download
from langchain_videochat.media.sources import file_path, is_web_address, safe_file_name, safe_source
from langchain_videochat.text.held_files import CAN_HOLD, HeldFile, hold, link_folder, writable_path
from langchain_videochat.utils.untrusted_text import strip_invisible

MAX_BYTES = 2 * 1024**3
"""Maximum size of a download, in bytes: two hours of 1080p, which a small disk can hold."""

MAX_SECONDS = 600.0
"""Maximum duration of a download, in seconds: the user waits for it."""


@dataclass(frozen=True)
class AgentFiles:
    """The files that an agent can access.

    Paths are checked after symbolic links are resolved. On Linux, what was checked is what is read or written even if
    someone replaces a file or folder of `root` by a link in the meantime: videos, their subtitle files and the folders
    of new files are held open, and provided as links in a private folder. On other systems, only folders that nobody
    else can write into are safe from that.

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

    more_roots: tuple[Path, ...] = ()
    """Further folders to read and write."""

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
        # Other addresses are taken for relative paths: an agent needs them only for names that it cannot write.
        path = file_path(name)
        return self._resolve(Path(self.root, path if safe_source(path) == name else name), name)

    def locate_new(self, name: str) -> Path:
        """Resolve the path of a new file that an agent names, which must show what it is.

        Raises:
            InputError: The name has invisible characters, or the file or its folder would be hidden.
            SourceError: The path is outside of `root`, or `root` is None.
        """
        if strip_invisible(name) != name or "\n" in name or "\t" in name:
            problem = "has line breaks or invisible characters"
            raise InputError(name, problem, "Choose another filename, of visible characters and spaces")
        target = self.locate(name)
        places = [target.relative_to(root) for root in self._real_roots() if target.is_relative_to(root)]
        if all(any(part.startswith(".") for part in place.parts) for place in places):
            raise InputError(name, "would be hidden: it begins with a dot", "Choose another filename")
        return target

    @contextmanager
    def local_file(self, source: str) -> Iterator[Path]:
        """Provide a video as a local file; one on the web is downloaded for the duration of the context.

        Within it, files are decoded in worker processes, as in `isolated_media`.

        Args:
            source: The `source` of a stored video, a path from `locate`, or a URL.

        Yields:
            An absolute path. Its name, and the subtitle files beside it, are those of the video; its folder may not be.

        Raises:
            SourceError: The file does not exist; it, or a subtitle file next to it, is outside of `root`; the URL is
                not allowed, or the download fails.
            MediaError: The file is empty.
        """
        with isolated_media(), self._provided(source) as path:
            yield path

    @contextmanager
    def _provided(self, source: str) -> Iterator[Path]:
        if is_web_address(source):
            with self._downloaded(source) as path:
                yield path
            return
        path = self._resolve(local_path(source), source)
        if self.root is None:
            yield path
        elif CAN_HOLD:
            with self._linked(path, source) as link:
                yield link
        else:
            self._check_subtitles(path)
            yield path

    @contextmanager
    def create(self, target: Path) -> Iterator[Path]:
        """Create a file, and delete it if the block raises an error.

        Args:
            target: A path from `locate`.

        Yields:
            A path with the same name, to write the content to.

        Raises:
            InputError: The file exists, or cannot be written.
            SourceError: Its folder has been moved out of `root`.
        """
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(self._hold(target.parent, str(target))).descriptor if CAN_HOLD else None
                # Concurrent calls may choose the same name: only one can create the file.
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
                descriptor = os.open(target.name if CAN_HOLD else target, flags, 0o666, dir_fd=folder)
            except FileExistsError as error:
                raise InputError(target.name, "this file already exists", "Choose another filename") from error
            except (OSError, ValueError) as error:
                raise InputError(target.name, f"cannot be written ({error})", "Choose another filename") from error
            stack.callback(os.close, descriptor)
            try:
                with writable_path(descriptor, target.name) as path:
                    yield path
            except BaseException:
                with suppress(OSError):
                    os.unlink(target.name if CAN_HOLD else target, dir_fd=folder)
                raise

    @contextmanager
    def _linked(self, path: Path, name: str) -> Iterator[Path]:
        """Hold a video and its subtitle files open, and provide links to them in a private folder."""
        with ExitStack() as stack:
            links = stack.enter_context(link_folder())
            folder = stack.enter_context(self._hold(path.parent, name))
            # Perception reads the subtitle files next to a video.
            for file in (folder.path / path.name, *find_sidecars(folder.path / path.name)):
                shown = name if file.name == path.name else str(path.with_name(file.name))
                held = stack.enter_context(self._hold(file, shown))
                if not held.is_regular:
                    raise SourceError(shown, "is not a regular file", "Use a video file")
                (links / file.name).symlink_to(held.path)
            try:
                yield links / path.name
            except VideoChatError as error:
                subject = Path(str(error.subject))
                if subject.parent == links:
                    error.subject = path.with_name(subject.name)
                raise

    @contextmanager
    def _hold(self, path: Path, name: str) -> Iterator[HeldFile]:
        with ExitStack() as stack:
            try:
                held = stack.enter_context(hold(path))
                place = held.place
            except OSError as error:
                raise SourceError(name, f"cannot be opened ({error.strerror})", "Check the path") from error
            self._check_inside(place, name)
            yield held

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
        for sidecar in find_sidecars(path):
            self._resolve(sidecar, str(sidecar))

    def _real_roots(self) -> list[str]:
        return [os.path.realpath(root) for root in (self.root, *self.more_roots) if root is not None]

    def _resolve(self, path: Path, name: str) -> Path:
        try:
            real = Path(os.path.realpath(path))
        except (OSError, ValueError) as error:  # an OSError if it is being replaced
            raise SourceError(name, f"is not a valid path ({error})", "Use a path relative to the folder") from error
        self._check_inside(real, name)
        return real

    def _check_inside(self, real: Path, name: str) -> None:
        if self.root is not None and not any(real.is_relative_to(root) for root in self._real_roots()):
            problem = "is outside of the folder that you can access"
            raise SourceError(name, problem, "Use a path relative to the folder, without '..' or links that leave it")
