"""What one search reads of a local index: its state at one time, whatever is written meanwhile."""

import json
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from langchain_core.documents import Document
from numpy.typing import NDArray

from langchain_videochat.store.addresses import VideoSource, load_sources
from langchain_videochat.store.filter_sql import where
from langchain_videochat.store.filters import Filter
from langchain_videochat.store.frame_index import SAMPLE_SIZE, FoundFrames, FrameIndex
from langchain_videochat.store.hits import TimedWords
from langchain_videochat.store.known_files import KnownFiles
from langchain_videochat.store.local_index import retitle
from langchain_videochat.store.observation_vectors import Int8Vectors, first_positions
from langchain_videochat.store.sign_index import SignIndex
from langchain_videochat.timeline import citation
from langchain_videochat.timeline.documents import identify_moment
from langchain_videochat.utils.interval import Interval

FRAME_SECONDS = 10.0
"""Seconds after its end up to which a frame stands for what is shown: frames are sampled at intervals."""

_SAME_VIDEO = "video_id = json_extract(value, '$[0]')"
_GIVEN_START = "json_extract(value, '$[1]')"


@dataclass(frozen=True)
class MomentVectors:
    """The vectors of moments and of their observations."""

    numbers: list[int]
    """Numbers of the moments."""

    vectors: Int8Vectors
    """Of the first moment, of its observations, of the second moment, and so on [vectors, dimensions]."""

    counts: list[int]
    """Number of vectors of each moment with its observations."""

    @property
    def starts(self) -> NDArray[np.int64]:
        """Position of the vector of each moment; those of its observations follow."""
        return first_positions(self.counts)


class IndexSnapshot:
    """Finds moments by time, video, modality, word and vector; moments have numbers.

    Args:
        database: A connection in a transaction.
        signs: The signs of all vectors of moments and observations that the transaction sees.
        frame_index: All frames that it sees; None if there are none.
    """

    def __init__(self, database: sqlite3.Connection, signs: SignIndex, frame_index: FrameIndex | None) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._files = KnownFiles(self._select)
        self.signs = signs
        self.frame_index = frame_index

    def size(self) -> int:
        """Return the number of moments."""
        return self.signs.moments

    def modalities(self) -> set[str]:
        """Return the names of all modalities that occurred since the index was built."""
        return {name for (name,) in self._select("SELECT value FROM modality_sets, json_each(names)")}

    def find(self, condition: Filter, limit: int) -> list[int]:
        """Return the numbers of at most `limit` moments that match a filter."""
        clause, values = where(condition)
        query = f"SELECT number FROM moments WHERE {clause} LIMIT ?"  # noqa: S608 - `clause` has placeholders only
        return [number for (number,) in self._select(query, *values, limit)]

    def count(self, condition: Filter, limit: int) -> int:
        """Count the moments that match a filter, up to `limit`."""
        clause, values = where(condition)
        query = f"SELECT count(*) FROM (SELECT 1 FROM moments WHERE {clause} LIMIT ?)"  # noqa: S608
        return int(self._select(query, *values, limit)[0][0])

    def vectors(self, numbers: Sequence[int]) -> MomentVectors:
        """Return the vectors of the moments that exist, and of their observations."""
        query = "SELECT number, vectors, dimensions FROM vectors WHERE number IN (SELECT value FROM json_each(?))"
        rows = self._select(query, json.dumps(numbers))
        dimensions = rows[0][2] if rows else 1
        vectors = np.frombuffer(b"".join(blob for _, blob, _ in rows), np.int8).reshape(-1, dimensions)
        return MomentVectors([number for number, *_ in rows], vectors, [len(blob) // dimensions for _, blob, _ in rows])

    def frames(self, numbers: Sequence[int]) -> FoundFrames:
        """Return the frames of the moments that exist and have some."""
        query = "SELECT number, times, vectors FROM frames WHERE number IN (SELECT value FROM json_each(?))"
        return FoundFrames.load(self._select(query, json.dumps(numbers)))

    def frame_at(self, video_id: str, seconds: float) -> tuple[int, NDArray[np.float32]] | None:
        """Return the frame of a video at a time, if it was embedded: the number of its moment, and its vector."""
        query = """SELECT number FROM moments JOIN frames USING (number) WHERE video_id = ? AND start <= ?
            ORDER BY start DESC LIMIT 1"""
        for (number,) in self._select(query, video_id, seconds):
            found = self.frames([number])
            position = max(0, int(found.times[:, 0].searchsorted(seconds, "right")) - 1)
            if seconds <= found.times[position, 1] + FRAME_SECONDS:
                return number, found.vectors[position]
        return None

    def count_phrase(self, phrase: str, limit: int) -> int:
        """Count the moments that contain a phrase, up to `limit`."""
        query = "SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT ?)"
        return int(self._select(query, phrase, limit)[0][0])

    def find_phrase(self, phrase: str) -> list[int]:
        """Return the numbers of the moments that contain a phrase."""
        query = "SELECT json_group_array(rowid) FROM words WHERE words MATCH ?"  # twice as fast as one row per moment
        return list(json.loads(self._select(query, phrase)[0][0]))

    def matching(self, numbers: Iterable[int], condition: Filter) -> set[int]:
        """Return the numbers of the moments that match a filter."""
        clause, values = where(condition, by_number=True)
        query = f"SELECT number FROM moments WHERE number IN (SELECT value FROM json_each(?)) AND {clause}"  # noqa: S608
        return {number for (number,) in self._select(query, json.dumps(list(numbers)), *values)}

    def places(self, numbers: Sequence[int]) -> dict[int, tuple[str, Interval]]:
        """Return the video and the interval of each moment that exists, by number."""
        query = """SELECT number, video_id, start, "end" FROM moments
            WHERE number IN (SELECT value FROM json_each(?))"""
        rows = self._select(query, json.dumps(numbers))
        return {number: (video_id, Interval(start, end)) for number, video_id, start, end in rows}

    def neighbors(self, moments: Iterable[tuple[str, float]]) -> list[int]:
        """Return the numbers of the moments directly before and after those with a video id and start in seconds."""
        query = f"""SELECT
            (SELECT number FROM moments WHERE {_SAME_VIDEO} AND start < {_GIVEN_START} ORDER BY start DESC LIMIT 1),
            (SELECT number FROM moments WHERE {_SAME_VIDEO} AND start > {_GIVEN_START} ORDER BY start LIMIT 1)
            FROM json_each(?)"""  # noqa: S608 - constants
        rows = self._select(query, json.dumps(list(moments)))
        return [number for row in rows for number in row if number is not None]

    def documents(self, numbers: Sequence[int]) -> list[Document]:
        """Return moments as Documents, in the order of their numbers."""
        return [document for document, _ in self.moments(numbers).values()]

    def moments(self, numbers: Sequence[int]) -> dict[int, tuple[Document, list[TimedWords]]]:
        """Return moments and the words of their observations, by number and in the order of the numbers.

        Title, `source` and `citation` are those of the file on this machine at present.
        """
        query = """SELECT number, text, metadata, observations, video_id, sources
            FROM documents JOIN moments USING (number) JOIN videos USING (video_id)
            WHERE number IN (SELECT value FROM json_each(?))"""
        rows = {number: rest for number, *rest in self._select(query, json.dumps(numbers))}
        found = {number: rows[number] for number in numbers if number in rows}
        sources = {video_id: load_sources(text) for *_, video_id, text in found.values()}
        chosen = {video_id: self._files.choose_source(video_id, known) for video_id, known in sources.items()}
        return {
            number: (
                _with_source(text, json.loads(data), chosen[video_id]),
                [TimedWords(*one) for one in json.loads(words)],
            )
            for number, (text, data, words, video_id, _) in found.items()
        }

    def timed_words(self, video_id: str, start: float) -> list[TimedWords]:
        """Return the words of the observations of the moment of a video that starts at a time in seconds."""
        query = """SELECT observations FROM moments JOIN documents USING (number)
            WHERE video_id = ? AND abs(start - ?) < 0.001"""
        return [TimedWords(*one) for (words,) in self._select(query, video_id, start) for one in json.loads(words)]

    def _select(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:  # A search compares texts and frames at once.
            return self._database.execute(query, values).fetchall()


def read_sample(database: sqlite3.Connection, signs: SignIndex) -> NDArray[np.float32]:
    """Return the vector of one frame of each of some moments [frames, dimensions], given the signs of all frames."""
    numbers = signs.numbers
    chosen = numbers[:: -(-len(numbers) // SAMPLE_SIZE) or 1].tolist()
    found = IndexSnapshot(database, signs, None).frames(chosen)
    return found.vectors[found.starts]


def _with_source(text: str, metadata: dict[str, Any], source: VideoSource) -> Document:
    address = source.address
    located = metadata | {"source": address, "citation": citation(address, metadata["start"], metadata["end"])}
    moment = identify_moment(Document(page_content=text, metadata=located))
    return retitle(moment, source.title or metadata["title"])
