"""The catalogue of a store: one record per video, and a token that changes with every write."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import chromadb
import numpy as np
from chromadb.api import ClientAPI
from chromadb.api.types import Metadata
from numpy.typing import NDArray

from langchain_videochat.errors import StoreError
from langchain_videochat.media import VideoInfo
from langchain_videochat.store.addresses import VideoSource, dump_sources
from langchain_videochat.store.own_writes import count_write
from langchain_videochat.store.quotas import Row, read_rows, scan_rows
from langchain_videochat.store.record_format import (
    CHANGED,
    REMOVING,
    STALE,
    VISIBLE,
    dump_fitting_sources,
    dump_record,
    dump_tombstone,
    has_old_format,
    load_record,
)
from langchain_videochat.store.revisions import MARGIN_MS, make_token, next_revision
from langchain_videochat.timeline.formats import load_video

_TOKEN = "token"  # noqa: S105 - not a password

_TOKEN_ID = ":token"  # noqa: S105
"""Id of the record that holds the token: it is written together with the record of a video, in one call."""


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

    A record names the save whose pages and moments belong to it: writing it switches readers to them. Each write gives
    the record a revision, and changes the `token` of the collection, which contains this revision. A reader compares
    the token with the one that it knows, and reads the records that have changed since; see `revisions`. A removed
    video leaves a tombstone for such readers.

    Args:
        client: The Chroma client.
        collection: The collection.
        choose_source: Chooses the `source` of each record.
    """

    def __init__(self, client: ClientAPI, collection: chromadb.Collection, choose_source: ChooseSource) -> None:
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
        return self.get_many([video_id]).get(video_id)

    def get_many(self, video_ids: Collection[str]) -> dict[str, VideoRecord]:
        """Return those of some records that exist, by video id."""
        return {record.video_id: record for record in self._visible(read_rows(self.collection, video_ids))}

    def all(self) -> list[VideoRecord]:
        """Return all records in the order in which they were stored."""
        return sorted(self.scan(), key=lambda record: (record.indexed_at, record.video_id))

    def scan(self) -> Iterator[VideoRecord]:
        """Read all records one after the other.

        This version deletes no record of the collection, so that none is left out because others are deleted meanwhile.
        """
        return self._visible(scan_rows(self.collection))

    def changed_since(self, revision: int) -> Iterator[tuple[str, VideoRecord | None]]:
        """Return the ids and the records of the videos that were changed at a revision or later; None if removed."""
        for row in scan_rows(self.collection, {CHANGED: {"$gte": revision}}):
            yield row.id, next(self._visible([row]), None)

    def put(self, record: VideoRecord) -> None:
        """Write a record, which replaces the earlier one for all readers at once.

        Raises:
            InputError: The address of the video is too long.
        """
        fields = asdict(record)
        for name in ("video_id", "sources"):
            del fields[name]
        self._write(record.video_id, *dump_record(fields, record.sources))

    def hide(self, video_id: str) -> bool:
        """Replace a record by a tombstone; return whether there is a record, or one that is being removed."""
        for row in read_rows(self.collection, [video_id]):
            if row.document or row.metadata.get(REMOVING):
                self._write(video_id, *dump_tombstone(row))
                return True
        return False

    def finish_removal(self, video_id: str) -> None:
        """Record that what belonged to a hidden record is deleted."""
        # Not the whole tombstone: another program may have saved the video again.
        self.collection.update(ids=[video_id], metadatas=[{REMOVING: None}])

    def mark_stale(self, video_id: str) -> None:
        """Mark a video to be perceived again.

        The token stays the same: only `index` needs the mark, and reads the record itself.
        """
        # Not the whole record: another program may have saved the video since it was read.
        self.collection.update(ids=[video_id], metadatas=[{STALE: True}])

    def update_sources(self, record: VideoRecord, sources: Sequence[VideoSource]) -> VideoRecord:
        """Write the sources of a record, and nothing else; return the record with them.

        Raises:
            InputError: The address of the first source is too long.
        """
        for row in read_rows(self.collection, [record.video_id]):
            if has_old_format(row):
                self._write_token()
                self._update(row.id, None, {"sources": dump_sources(sources)})
            elif row.document:
                self._update(row.id, dump_fitting_sources(sources), {})
        return self._with_sources(record, sources)

    def _write(self, video_id: str, document: str, metadata: Metadata) -> None:
        def write(changed: Metadata, token: Metadata) -> None:
            self.collection.upsert(
                ids=[video_id, _TOKEN_ID],
                embeddings=_no_embeddings(2),
                documents=[document, ""],
                metadatas=[{**metadata, **changed}, token],
            )

        self._stamp(write)

    def _update(self, video_id: str, document: str | None, metadata: Metadata) -> None:
        def write(changed: Metadata, token: Metadata) -> None:
            self.collection.update(
                ids=[video_id, _TOKEN_ID],
                documents=None if document is None else [document, ""],
                embeddings=_no_embeddings(2),
                metadatas=[{**metadata, **changed}, token],
            )

        self._stamp(write)

    def _write_token(self) -> None:
        """Write a record for the token: earlier versions had none, and Chroma ignores updates of missing records."""
        self.collection.upsert(
            ids=[_TOKEN_ID], embeddings=_no_embeddings(1), documents=[""], metadatas=[{_TOKEN: make_token(0)}]
        )
        count_write(self.collection.id)

    def _stamp(self, write: Callable[[Metadata, Metadata], None]) -> None:
        """Write a record with a revision, and the token: in one call, so that no interruption can come between.

        Args:
            write: Called with the metadata of the record and of the token.
        """
        is_late = True
        while is_late:
            started = time.monotonic()
            revision = next_revision(self._client.heartbeat() // 1_000_000, self.token())
            write({CHANGED: revision}, {_TOKEN: make_token(revision)})
            # Readers may have passed the revision if the process was suspended, or the server did not answer.
            is_late = (time.monotonic() - started) * 1000 > MARGIN_MS / 2
        count_write(self.collection.id)

    def _visible(self, rows: Iterable[Row]) -> Iterator[VideoRecord]:
        # The collection also has the token, the records of models, and tombstones.
        return (self._load(row) for row in rows if row.document and row.metadata.get(VISIBLE, True))

    def _load(self, row: Row) -> VideoRecord:
        try:
            fields, sources = load_record(row)
            video = load_video(fields.pop("video"))
            record = VideoRecord(video_id=row.id, video=video, **fields)
        except (TypeError, ValueError, KeyError) as error:
            problem = "was stored by an incompatible version of langchain-videochat"
            raise StoreError(f"video {row.id}", problem, "Index it again into a new store") from error
        return self._with_sources(record, sources or (VideoSource(video.source, record.sidecars),))

    def _with_sources(self, record: VideoRecord, sources: Sequence[VideoSource]) -> VideoRecord:
        chosen = self._choose_source(record.video_id, sources)
        video = replace(record.video, source=chosen.address, title=chosen.title or record.title)
        return replace(record, video=video, sources=tuple(sources))


def _no_embeddings(count: int) -> NDArray[np.float32]:
    """Return embeddings for records that are never searched; Chroma requires some."""
    return np.zeros((count, 1), np.float32)
