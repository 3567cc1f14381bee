"""Sources: paths and addresses, and the local files that they refer to."""

import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit
from urllib.request import url2pathname

import regex

from langchain_videochat.errors import MediaError, SourceError
from langchain_videochat.media.download import download
from langchain_videochat.media.storage import download_from_storage, is_storage_address

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".f4v", ".flv", ".mkv", ".webm", ".ogv", ".ogm", ".avi", ".divx"),
    *(".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".m2v", ".vob", ".wmv", ".asf", ".mxf", ".gif", ".webp"),
)
"""Suffixes, in lower case, of the videos that are found in folders."""

# At least two letters: "C:" is a drive.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")

# Lone surrogates stand for non-UTF-8 bytes in file names, or are an error.
_UNSAFE = regex.compile(r"[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]")
_NOT_BYTES = regex.compile(r"[\ud800-\udc7f\udd00-\udfff]")

MAX_NAME_LENGTH = 60
"""Maximum number of characters in a file name derived from an address or a title."""


@contextmanager
def local_file(source: str | Path, *, allowed_hosts: Collection[str] = ()) -> Iterator[Path]:
    """Provide a source as a local file. A download is deleted at the end of the block.

    Args:
        source: A path, an `http:`, `https:` or `file:` address, or an address of fsspec such as `s3://films/talk.mp4`.
        allowed_hosts: Hosts that may be contacted even if they are on a private network.

    Yields:
        An absolute path of a regular, non-empty file.

    Raises:
        SourceError: The file does not exist, it is a folder or a device, or the address is refused or fails.
        MediaError: The file is empty.
    """
    address = str(source)
    if not is_remote_address(address):
        yield local_path(source)
        return
    with tempfile.TemporaryDirectory(prefix="videochat-") as folder:
        # The name of the file on the server may become the title of the video.
        path = Path(folder).resolve() / safe_file_name(_remote_name(address))
        if is_web_address(address):
            download(address, path, allowed_hosts=allowed_hosts)
        else:
            download_from_storage(address, path)
        yield local_path(path)


def _remote_name(address: str) -> str:
    # Names in object stores are not percent-encoded.
    path = unquote(urlsplit(address).path) if is_web_address(address) else address
    return PurePosixPath(path).name


def local_path(source: str | Path) -> Path:
    """Resolve a path or `file:` address to the absolute path of a regular, non-empty file.

    Raises:
        SourceError: The file does not exist, it is a folder or a device, or the source is any other address.
        MediaError: The file is empty.
    """
    name = str(source)
    if is_remote_address(name):
        kind = "a web address" if is_web_address(name) else "an address of a file server"
        raise SourceError(name, f"is {kind}, not a file", "Download it with langchain_videochat.media.local_file")
    path = Path(os.path.abspath(file_path(name)))
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise missing_file(name) from error
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(name, "is not a regular file", "Give a video file")
    if status.st_size == 0:
        raise MediaError(name, "is empty", "Copy or download the video again")
    return path


def video_id(path: str | Path) -> str:
    """Return the id of a video: the first 16 hexadecimal digits of the SHA-256 of its content.

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
    """Return whether a source is on the web.

    Example:
        >>> is_web_address("https://example.org/a.mp4"), is_web_address("movie: part 1.mp4")
        (True, False)
    """
    return source.lower().startswith(("http://", "https://"))


def is_remote_address(source: str) -> bool:
    """Return whether a source is not a file on this machine: it is on the web, or fsspec opens it.

    Example:
        >>> is_remote_address("https://example.org/a.mp4"), is_remote_address("s3://films/a.mp4")
        (True, True)
    """
    return is_web_address(source) or is_storage_address(source)


def safe_source(source: str) -> str:
    r"""Return a source in a form that can be stored, printed and sent, and still opens the file.

    File names may contain bytes that are not UTF-8, line breaks, and marks that reverse the direction of text. A path
    with such characters becomes a `file:` address, in which they are percent-encoded.

    Example:
        >>> safe_source("café.mp4"), safe_source(os.fsdecode(b"/films/caf\xe9.mp4"))
        ('café.mp4', 'file:///films/caf%E9.mp4')
    """
    if not _UNSAFE.search(source):
        return source
    source = _NOT_BYTES.sub("\ufffd", source)
    if is_remote_address(source) or source.lower().startswith("file:"):
        return _UNSAFE.sub(lambda char: quote(os.fsencode(char[0])), source)
    return Path(os.path.abspath(source)).as_uri()


def absolute_source(source: str) -> str:
    """Return a source in the form of `safe_source`, with a path made absolute: programs differ in their current folder.

    Example:
        >>> absolute_source("https://example.org/eggs.mp4")
        'https://example.org/eggs.mp4'
    """
    is_url = "://" in source or source.lower().startswith("file:")
    return safe_source(source if is_url else str(Path(source).absolute()))


def file_path(name: str) -> str:
    """Convert a `file:` address to a path; a path is returned unchanged.

    Raises:
        SourceError: The name is empty or contains a NUL, or the address is not that of a file on this machine.
    """
    if not name:
        raise SourceError("source", "is an empty string", "Give a path, an address, a folder or a glob pattern")
    # The operating system would cut the name off at a NUL and open another file than the one checked.
    if "\0" in name:
        raise SourceError(repr(name), "contains a NUL character", "Check the path")
    if not name.lower().startswith("file:"):
        return name
    address = urlsplit(name)
    if address.netloc not in ("", "localhost"):
        raise SourceError(name, "is a file on another machine", "Copy it here, or give an http address")
    # On Windows, url2pathname also converts the drive; elsewhere, it replaces bytes that are not UTF-8.
    path = url2pathname(address.path) if os.name == "nt" else os.fsdecode(unquote_to_bytes(os.fsencode(address.path)))
    if not path or "\0" in path:
        raise SourceError(name, "is not the address of a file", "Write file:///folder/video.mp4")
    return path


def missing_file(name: str) -> SourceError:
    """Return the error for a path, or an address of another scheme, that is not a file."""
    if _SCHEME.match(name) and not name.lower().startswith("file:"):
        problem = "no such file; only http:, https: and file: addresses, and those of object stores, are supported"
        return SourceError(name, problem, "Download the video first")
    return SourceError(name, "no such file", "Check the path")


def safe_file_name(text: str) -> str:
    """Replace the characters of a file name that some file systems do not allow.

    Example:
        >>> safe_file_name("../what is 1/2?.mp4"), safe_file_name("चाबी.mp4")
        ('_what is 1_2_.mp4', 'चाबी.mp4')
    """
    return regex.sub(r"[^\w .-]", "_", text)[-MAX_NAME_LENGTH:].strip(" .") or "video"
