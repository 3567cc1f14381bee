"""Uploads of videos."""

import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from anyio import to_thread

from langchain_videochat.errors import InputError, StoreError, VideoChatError
from langchain_videochat.media import isolated_media, probe
from langchain_videochat.media.manifests import is_manifest
from langchain_videochat.media.sources import safe_file_name

if sys.platform != "win32":
    import fcntl

MAX_UPLOADS = 4
"""Maximum number of concurrent uploads. Each may take as much disk space as the largest video that is accepted."""

SCRATCH_PREFIX = ".videochat-"
"""Start of the names of temporary folders, each of which holds an incomplete upload."""


class TooLargeError(InputError):
    """An upload or the body of another request exceeds the size limit."""


class BusyError(VideoChatError):
    """The server is too busy to accept more."""


async def save_upload(chunks: AsyncIterator[bytes], name: str, folder: Path, max_bytes: int) -> Path:
    """Save an uploaded video to a folder under a unique name; a file that is not a video leaves nothing behind.

    Returns:
        The new file.

    Raises:
        TooLargeError: The upload is larger than `max_bytes`.
        MediaError: The file is not a video.
        InputError: Its name is that of a manifest, which would name other files.
        StoreError: The file cannot be written, for example because the disk is full.
    """
    if is_manifest(safe_file_name(name)):
        raise InputError(name, "has the name of a list of videos", "Upload a video")
    try:
        with TemporaryDirectory(prefix=SCRATCH_PREFIX, dir=folder) as scratch, _locked(Path(scratch)):
            path = Path(scratch, safe_file_name(name))
            await _write(chunks, path, name, max_bytes)
            await to_thread.run_sync(_check, path)
            return _move(path, folder)
    except OSError as error:
        raise StoreError(name, f"cannot be saved ({error.strerror})", "Free disk space on the server") from error


def remove_incomplete(folder: Path) -> None:
    """Delete incomplete uploads that a killed server left, but not those that a running server is receiving."""
    for scratch in folder.glob(f"{SCRATCH_PREFIX}*/"):
        try:
            with _locked(scratch):
                shutil.rmtree(scratch, ignore_errors=True)
        except OSError:
            continue  # in use


async def _write(chunks: AsyncIterator[bytes], path: Path, name: str, max_bytes: int) -> None:
    received = 0
    with path.open("wb") as file:
        async for chunk in chunks:
            received += len(chunk)
            if received > max_bytes:
                problem = f"is larger than the limit of {max_bytes / 1e6:,.0f} MB"
                raise TooLargeError(name, problem, "Upload a smaller file")
            await to_thread.run_sync(file.write, chunk)


def _check(path: Path) -> None:
    with isolated_media():
        probe(path)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder; raise OSError if another process has locked it. The lock ends with the process."""
    if sys.platform == "win32":
        yield  # Windows refuses to delete open files
    else:
        handle = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(handle)


def _move(path: Path, folder: Path) -> Path:
    number = 1
    while True:
        target = folder / (path.name if number == 1 else f"{path.stem} ({number}){path.suffix}")
        try:
            # Exclusive creation reserves the name: two tabs may upload files of the same name concurrently.
            target.open("xb").close()
        except FileExistsError:
            number += 1
            continue
        return path.replace(target)
