"""Videos in object stores and on file servers, through fsspec: their addresses, listing and download."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from langchain_videochat.errors import MediaError, SourceError
from langchain_videochat.media.download import MAX_BYTES, MAX_SECONDS
from langchain_videochat.utils.concurrency import run_with_timeout

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

STORAGE_SCHEMES = (
    *("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "hf"),
    *("hdfs", "webhdfs", "sftp", "smb", "memory"),
)
"""Schemes of fsspec that are accepted: remote files. fsspec also has local files, archives and chains of them."""

_ADDRESS = re.compile(rf"({'|'.join(STORAGE_SCHEMES)})://", re.IGNORECASE)
_PASSWORD = re.compile(r"://[^/@]*:[^/]*@")
_SECRET_QUERY = re.compile(r"\?[^\s'\"]+")

_CHUNK = 2**20


def is_storage_address(source: str) -> bool:
    """Return whether a source is in an object store or on a file server that fsspec opens.

    Example:
        >>> is_storage_address("s3://films/eggs.mp4"), is_storage_address("https://example.org/eggs.mp4")
        (True, False)
    """
    return _ADDRESS.match(source) is not None


def iter_storage(address: str, suffixes: tuple[str, ...]) -> Iterator[str]:
    """Yield the addresses of the files below a prefix, folder by folder, or the address itself if it is a file.

    Memory is bounded by the largest folder, whose names are sorted.

    Args:
        address: A prefix, such as "s3://films/2024/", or a file.
        suffixes: Suffixes, in lower case, of the files to yield. Hidden files and folders are left out.

    Raises:
        SourceError: The address cannot be opened or listed.
    """
    system, root = _open(address)
    with _errors(address):
        is_file = not address.endswith("/") and system.info(root)["type"] == "file"
    if is_file:
        yield address
        return
    prefix = address.rstrip("/")
    for name in _walk(system, address, root.rstrip("/")):
        if name.lower().endswith(suffixes):
            yield prefix + name.removeprefix(root.rstrip("/"))


def download_from_storage(
    address: str, target: Path, *, max_bytes: int = MAX_BYTES, max_seconds: float = MAX_SECONDS
) -> None:
    """Download a file. Credentials are those that fsspec finds, for example in the environment.

    Args:
        address: The address of a file.
        target: The file to write.
        max_bytes: Maximum size of the file.
        max_seconds: Maximum duration of the download.

    Raises:
        SourceError: The file does not exist, it cannot be opened, or a limit is exceeded.
        MediaError: The file is empty.
    """
    stopped = Event()
    try:
        run_with_timeout(lambda: _download(address, target, max_bytes, stopped), max_seconds)
    except TimeoutError as error:
        stopped.set()
        problem = "the download takes too long"
        raise SourceError(address, problem, "Try again later, or download the video and give its path") from error


def _download(address: str, target: Path, max_bytes: int, stopped: Event) -> None:
    system, path = _open(address)
    with _errors(address):
        found = system.info(path)
        if found["type"] != "file":
            raise SourceError(address, "is a folder, not a file", "Give the address of a video")
        if (found.get("size") or 0) > max_bytes:
            raise _too_large(address, max_bytes)
        size = 0
        with system.open(path, "rb") as remote, target.open("wb") as file:
            while not stopped.is_set() and (chunk := remote.read(_CHUNK)):
                size += len(chunk)
                if size > max_bytes:
                    raise _too_large(address, max_bytes)
                file.write(chunk)
    if size == 0:
        raise MediaError(address, "is empty", "Copy or upload the video again")


def _open(address: str) -> "tuple[AbstractFileSystem, str]":
    """Return a file system and the path in it.

    Raises:
        SourceError: The address has a password, is a chain, or the package for its scheme is missing.
    """
    import fsspec

    scheme = address.partition("://")[0].lower()
    if _PASSWORD.search(address):
        # It would be stored, and shown to everyone who searches.
        raise SourceError(
            f"{scheme}://...", "the address contains a password", "Configure it where fsspec looks for it"
        )
    if "::" in address:
        raise SourceError(address, "is a chain of addresses, which is not supported", "Give the address of a file")
    with _errors(address):
        system, path = fsspec.url_to_fs(scheme + address[len(scheme) :])
        return system, str(path)


def _walk(system: "AbstractFileSystem", address: str, folder: str) -> Iterator[str]:
    """Yield the paths of all files, except for hidden ones."""
    with _errors(address):
        entries: list[dict[str, Any]] = system.ls(folder, detail=True)
        # Listings are cached otherwise: a million entries.
        system.invalidate_cache(folder)
    found = sorted((entry["name"].rstrip("/"), entry["type"] == "directory") for entry in entries)
    entries.clear()
    for name, is_folder in found:
        # Object stores may list an empty object for the folder itself.
        if name == folder or name.rpartition("/")[2].startswith("."):
            continue
        if is_folder:
            yield from _walk(system, address, name)
        else:
            yield name


@contextmanager
def _errors(address: str) -> Iterator[None]:
    """Convert the errors of fsspec and of the packages behind it, which are of many classes."""
    try:
        yield
    except SourceError:
        raise
    except FileNotFoundError as error:
        raise SourceError(address, "no such file or folder", "Check the address") from error
    except ImportError as error:
        raise SourceError(address, f"needs another package ({error})", "Install it with pip") from error
    except Exception as error:
        # Signed addresses in messages contain secrets.
        message = _SECRET_QUERY.sub("?...", str(error) or type(error).__name__)
        advice = "Check the address, the connection and your credentials"
        raise SourceError(address, f"cannot be read ({message})", advice) from error


def _too_large(address: str, max_bytes: int) -> SourceError:
    problem = f"is larger than the limit of {max_bytes / 1024**2:,.0f} MiB"
    return SourceError(address, problem, "Download the video yourself and give its path")
