"""The folder of a run: a line of JSON for each item, so that a run goes on where it was killed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from langchain_videochat.errors import InputError, SourceError
from langchain_videochat.instruct.items import Item

ACCEPTED = "items.jsonl"
REJECTED = "rejected.jsonl"
LOCK = ".lock"

_ROOM = "Make room: what is finished is kept"


class ItemFolder:
    """Items on the disk: those that passed all gates in one file, all others in a second one.

    Opened by `open_folder`, which sees to it that nobody else writes here.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.ids: set[str] = {item.id for name in (ACCEPTED, REJECTED) for item in _mended(path / name)}
        """Which items are finished."""

    def append(self, item: Item) -> None:
        """Write an item down, at once: whatever happens to this program then, the line stays.

        Raises:
            InputError: It cannot be written.
        """
        path = self._path / (REJECTED if item.faults else ACCEPTED)
        try:
            with path.open("ab") as file:
                file.write(item.model_dump_json(exclude_defaults=True).encode() + b"\n")
        except OSError as error:
            raise InputError(path, f"it cannot be written ({error.strerror})", _ROOM) from error
        self.ids.add(item.id)


@contextmanager
def open_folder(path: str | Path) -> Iterator[ItemFolder]:
    """Open a folder to write items into it.

    Args:
        path: The folder; it is made if it is not there.

    Raises:
        InputError: Another run writes into it, it cannot be written, or a file in it is something else.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, blocking=False).acquire()
    except Timeout as error:
        advice = "Wait until it has ended, or name another folder"
        raise InputError(folder, "another run is writing into it", advice) from error
    except OSError as error:
        raise InputError(folder, f"it cannot be written ({error.strerror})", "Name another folder") from error
    with lock:
        yield ItemFolder(folder)


def finished_ids(path: str | Path) -> set[str]:
    """Tell which items of a folder are finished, without opening it for writing.

    Raises:
        InputError: A file in it is something else.
    """
    return {item.id for name in (ACCEPTED, REJECTED) for item in _read(Path(path, name))}


def read_folder(path: str | Path) -> tuple[list[Item], list[Item]]:
    """Read the items of a folder, those that are accepted and those that are rejected, each in the order of ids.

    Raises:
        SourceError: There are none.
        InputError: A file in it is something else.
    """
    accepted, rejected = (sorted(_read(Path(path, name)), key=lambda item: item.id) for name in (ACCEPTED, REJECTED))
    if not accepted and not rejected:
        advice = "Make some with `videochat instruct describe` or `converse`"
        raise SourceError(path, "there are no items in this folder", advice)
    return accepted, rejected


def _mended(path: Path) -> Iterator[Item]:
    """Read a file, and cut off what was being written when a run was killed."""
    length = 0
    for item, size in _read_lines(path):
        length += size
        yield item
    if path.exists() and path.stat().st_size > length:
        os.truncate(path, length)


def _read(path: Path) -> Iterator[Item]:
    return (item for item, _ in _read_lines(path))


def _read_lines(path: Path) -> Iterator[tuple[Item, int]]:
    """Give each item of a file, and the bytes of its line; a line without an end is none yet."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield Item.model_validate_json(line), len(line)
            except ValidationError as error:
                advice = "Name another folder, or remove this file to begin anew"
                raise InputError(path, f"line {number} is no item", advice) from error
