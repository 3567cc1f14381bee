"""The rows of a video in the database of a local index: writing and deleting them."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.store.frame_index import FrameVectors, frame_signs
from langchain_videochat.store.hits import TimedWords
from langchain_videochat.store.observation_vectors import Int8Vectors, signs
from langchain_videochat.store.words import index_text, stems

_TABLES_BY_NUMBER = {"words": "rowid"} | dict.fromkeys(
    ("vectors", "signs", "frames", "frame_signs", "documents", "moments"), "number"
)


@dataclass(frozen=True)
class MomentRows:
    """A moment as it is written to the tables, all values computed before the transaction begins."""

    moment: tuple[float, float]
    """Start and end in seconds."""

    modalities: str
    """Names as a sorted JSON array."""

    document: tuple[str, str, str]
    """Text, metadata and observations."""

    words: tuple[str, str]
    """Tokens, and stems."""

    vectors: tuple[bytes, int]
    """One byte per dimension, and the number of dimensions."""

    signs: bytes

    frames: FrameVectors | None

    @classmethod
    def of(
        cls,
        text: str,
        metadata: Mapping[str, Any],
        observations: Iterable[TimedWords],
        vectors: Int8Vectors,
        frames: FrameVectors | None,
    ) -> "MomentRows":
        """Convert a moment."""
        tokens = index_text(text)
        return cls(
            moment=(metadata["start"], metadata["end"]),
            modalities=json.dumps(sorted(metadata["modalities"].split(","))),
            document=(
                text,
                json.dumps(metadata, sort_keys=True),
                json.dumps(list(observations), ensure_ascii=False),
            ),
            words=(tokens, stems(tokens)),
            vectors=(vectors.tobytes(), vectors.shape[1]),
            signs=signs(vectors).tobytes(),
            frames=frames,
        )


def insert_moments(database: sqlite3.Connection, video_id: str, moments: Iterable[MomentRows]) -> None:
    """Insert the moments of a video, which get consecutive numbers."""
    numbered = {_insert_moment(database, video_id, one): one for one in moments}
    _insert_frames(database, {number: one.frames for number, one in numbered.items() if one.frames is not None})


def delete_moments(database: sqlite3.Connection, video_id: str) -> None:
    """Delete all moments of a video, and record that."""
    query = "SELECT min(number), max(number) FROM moments WHERE video_id = ?"
    first, last = database.execute(query, (video_id,)).fetchone()
    if first is None:
        return
    for table, key in _TABLES_BY_NUMBER.items():
        database.execute(f"DELETE FROM {table} WHERE {key} BETWEEN ? AND ?", (first, last))  # noqa: S608 - constants
    database.execute("INSERT INTO removals (first, last) VALUES (?, ?)", (first, last))


def read_center(database: sqlite3.Connection) -> NDArray[np.float32] | None:
    """Return the vector that is subtracted from those of frames; None if there are no frames."""
    row = database.execute("SELECT vector FROM frame_center").fetchone()
    return None if row is None else np.frombuffer(row[0], np.float32)


def _insert_moment(database: sqlite3.Connection, video_id: str, rows: MomentRows) -> int:
    database.execute("INSERT OR IGNORE INTO modality_sets (names) VALUES (?)", (rows.modalities,))
    number = database.execute(
        'INSERT INTO moments (video_id, start, "end", modality_set) '
        "VALUES (?, ?, ?, (SELECT number FROM modality_sets WHERE names = ?))",
        (video_id, *rows.moment, rows.modalities),
    ).lastrowid
    database.execute("INSERT INTO vectors VALUES (?, ?, ?)", (number, *rows.vectors))
    database.execute("INSERT INTO signs VALUES (?, ?)", (number, rows.signs))
    database.execute("INSERT INTO documents VALUES (?, ?, ?, ?)", (number, *rows.document))
    database.execute("INSERT INTO words (rowid, text, stems) VALUES (?, ?, ?)", (number, *rows.words))
    return cast("int", number)


def _insert_frames(database: sqlite3.Connection, frames: Mapping[int, FrameVectors]) -> None:
    """Insert the frames of moments, by number; those whose vectors are of another width are left out."""
    if not frames:
        return
    center = read_center(database)
    if center is None:
        center = np.concatenate([one.vectors for one in frames.values()]).mean(axis=0, dtype=np.float32)
        database.execute("INSERT INTO frame_center VALUES (?)", (center.tobytes(),))
    for number, one in frames.items():
        if one.vectors.shape[1] == len(center):
            row = (number, one.times.tobytes(), one.vectors.tobytes())
            database.execute("INSERT INTO frames VALUES (?, ?, ?)", row)
            signed = frame_signs(one.vectors, center).tobytes()
            database.execute("INSERT INTO frame_signs VALUES (?, ?)", (number, signed))
