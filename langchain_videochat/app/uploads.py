"""Receiving videos."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from anyio import to_thread

from langchain_videochat.errors import InputError, StoreError
from langchain_videochat.media import probe
from langchain_videochat.media.sources import safe_name


class TooLargeError(InputError):
    """A file has more bytes than the page takes."""


async def receive(chunks: AsyncIterator[bytes], name: str, folder: Path, max_bytes: int) -> Path:
    """Keep a video that is sent. What is no video leaves nothing behind.

    Args:
        chunks: Its bytes.
        name: How its sender calls it.
        folder: Where to keep it, under a name of its own.
        max_bytes: Bytes that it may have.

    Returns:
        The new file.

    Raises:
        TooLargeError: It has more bytes.
        MediaError: It is no video.
        StoreError: It cannot be kept, as there is no room for it.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".videochat-", dir=folder) as scratch:
            path = Path(scratch, safe_name(name))
            await _write(chunks, path, name, max_bytes)
            await to_thread.run_sync(probe, path)
            return _move(path, folder)
    except OSError as error:
        raise StoreError(name, f"cannot be kept ({error.strerror})", "Make room on the server's disk") from error


async def _write(chunks: AsyncIterator[bytes], path: Path, name: str, max_bytes: int) -> None:
    received = 0
    with path.open("wb") as file:
        async for chunk in chunks:
            received += len(chunk)
            if received > max_bytes:
                raise TooLargeError(name, f"has more than {max_bytes / 1e6:,.0f} MB", "Send a smaller file")
            await to_thread.run_sync(file.write, chunk)


def _move(path: Path, folder: Path) -> Path:
    number = 1
    while True:
        target = folder / (path.name if number == 1 else f"{path.stem} ({number}){path.suffix}")
        try:
            # Two tabs may send files of the same name at the same time: only one can make a file.
            target.open("xb").close()
        except FileExistsError:
            number += 1
            continue
        return path.replace(target)
