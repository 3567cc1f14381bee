"""The catalogue of a store: one record per video, and a token that changes with every write."""

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from chromadb import Collection, GetResult
from chromadb.api import ClientAPI
from numpy.typing import NDArray

from langchain_videochat.errors import StoreError
from langchain_videochat.media import VideoInfo
from langchain_videochat.store.addresses import VideoSource, dump_sources, load_sources
from langchain_videochat.timeline.formats import load_video

_TOKEN = "token"  # noqa: S105 - not a password

_TOKEN_ID = ":token"  # noqa: S105
"""Id of the record that holds the token: it is written together with the record of a video, in one call."""

_VISIBLE = "complete"
"""False hides a record: the video is being removed, or an earlier version was interrupted while it wrote the video."""

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

    sources: tuple[VideoSource, ...] = ()
    """Files and web addresses with this content, on all machines; first the one that the timeline was made from."""

    save_id: str = ""
    """Random id of the save that wrote the pages and moments, which their ids contain; empty if an earlier version
    wrote them."""

    @property
    def source(self) -> str:
        """Absolute path or URL: the first of `sources` that exists on this machine, else the latest."""
        return self.video.source

    @property
    def title(self) -> str:
        """The container's title, or the name of the file at `source` without its extension."""
        return self.video.title

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.video.duration


ChooseSource = Callable[[str, Sequence[VideoSource]], VideoSource]
"""Returns the source of a video on this machine, given its id and all its sources."""


class Catalogue:
    """The collection of video records.

    A record names the save whose pages and moments belong to it: writing it switches readers to them. The collection
    has a `token` that is replaced by a random one whenever any record changes. Comparing it shows that something has
    changed.

    Args:
        client: The Chroma client.
        collection: The collection.
        choose_source: Chooses the `source` of each record.
    """

    def __init__(self, client: ClientAPI, collection: Collection, choose_source: ChooseSource) -> None:
        self._client = client
        self._choose_source = choose_source
        self.collection = collection

    def token(self) -> str | None:
        """Return the token of the latest change from the server; None if nothing was ever written."""
        found = self.collection.get(ids=[_TOKEN_ID], include=["metadatas"])["metadatas"]
        if found:
            return str(found[0][_TOKEN])
        # Earlier versions wrote it into the metadata of the collection.
        metadata = self._client.get_collection(self.collection.name, embedding_function=None).metadata
        return (metadata or {}).get(_TOKEN)

    def get(self, video_id: str) -> VideoRecord | None:
        """Return one record; None if there is no such record."""
        return next(self._load(self.collection.get(ids=[video_id], include=["documents", "metadatas"])), None)

    def all(self) -> list[VideoRecord]:
        """Return all records in the order in which they were stored."""
        records = self._load(self.collection.get(include=["documents", "metadatas"]))
        return sorted(records, key=lambda record: (record.indexed_at, record.video_id))

    def put(self, record: VideoRecord) -> None:
        """Write a record, which replaces the earlier one for all readers at once."""
        fields = asdict(record)
        video_id, video, _ = (fields.pop(name) for name in ("video_id", "video", "sources"))
        # Chroma keeps the fields of an earlier record: None deletes what an earlier version wrote.
        outdated = dict.fromkeys(["revision", *_OLD_FIELDS])
        metadata = fields | outdated | {"sources": dump_sources(record.sources), _VISIBLE: True}
        self._upsert({video_id: (json.dumps(video), metadata)})

    def hide(self, video_id: str) -> bool:
        """Hide a record from readers; return whether there is such a record, hidden or not."""
        found = self.collection.get(ids=[video_id], include=["documents"])
        for document in found["documents"] or []:
            self._upsert({video_id: (document, {_VISIBLE: False})})
        return bool(found["ids"])

    def delete_hidden(self, video_id: str) -> None:
        """Delete a record, unless the video was saved again after it had been hidden."""
        self.collection.delete(ids=[video_id], where={_VISIBLE: False})
        self._upsert({})  # Chroma may have deleted a record that was written at this very moment.

    def mark_stale(self, video_id: str) -> None:
        """Mark a video to be perceived again."""
        # Not the whole record: another program may have saved the video since it was read.
        self.collection.update(ids=[video_id], metadatas=[{"stale": True}])

    def update_sources(self, record: VideoRecord, sources: Sequence[VideoSource]) -> VideoRecord:
        """Write the sources of a record, and nothing else; return the record with them."""
        self._upsert({})  # Chroma ignores updates of what does not exist: earlier versions had no record for the token.
        self.collection.update(
            ids=[record.video_id, _TOKEN_ID],
            embeddings=_no_embeddings(2),
            metadatas=[{"sources": dump_sources(sources)}, {_TOKEN: uuid.uuid4().hex}],
        )
        return self._with_sources(record, sources)

    def _upsert(self, records: dict[str, tuple[str, dict[str, Any]]]) -> None:
        """Write records, and change the token: in one call, so that no interruption can come between."""
        written = records | {_TOKEN_ID: ("", {_TOKEN: uuid.uuid4().hex})}
        self.collection.upsert(
            ids=list(written),
            embeddings=_no_embeddings(len(written)),
            documents=[document for document, _ in written.values()],
            metadatas=[metadata for _, metadata in written.values()],
        )

    def _load(self, found: GetResult) -> Iterator[VideoRecord]:
        rows = zip(found["ids"], found["documents"] or [], found["metadatas"] or [], strict=True)
        for video_id, document, metadata in rows:
            # The collection also has the token, and leases of saves.
            if document and metadata.get(_VISIBLE, True):
                yield self._load_record(video_id, document, dict(metadata))

    def _load_record(self, video_id: str, document: str, metadata: dict[str, Any]) -> VideoRecord:
        fields: dict[str, Any] = {_OLD_FIELDS.get(key, key): value for key, value in metadata.items()}
        sources = fields.pop("sources", None)
        for name in ("revision", _VISIBLE):
            fields.pop(name, None)
        try:
            record = VideoRecord(video_id=video_id, video=load_video(json.loads(document)), **fields)
        except (TypeError, ValueError) as error:
            problem = "was stored by an incompatible version of langchain-videochat"
            raise StoreError(f"video {video_id}", problem, "Index it again into a new store") from error
        known = (VideoSource(record.video.source, record.sidecars),) if sources is None else load_sources(sources)
        return self._with_sources(record, known)

    def _with_sources(self, record: VideoRecord, sources: Sequence[VideoSource]) -> VideoRecord:
        chosen = self._choose_source(record.video_id, sources)
        video = replace(record.video, source=chosen.address, title=chosen.title or record.title)
        return replace(record, video=video, sources=tuple(sources))


def _no_embeddings(count: int) -> NDArray[np.float32]:
    """Return embeddings for records that are never searched; Chroma requires some."""
    return np.zeros((count, 1), np.float32)
