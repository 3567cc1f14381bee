"""A file of signs beside the database of a local index, from which a large index is opened in a fraction of a second.

It is read, not mapped: the process would be killed if another program truncated a mapped file.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from langchain_videochat.store.sign_clusters import Clusters
from langchain_videochat.store.sign_index import SignBlock

_LOG = logging.getLogger(__name__)

_VERSION = 1


@dataclass(frozen=True)
class Position:
    """Up to which row two tables of an index have been read."""

    database: int = 0
    """Random number of the database, from `PRAGMA application_id`."""

    moment: int = 0
    """The last number of a moment that was ever used."""

    removal: int = 0
    """The last id in the table of removals."""

    def is_before(self, other: "Position") -> bool:
        """Return whether a transaction with another position sees all of these rows."""
        return self.database == other.database and self.moment <= other.moment and self.removal <= other.removal


@dataclass(frozen=True)
class SignFile:
    """The file of a packed block.

    Its arrays are in NumPy's format `.npy`, one after the other, which has the size of each.
    """

    path: Path

    def write(self, block: SignBlock, position: Position) -> None:
        """Replace the file by one of a block without removed vectors."""
        clusters = block.clusters
        unfinished = self.path.with_name(f"{self.path.name}.unfinished")
        with unfinished.open("wb") as file:
            for array in (
                np.array([_VERSION, position.database, position.moment, position.removal]),
                block.numbers,
                block.starts,
                np.zeros((0, 0), np.float32) if clusters is None else clusters.centroids,
                np.zeros(0, np.int64) if clusters is None else clusters.starts,
                np.zeros(0, np.int32) if clusters is None else clusters.order,
                np.zeros(0, np.int32) if clusters is None else clusters.columns,
                block.signs,
            ):
                np.save(file, array, allow_pickle=False)
        unfinished.replace(self.path)

    def read(self) -> tuple[SignBlock, Position] | None:
        """Return the block; None if there is no file, or a damaged one."""
        try:
            with self.path.open("rb") as file:
                version, *position = np.load(file, allow_pickle=False).tolist()
                if version != _VERSION:
                    return None
                numbers, starts, centroids, first_columns, order, columns, signs = (
                    np.load(file, allow_pickle=False) for _ in range(7)
                )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError, TypeError) as error:
            _LOG.warning("%s is damaged and will be written again: %s", self.path, error)
            return None
        clusters = Clusters(centroids, first_columns, order, columns) if len(centroids) else None
        block = SignBlock(signs, numbers, starts, clusters)
        return (block, Position(*position)) if _is_consistent(block) else None


def _is_consistent(block: SignBlock) -> bool:
    """Return whether all positions are within their arrays."""
    starts, clusters = block.starts, block.clusters
    is_whole = len(starts) == len(block.numbers) + 1 and starts[0] == 0 and starts[-1] == block.size
    is_ascending = bool((np.diff(starts) > 0).all() and (np.diff(block.numbers) > 0).all())
    if clusters is None:
        return is_whole and is_ascending
    return (
        is_whole and is_ascending and clusters.starts[-1] == len(clusters.order) == len(clusters.columns) == block.size
    )
