"""Atomic directories and files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import IO


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Create a directory that appears under its name only when it is complete.

    Yields:
        A temporary directory. It is renamed to `path` on success and deleted if the block raises an error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A directory beside the target is on the same file system, where renaming is atomic.
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-", ignore_cleanup_errors=True) as scratch:
        unfinished = Path(scratch) / path.name
        unfinished.mkdir()
        yield unfinished
        unfinished.rename(path)


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Write a file that replaces another one of its name only when it is complete.

    Yields:
        A temporary file. It is renamed to `path` on success and deleted if the block raises an error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        try:
            yield file
        except BaseException:
            os.unlink(file.name)
            raise
    os.replace(file.name, path)
