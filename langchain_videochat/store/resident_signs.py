"""Signs in memory that follow the local index: new ones are appended, removed ones are masked."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from langchain_videochat.store.sign_file import Position, SignFile
from langchain_videochat.store.sign_index import TEXT_PRESELECTION, Preselection, SignBlock, SignIndex

UNPACKED_VECTORS = 100_000
"""More appended vectors are packed, if they are also more than a sixteenth of the packed ones: they are compared with
queries one by one, and read from SQLite when the index is opened."""

CHECKED_MOMENTS = 16
"""Moments whose signs in a file are compared with the database."""


@dataclass(frozen=True)
class SignTable:
    """A table of signs."""

    name: str

    dimensions: str
    """Query for the number of dimensions of its vectors."""

    preselection: Preselection = TEXT_PRESELECTION

    def read(self, database: sqlite3.Connection, after: int) -> list[tuple[int, bytes]]:
        """Return the signs of moments with higher numbers, ascending."""
        query = f"SELECT number, signs FROM {self.name} WHERE number > ? ORDER BY number"  # noqa: S608 - a constant
        return database.execute(query, (after,)).fetchall()

    def read_one(self, database: sqlite3.Connection, number: int) -> bytes | None:
        """Return the signs of a moment; None if there are none."""
        query = f"SELECT signs FROM {self.name} WHERE number = ?"  # noqa: S608 - a constant
        row = database.execute(query, (number,)).fetchone()
        return None if row is None else row[0]

    def count_words(self, database: sqlite3.Connection) -> int:
        """Return the number of 64-bit words of the signs of a vector."""
        (dimensions,) = database.execute(self.dimensions).fetchone()
        return -(-int(dimensions) // 64)


class ResidentSigns:
    """The signs in a table of a local index.

    The indexes that it returns do not change, so that they can be used in other threads. It is not safe for use from
    several threads at once.

    Args:
        table: The table.
        path: The file of packed signs.
    """

    def __init__(self, table: SignTable, path: Path) -> None:
        self._table = table
        self._file = SignFile(path)
        self._packed: SignBlock | None = None
        self._packed_until = Position()
        self._recent: GrowingBlock | None = None
        self._position = Position()
        self._index = SignIndex((), table.preselection)

    def follow(self, database: sqlite3.Connection, position: Position) -> SignIndex:
        """Return the signs that a transaction sees.

        Args:
            database: A connection in that transaction, which must not be older than that of the last call.
            position: The last rows that it sees.
        """
        if self._position == Position():
            self.read_file(database, position)
        if position != self._position:
            self._catch_up(database)
            self._position = position
            self._update_index()
        return self._index

    @property
    def should_pack(self) -> bool:
        """Whether many signs were appended or removed since they were packed."""
        packed = 0 if self._packed is None else self._packed.size
        recent = 0 if self._recent is None else self._recent.block.size
        return recent > max(UNPACKED_VECTORS, packed // 16) or self._index.removed > max(
            UNPACKED_VECTORS, self._index.size // 4
        )

    def replace(self, block: SignBlock, packed_until: Position) -> None:
        """Replace the signs until a position by a block."""
        self._packed, self._packed_until = block, packed_until
        self._recent = None
        self._position = packed_until
        self._update_index()

    def write_file(self, block: SignBlock, packed_until: Position) -> None:
        """Write a block to the file."""
        self._file.write(block, packed_until)

    def read_file(self, database: sqlite3.Connection, position: Position) -> None:
        """Use the signs in the file, if it is newer and belongs to the database that a transaction sees."""
        found = self._file.read()
        if found is None or found[1] == self._packed_until or not found[1].is_before(position):
            return
        block, packed_until = found
        block = block.remove(_read_removals(database, packed_until))
        if self._is_of(database, block):
            self.replace(block, packed_until)
            self._position = replace(packed_until, removal=position.removal)

    def _update_index(self) -> None:
        blocks = (self._packed, None if self._recent is None else self._recent.block)
        self._index = SignIndex(tuple(one for one in blocks if one is not None), self._table.preselection)

    def _is_of(self, database: sqlite3.Connection, block: SignBlock) -> bool:
        """Return whether some signs of a block are those in the database."""
        places = np.flatnonzero(block.remaining())
        places = places[:: max(1, len(places) // CHECKED_MOMENTS)]
        found = (self._table.read_one(database, number) for number in block.numbers[places].tolist())
        return all(
            stored == block.signs_of(place).tobytes() for place, stored in zip(places.tolist(), found, strict=True)
        )

    def _catch_up(self, database: sqlite3.Connection) -> None:
        removals = _read_removals(database, self._position)
        if removals and self._packed is not None:
            self._packed = self._packed.remove(removals)
        if removals and self._recent is not None:
            self._recent.remove(removals)
        rows = self._table.read(database, self._position.moment)
        if rows:
            self._recent = self._recent or GrowingBlock(self._table.count_words(database))
            self._recent.append(rows)


class GrowingBlock:
    """A block to which the signs of moments are appended in place; earlier blocks see only their own part.

    Args:
        words: Number of 64-bit words of the signs of a vector.
    """

    def __init__(self, words: int) -> None:
        self._signs = np.zeros((words, 0), np.uint64)
        self.block = SignBlock(self._signs, np.zeros(0, np.int64), np.zeros(1, np.int64))

    def append(self, rows: Sequence[tuple[int, bytes]]) -> None:
        """Append the signs of moments, given the number of each, ascending."""
        words, size, block = len(self._signs), self.block.size, self.block
        added = np.frombuffer(b"".join(blob for _, blob in rows), np.uint64).reshape(-1, words)
        total = size + len(added)
        if total > self._signs.shape[1]:
            grown = np.empty((words, max(total, 2 * size)), np.uint64)
            grown[:, :size] = block.signs
            self._signs = grown
        self._signs[:, size:total] = added.T
        ends = size + np.cumsum([len(blob) // (8 * words) for _, blob in rows])
        removed = None if block.removed is None else np.append(block.removed, np.zeros(len(added), np.bool_))
        self.block = replace(
            block,
            signs=self._signs[:, :total],
            numbers=np.append(block.numbers, [number for number, _ in rows]),
            starts=np.append(block.starts, ends),
            removed=removed,
        )

    def remove(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Mask moments whose numbers are in these ranges."""
        self.block = self.block.remove(ranges)


def read_position(database: sqlite3.Connection) -> Position:
    """Return the last rows that a transaction sees."""
    (number,) = database.execute("PRAGMA application_id").fetchone()
    last = dict(database.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    return Position(number, last.get("moments", 0), last.get("removals", 0))


def _read_removals(database: sqlite3.Connection, since: Position) -> list[tuple[int, int]]:
    return database.execute("SELECT first, last FROM removals WHERE id > ?", (since.removal,)).fetchall()
