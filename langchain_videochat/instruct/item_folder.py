"""The output folder of a generation run: JSON Lines files that are appended item by item.

Lines are passed to the operating system but not synced to the disk one by one, which would take most of the time: a
killed process loses nothing, a power failure the last seconds.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from langchain_videochat.errors import InputError, SourceError
from langchain_videochat.instruct.items import InstructionItem

ACCEPTED = "items.jsonl"
REJECTED = "rejected.jsonl"
LOCK = ".lock"


class ItemFolder:
    """Append-only storage of items in a folder that `open_item_folder` has locked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.ids: set[str] = {item.id for name in (ACCEPTED, REJECTED) for item in _repair(path / name)}
        """Identifiers of all finished items."""

    def append(self, item: InstructionItem) -> None:
        """Write an item immediately.

        Raises:
            InputError: The file cannot be written.
        """
        path = self._path / (REJECTED if item.failures else ACCEPTED)
        try:
            with path.open("ab") as file:
                file.write(item.model_dump_json(exclude_defaults=True).encode() + b"\n")
        except OSError as error:
            problem = f"cannot be written ({error.strerror})"
            raise InputError(path, problem, "Free disk space; items are kept") from error
        self.ids.add(item.id)


@contextmanager
def open_item_folder(path: str | Path) -> Iterator[ItemFolder]:
    """Lock a folder and open it for writing. It is created if it does not exist.

    Raises:
        InputError: Another run is writing to the folder, it cannot be written, or a file in it has another format.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, blocking=False).acquire()
    except Timeout as error:
        raise InputError(folder, "another run is writing to it", "Wait for it, or choose another folder") from error
    except OSError as error:
        raise InputError(folder, f"cannot be written ({error.strerror})", "Choose another folder") from error
    with lock:
        yield ItemFolder(folder)


def read_item_ids(path: str | Path) -> set[str]:
    """Return the identifiers of the finished items in a folder, without locking it.

    Raises:
        InputError: A file has another format.
    """
    return {item.id for name in (ACCEPTED, REJECTED) for item in _read(Path(path, name))}


def load_items(path: str | Path) -> tuple[list[InstructionItem], list[InstructionItem]]:
    """Load the accepted and the rejected items of a folder, each sorted by identifier.

    Raises:
        SourceError: The folder contains no items.
        InputError: A file has another format.
    """
    accepted, rejected = (sorted(_read(Path(path, name)), key=lambda item: item.id) for name in (ACCEPTED, REJECTED))
    if not accepted and not rejected:
        raise SourceError(path, "contains no items", "Generate some with `videochat instruct describe` or `converse`")
    return accepted, rejected


def _repair(path: Path) -> Iterator[InstructionItem]:
    """Yield the items of a file, then cut off an incomplete line, left by a killed run."""
    length = 0
    for item, size in _read_lines(path):
        length += size
        yield item
    if path.exists() and path.stat().st_size > length:
        os.truncate(path, length)


def _read(path: Path) -> Iterator[InstructionItem]:
    return (item for item, _ in _read_lines(path))


def _read_lines(path: Path) -> Iterator[tuple[InstructionItem, int]]:
    """Yield the items of complete lines, each with the length of its line in bytes."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield InstructionItem.model_validate_json(line), len(line)
            except ValidationError as error:
                advice = "Choose another folder, or remove this file"
                raise InputError(path, f"line {number} is not an instruction item", advice) from error
