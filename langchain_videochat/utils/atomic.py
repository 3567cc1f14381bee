"""Folders that are there whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def atomic_directory(folder: Path) -> Iterator[Path]:
    """Provide a scratch folder that gets its name when all is in it; nothing of it stays if that fails.

    Raises:
        OSError: It cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-", ignore_cleanup_errors=True) as scratch:
        content = Path(scratch) / folder.name
        content.mkdir()
        yield content
        content.rename(folder)
