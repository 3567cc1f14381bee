"""The catalogue of a store: one record a video, and a token that changes with every change."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from chromadb import Collection, GetResult
from chromadb.api import ClientAPI

from langchain_videochat.media import VideoInfo
from langchain_videochat.timeline.formats import dump_video, load_video

_TOKEN = "token"  # noqa: S105 - a mark of change, no secret


@dataclass(frozen=True)
class VideoRecord:
    """What the store knows of one video."""

    video_id: str
    """Hash of the file's content."""

    video: VideoInfo
    """The file's facts."""

    profile: str
    """The perception profile it was indexed with; empty for a timeline that was added."""

    observations: int
    """How many observations its timeline has."""

    moments: int
    """How many moments can be found by search."""

    pages: int
    """How many minutes the timeline spans."""

    decoded_fraction: float
    """The share of the video that could be decoded, 0 to 1."""

    indexed_at: str
    """When it was stored: ISO 8601, UTC."""

    failures: str = ""
    """Which perceivers failed, and why; empty if none did."""

    complete: bool = True
    """False while it is being written: readers leave it out."""

    @property
    def source(self) -> str:
        """Path or address, as it was given."""
        return self.video.source

    @property
    def title(self) -> str:
        """The container's title, or the file's name without its ending."""
        return self.video.title

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.video.duration


class Catalogue:
    """The collection of video records.

    Each record has a `revision`, a random mark that is new with every write of the record; the collection has a
    `token`, a random mark that is new with every change of any record. Who remembers them can tell what has changed.
    """

    def __init__(self, client: ClientAPI, collection: Collection) -> None:
        self._client = client
        self._collection = collection

    def token(self) -> str | None:
        """Read the mark of the latest change from the server; None in a store that was never written."""
        metadata = self._client.get_collection(self._collection.name, embedding_function=None).metadata
        return (metadata or {}).get(_TOKEN)

    def get(self, video_id: str) -> tuple[VideoRecord, str] | None:
        """Read one record and its revision."""
        return next(iter(_load(self._collection.get(ids=[video_id], include=["documents", "metadatas"]))), None)

    def all(self) -> list[tuple[VideoRecord, str]]:
        """Read all records and their revisions, in the order in which they were stored."""
        records = _load(self._collection.get(include=["documents", "metadatas"]))
        return sorted(records, key=lambda entry: (entry[0].indexed_at, entry[0].video_id))

    def put(self, record: VideoRecord) -> None:
        """Write a record, under a new revision."""
        metadata = {key: value for key, value in asdict(record).items() if key not in ("video_id", "video")}
        self._collection.upsert(
            ids=[record.video_id],
            # Chroma wants an embedding, and nobody searches here.
            embeddings=np.zeros((1, 1), np.float32),
            documents=[json.dumps(dump_video(record.video))],
            metadatas=[metadata | {"revision": uuid.uuid4().hex}],
        )
        self._change_token()

    def delete(self, video_id: str) -> None:
        """Delete a record."""
        self._collection.delete(ids=[video_id])
        self._change_token()

    def _change_token(self) -> None:
        self._collection.modify(metadata={**(self._collection.metadata or {}), _TOKEN: uuid.uuid4().hex})


def _load(found: GetResult) -> Iterator[tuple[VideoRecord, str]]:
    rows = zip(found["ids"], found["documents"] or [], found["metadatas"] or [], strict=True)
    for video_id, document, metadata in rows:
        scalars: dict[str, Any] = {key: value for key, value in metadata.items() if key != "revision"}
        record = VideoRecord(video_id=video_id, video=load_video(json.loads(document)), **scalars)
        yield record, str(metadata["revision"])
