"""What a user may name as a source, and the local file behind each name."""

import glob
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from langchain_videochat.errors import MediaError, SourceError
from langchain_videochat.media.download import download

VIDEO_ENDINGS = (
    *(".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".f4v", ".flv", ".mkv", ".webm", ".ogv", ".ogm", ".avi", ".divx"),
    *(".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".m2v", ".vob", ".wmv", ".asf", ".mxf", ".gif", ".webp"),
)
"""Endings, in small letters, by which a video is recognised in a folder."""

# Two letters at least: "C:" is a drive.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")

LONGEST_NAME = 60
"""Characters of a file name that is made from an address or a title."""


def list_sources(source: str | Path | Iterable[str | Path]) -> list[str]:
    """Name every video that a source stands for.

    A folder is searched with all its sub-folders, but without hidden files and folders, for files with the ending of a
    video. So is a glob pattern (`**` for any depth), unless a file of exactly that name exists. A file that is named
    itself may have any ending. Web addresses are not visited.

    Args:
        source: A path, an `http:`, `https:` or `file:` address, a folder, a glob pattern, or several of these.

    Returns:
        Paths and addresses as they were given, a folder's files by name, without repeats.

    Raises:
        SourceError: There is no such file, a folder or pattern yields no video, or no source is given.

    Example:
        >>> list_sources(["https://example.org/a.mp4", "https://example.org/a.mp4"])
        ['https://example.org/a.mp4']
    """
    given = [source] if isinstance(source, str | Path) else list(source)
    if not given:
        raise SourceError("source", "names no video", "Give a path, an address, a folder or a glob pattern")
    found: dict[str, str] = {}
    for name in (name for item in given for name in _expand(str(item))):
        found.setdefault(_identity(name), name)
    return list(found.values())


@contextmanager
def local_file(source: str | Path, *, allowed_hosts: Collection[str] = ()) -> Iterator[Path]:
    """Provide a source as a file on this machine, downloading it for as long as the context lasts if need be.

    Args:
        source: A path, or an `http:`, `https:` or `file:` address.
        allowed_hosts: Hosts that may be visited although they lie in a private network.

    Yields:
        An absolute path of a regular file that is not empty.

    Raises:
        SourceError: There is no such file, it is a folder or a device, or the address is refused or fails.
        MediaError: The file is empty.
    """
    if not is_web_address(str(source)):
        yield local_path(source)
        return
    with tempfile.TemporaryDirectory(prefix="videochat-") as folder:
        path = Path(folder).resolve() / _file_name(str(source))
        download(str(source), path, allowed_hosts=allowed_hosts)
        yield local_path(path)


def local_path(source: str | Path) -> Path:
    """Find the file that a path or `file:` address names.

    Returns:
        An absolute path of a regular file that is not empty.

    Raises:
        SourceError: There is no such file, it is a folder or a device, or the source is any other address.
        MediaError: The file is empty.
    """
    name = str(source)
    if is_web_address(name):
        raise SourceError(name, "is a web address, not a file", "Fetch it with langchain_videochat.media.local_file")
    path = Path(os.path.abspath(_path(name)))
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise _missing(name) from error
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(name, "is not a regular file", "Name a video file")
    if status.st_size == 0:
        raise MediaError(name, "is empty", "Copy or download the video again")
    return path


def video_id(path: str | Path) -> str:
    """Identify a video by its content, so that a renamed or moved file is the same video.

    Returns:
        The first 16 hexadecimal digits of the content's SHA-256.

    Raises:
        SourceError: The file is missing or cannot be read.
        MediaError: The file is empty.
    """
    file_path = local_path(path)
    try:
        with file_path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise SourceError(path, f"cannot be read ({error.strerror})", "Check the file's permissions") from error


def is_web_address(source: str) -> bool:
    """Tell whether a source has to be fetched from the web.

    Example:
        >>> is_web_address("https://example.org/a.mp4"), is_web_address("movie: part 1.mp4")
        (True, False)
    """
    return source.lower().startswith(("http://", "https://"))


def _expand(name: str) -> list[str]:
    if is_web_address(name):
        return [name]
    path = _path(name)
    if os.path.isdir(path):
        return _videos_below(name, path)
    if os.path.lexists(path):
        return [name]
    if glob.has_magic(path):
        return _videos_matching(path)
    raise _missing(name)


def _path(name: str) -> str:
    if not name:
        raise SourceError("source", "is an empty text", "Give a path, an address, a folder or a glob pattern")
    # A NUL ends the name for the operating system: what is checked would not be what is opened.
    if "\0" in name:
        raise SourceError(repr(name), "contains a NUL character", "Check the path")
    if not name.lower().startswith("file:"):
        return name
    address = urlsplit(name)
    if address.netloc not in ("", "localhost"):
        raise SourceError(name, "is a file on another machine", "Copy it here, or give an http address")
    path = url2pathname(address.path)
    if not path or "\0" in path:
        raise SourceError(name, "is not the address of a file", "Write it as file:///folder/video.mp4")
    return path


def _videos_below(name: str, folder: str) -> list[str]:
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if not each.startswith(".")]
        found += [Path(parent, each) for each in files if not each.startswith(".")]
    videos = [str(path) for path in sorted(found) if _is_video(path)]
    if not videos:
        raise SourceError(name, "the folder contains no video", "Name a file itself if its ending is unusual")
    return videos


def _videos_matching(pattern: str) -> list[str]:
    videos = [str(path) for path in sorted(map(Path, glob.iglob(pattern, recursive=True))) if _is_video(path)]
    if not videos:
        raise SourceError(pattern, "no video matches this pattern", "Check the folder, or name the files themselves")
    return videos


def _is_video(path: Path) -> bool:
    return path.name.lower().endswith(VIDEO_ENDINGS) and path.is_file()


def _identity(name: str) -> str:
    return name if is_web_address(name) else os.path.realpath(_path(name))


def _missing(name: str) -> SourceError:
    if _SCHEME.match(name) and not name.lower().startswith("file:"):
        problem = "there is no such file, and of addresses only http:, https: and file: are opened"
        return SourceError(name, problem, "Download the video first")
    return SourceError(name, "there is no such file", "Check the path")


def _file_name(address: str) -> str:
    """Keep the name of the file on the server, which may become a title, in letters that any file system takes."""
    return safe_name(PurePosixPath(unquote(urlsplit(address).path)).name)


def safe_name(text: str) -> str:
    """Make a file name of letters that any file system takes.

    Example:
        >>> safe_name("../what is 1/2?.mp4")
        '_what is 1_2_.mp4'
    """
    return re.sub(r"[^\w .-]", "_", text).strip(" .")[-LONGEST_NAME:] or "video"
