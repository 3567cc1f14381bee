"""Uploads of videos."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from anyio import to_thread

from langchain_videochat.errors import InputError, StoreError
from langchain_videochat.media import probe
from langchain_videochat.media.sources import safe_file_name


class TooLargeError(InputError):
    """An upload exceeds the size limit."""


async def save_upload(chunks: AsyncIterator[bytes], name: str, folder: Path, max_bytes: int) -> Path:
    """Save an uploaded video to a folder under a unique name; a file that is not a video leaves nothing behind.

    Returns:
        The new file.

    Raises:
        TooLargeError: The upload is larger than `max_bytes`.
        MediaError: The file is not a video.
        StoreError: The file cannot be written, for example because the disk is full.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".videochat-", dir=folder) as scratch:
            path = Path(scratch, safe_file_name(name))
            await _write(chunks, path, name, max_bytes)
            await to_thread.run_sync(probe, path)
            return _move(path, folder)
    except OSError as error:
        raise StoreError(name, f"cannot be saved ({error.strerror})", "Free disk space on the server") from error


async def _write(chunks: AsyncIterator[bytes], path: Path, name: str, max_bytes: int) -> None:
    received = 0
    with path.open("wb") as file:
        async for chunk in chunks:
            received += len(chunk)
            if received > max_bytes:
                problem = f"is larger than the limit of {max_bytes / 1e6:,.0f} MB"
                raise TooLargeError(name, problem, "Upload a smaller file")
            await to_thread.run_sync(file.write, chunk)


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
