"""The catalogue of a store: one record per video, and a token that changes with every write."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from chromadb import Collection, GetResult
from chromadb.api import ClientAPI

from langchain_videochat.errors import StoreError
from langchain_videochat.media import VideoInfo
from langchain_videochat.store.provenance import Provenance
from langchain_videochat.timeline.formats import load_video

_TOKEN = "token"  # noqa: S105 - not a password

_OLD_FIELDS = {"readable": "decoded_fraction", "lacking": "failures"}
"""Fields of VideoRecord by the names under which earlier versions stored them."""


@dataclass(frozen=True)
class VideoRecord:
    """The catalogue's record of one video."""

    video_id: str
    """Hash of the file's content."""

    video: VideoInfo
    """Metadata of the file."""

    profile: str
    """Name of the perception profile it was indexed with; empty for a timeline that was added."""

    observations: int
    """Number of observations in its timeline."""

    moments: int
    """Number of moments that search can return."""

    pages: int
    """Number of pages, one per minute, that hold its timeline."""

    decoded_fraction: float
    """Fraction of the video's pictures that could be decoded, 0 to 1."""

    indexed_at: str
    """Time at which it was stored: ISO 8601, UTC."""

    damage: str = ""
    """What could not be read of the file, see `langchain_videochat.media.Damage`; empty if it is intact."""

    failures: str = ""
    """Which perceivers failed, and why; empty if none did."""

    sidecars: str = ""
    """Fingerprint of the subtitle files beside the video; empty if there were none."""

    stale: bool = False
    """Whether `index` perceives the video again, although nothing has changed: a refresh of it was interrupted."""

    complete: bool = True
    """False while the video is being written, which hides it from readers."""

    @property
    def source(self) -> str:
        """Path or URL, as given to `index`."""
        return self.video.source

    @property
    def title(self) -> str:
        """The container's title, or the file name without its extension."""
        return self.video.title

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.video.duration

    @property
    def provenance(self) -> Provenance:
        """How the timeline was made."""
        return Provenance(**{each.name: getattr(self, each.name) for each in fields(Provenance)})


class Catalogue:
    """The collection of video records.

    Each record has a `revision` that is replaced by a random one whenever the record is written. The collection has a
    `token` that is replaced in the same way whenever any record changes. Comparing them shows what has changed.
    """

    def __init__(self, client: ClientAPI, collection: Collection) -> None:
        self._client = client
        self._collection = collection

    def token(self) -> str | None:
        """Return the token of the latest change from the server; None if nothing was ever written."""
        metadata = self._client.get_collection(self._collection.name, embedding_function=None).metadata
        return (metadata or {}).get(_TOKEN)

    def get(self, video_id: str) -> tuple[VideoRecord, str] | None:
        """Return one record and its revision; None if there is no such record."""
        return next(iter(_load(self._collection.get(ids=[video_id], include=["documents", "metadatas"]))), None)

    def all(self) -> list[tuple[VideoRecord, str]]:
        """Return all records and their revisions, in the order in which they were stored."""
        records = _load(self._collection.get(include=["documents", "metadatas"]))
        return sorted(records, key=lambda entry: (entry[0].indexed_at, entry[0].video_id))

    def put(self, record: VideoRecord) -> None:
        """Write a record under a new revision."""
        metadata = asdict(record)
        video_id, video = metadata.pop("video_id"), metadata.pop("video")
        self._collection.upsert(
            ids=[video_id],
            # Chroma requires an embedding; this collection is never searched.
            embeddings=np.zeros((1, 1), np.float32),
            documents=[json.dumps(video)],
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
        fields: dict[str, Any] = {_OLD_FIELDS.get(key, key): value for key, value in metadata.items()}
        revision = fields.pop("revision")
        try:
            record = VideoRecord(video_id=video_id, video=load_video(json.loads(document)), **fields)
        except (TypeError, ValueError) as error:
            problem = "was stored by an incompatible version of langchain-videochat"
            raise StoreError(f"video {video_id}", problem, "Index it again into a new store") from error
        yield record, revision
