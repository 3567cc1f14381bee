"""Writing of whole videos to the collections."""

import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

import chromadb
import httpx
import numpy as np
from chromadb.errors import ChromaError
from langchain_chroma import Chroma
from langchain_core.embeddings import Embeddings
from langchain_core.utils.iter import batch_iterate
from numpy.typing import NDArray

from langchain_videochat.errors import InputError, StoreError
from langchain_videochat.media.sources import absolute_source
from langchain_videochat.store.addresses import VideoSource, put_first
from langchain_videochat.store.catalogue import Catalogue, VideoRecord
from langchain_videochat.store.leases import Lease, has_leases, revoke_expired
from langchain_videochat.store.observation_vectors import Int8Vectors, distinct_texts, quantize_vector, quantize_vectors
from langchain_videochat.store.pages import Pages, count_pages
from langchain_videochat.store.provenance import Provenance
from langchain_videochat.store.quotas import MAX_RECORDS, MAX_VALUE_BYTES, scan_rows, shorten
from langchain_videochat.store.record_ids import DRAFT, check_video_id, group_by_save, record_id
from langchain_videochat.store.stored_moments import to_stored
from langchain_videochat.store.visual_embedding import VisualEmbedding
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.tracing import Stopwatch

WRITE_BATCH = 100
"""Number of moments that are written at once."""

EMBED_TEXTS = 256
"""Number of texts that are embedded at once."""

_STORAGE_ERRORS = (StoreError, ChromaError, sqlite3.Error, httpx.HTTPError)


@dataclass(frozen=True)
class StoreCollections:
    """The collections of a store in Chroma."""

    catalogue: Catalogue
    pages: Pages
    moments: Chroma
    moment_records: chromadb.Collection
    """The collection of `moments`, for writing vectors that were embedded together with others."""

    embedding: Embeddings
    visual: VisualEmbedding
    check_space: Callable[[], None]
    """Called before each batch is written; raises a StoreError if the disk is full."""


@dataclass(frozen=True)
class NewVersion:
    """A version of a video that is to be saved."""

    timeline: Timeline

    provenance: Provenance
    """How it was made."""

    save_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Random id of the save. If a save fails because a server stops, the same id is used again: nothing is stored
    twice."""


OnSaved = Callable[[int, float], None]
"""Called with the position of a video in a batch, and the progress of saving it in seconds of video."""


def save(collections: StoreCollections, version: NewVersion) -> VideoRecord:
    """Write a video and replace its earlier version; see `save_all`."""
    (record,) = save_all(collections, [version])
    return record


def save_all(
    collections: StoreCollections,
    versions: Sequence[NewVersion],
    on_saved: OnSaved = lambda *_: None,
    embedding_time: Stopwatch | None = None,
) -> list[VideoRecord]:
    """Write different videos and replace their earlier versions; texts are embedded and written in common batches.

    Pages and moments get ids of this save, and the record is written last: readers see the old version until the new
    one is complete. If several writers save one video at the same time, the last record wins. Unreferenced pages and
    moments are deleted afterwards, except those of saves that are in progress. A relative source becomes absolute,
    because readers may have another current folder.

    Args:
        collections: Where they are written.
        versions: The videos.
        on_saved: Called with the progress.
        embedding_time: Measures the time of embedding.

    Raises:
        StoreError: Frames were embedded with another visual model than those in the store.
        InputError: The vector of a frame is damaged, or the id or the address of a video is too long.
    """
    for one in versions:
        check_video_id(one.timeline.video_id)
        collections.visual.check_frames(one.timeline)
    saves = [_Save(number, _with_stored_names(one)) for number, one in enumerate(versions)]
    timer = embedding_time or Stopwatch("embed")
    records: dict[int, VideoRecord] = {}
    while saves:
        records |= _try_to_save(collections, saves, on_saved, timer)
        # If a process is suspended for long, another writer takes its saves for dead.
        saves = [_Save(one.number, _with_new_id(one.version)) for one in saves if one.number not in records]
    for record in records.values():
        delete_unused(collections, record.video_id)
    return [records[number] for number in range(len(versions))]


def remove(collections: StoreCollections, video_id: str) -> None:
    """Delete a video; after an interruption readers do not find it, and it can be removed or saved again.

    Raises:
        InputError: There is no such video.
    """
    if not collections.catalogue.hide(video_id):
        raise InputError("video_id", f"{video_id!r} is not in this store", "Use an id that videos() returns")
    delete_unused(collections, video_id)
    collections.pages.delete(collections.pages.list_saves(video_id).get(DRAFT, []))
    collections.catalogue.finish_removal(video_id)


def delete_unused(collections: StoreCollections, video_id: str) -> None:
    """Delete the pages and moments of a video that belong neither to its record nor to a save in progress."""
    catalogue = collections.catalogue
    # In this order: a save that has written anything has a lease until its record is written.
    moments, pages = _list_moments(collections, video_id), collections.pages.list_saves(video_id)
    leases = revoke_expired(collections.pages.collection, video_id)
    record = catalogue.get(video_id)
    used = {DRAFT, *leases.in_progress, *([] if record is None else [record.save_id])}
    # Readers who find all pages of a save need its moments.
    for batch in batch_iterate(MAX_RECORDS, _except(moments, used)):
        collections.moments.delete(batch)
    collections.pages.delete(_except(pages, used))
    collections.pages.delete(leases.finished)


def delete_leftovers(collections: StoreCollections, video_id: str) -> None:
    """Delete what killed saves of a video have left; without any this costs one cheap call to Chroma."""
    if has_leases(collections.pages.collection, video_id):
        delete_unused(collections, video_id)


class _Save:
    """A version of a video while it is being saved."""

    def __init__(self, number: int, version: NewVersion) -> None:
        timeline = version.timeline
        self.number = number
        """Its position among the versions."""
        self.version = version
        self.documents = list(map(to_stored, timeline.to_documents("moment")))
        self.texts = distinct_texts(timeline.observations)
        self.record = VideoRecord(
            video_id=timeline.video_id,
            video=timeline.video,
            observations=len(timeline),
            moments=len(self.documents),
            pages=count_pages(timeline.observations),
            indexed_at=datetime.now(UTC).isoformat(),
            save_id=version.save_id,
            **asdict(version.provenance),
        )

    def moment_ids(self) -> list[str]:
        """Return the ids of its moments in Chroma."""
        return [
            record_id(self.record.video_id, self.record.save_id, f"{number:06d}")
            for number in range(len(self.documents))
        ]


def _with_stored_names(version: NewVersion) -> NewVersion:
    """Return a version with an absolute source, and a title that is short enough to be stored."""
    video = version.timeline.video
    video = replace(video, source=absolute_source(video.source), title=shorten(video.title, MAX_VALUE_BYTES))
    return replace(version, timeline=replace(version.timeline, video=video))


def _with_new_id(version: NewVersion) -> NewVersion:
    return NewVersion(version.timeline, version.provenance)


def _try_to_save(
    collections: StoreCollections, saves: Sequence[_Save], on_saved: OnSaved, timer: Stopwatch
) -> dict[int, VideoRecord]:
    """Write videos and switch readers to them; leave those out whose lease was lost, so that parts may be missing."""
    collections.check_space()
    with ExitStack() as stack:
        leases = [stack.enter_context(_leased(collections, one.record)) for one in saves]

        def progress(fraction: float) -> None:
            for one, lease in zip(saves, leases, strict=True):
                lease.renew()
                on_saved(one.number, fraction * one.record.duration)

        with timer.running():
            vectors = _embed_all(collections.embedding, saves, lambda fraction: progress(fraction / 2))
        for one in saves:
            collections.check_space()
            observations = one.version.timeline.observations
            texts, moments = _quantize_texts(one, vectors), _quantize_moments(one, vectors)
            collections.pages.write(one.record.video_id, one.record.save_id, observations, texts, moments)
        _write_moments(collections, saves, vectors, lambda fraction: progress((1 + fraction) / 2))
        held = [one for one, lease in zip(saves, leases, strict=True) if lease.is_held()]
        records = {one.number: _put_record(collections, one) for one in held}
        return {one.number: records[one.number] for one, lease in zip(saves, leases, strict=True) if lease.is_held()}


def _embed_all(
    embedding: Embeddings, saves: Sequence[_Save], progress: Callable[[float], None]
) -> dict[str, NDArray[np.float32]]:
    """Return the embedding of each text of the videos."""
    texts = [
        text
        for one in saves
        for text in (one.record.title, *one.texts, *(document.page_content for document in one.documents))
    ]
    distinct = list(dict.fromkeys(texts))
    vectors: dict[str, NDArray[np.float32]] = {}
    for batch in batch_iterate(EMBED_TEXTS, distinct):
        vectors |= zip(batch, np.asarray(embedding.embed_documents(batch), dtype=np.float32), strict=True)
        progress(len(vectors) / len(distinct))
    return vectors


def _quantize_texts(save: _Save, vectors: Mapping[str, NDArray[np.float32]]) -> dict[str, Int8Vectors]:
    """Return the vectors of the texts of a video's observations."""
    if not save.texts:
        return {}
    quantized = quantize_vectors(np.stack([vectors[text] for text in save.texts]), vectors[save.record.title])
    return dict(zip(save.texts, quantized, strict=True))


def _quantize_moments(save: _Save, vectors: Mapping[str, NDArray[np.float32]]) -> list[tuple[float, Int8Vectors]]:
    """Return the start and the vector of each moment of a video."""
    return [(one.metadata["start"], quantize_vector(vectors[one.page_content])) for one in save.documents]


def _write_moments(
    collections: StoreCollections,
    saves: Sequence[_Save],
    vectors: Mapping[str, NDArray[np.float32]],
    progress: Callable[[float], None],
) -> None:
    rows = [row for one in saves for row in zip(one.moment_ids(), one.documents, strict=True)]
    for first in range(0, len(rows), WRITE_BATCH):
        batch = rows[first : first + WRITE_BATCH]
        collections.check_space()
        collections.moment_records.upsert(
            ids=[moment_id for moment_id, _ in batch],
            embeddings=np.stack([vectors[document.page_content] for _, document in batch]),
            documents=[document.page_content for _, document in batch],
            metadatas=[document.metadata for _, document in batch],
        )
        progress((first + len(batch)) / len(rows))


def _put_record(collections: StoreCollections, save: _Save) -> VideoRecord:
    # Not earlier: other programs may have added sources in the meantime.
    record = save.record
    replaced = collections.catalogue.get(record.video_id)
    source = VideoSource.of(record.source, record.sidecars, record.title)
    record = replace(record, sources=put_first(() if replaced is None else replaced.sources, source))
    collections.visual.record_model(save.version.timeline)
    collections.catalogue.put(record)
    return record


@contextmanager
def _leased(collections: StoreCollections, record: VideoRecord) -> Iterator[Lease]:
    """Hold a lease for a save; if the save fails, delete what it has written."""
    lease = Lease(collections.pages.collection, record.video_id, record.save_id)
    try:
        yield lease
    except _STORAGE_ERRORS:
        raise  # A later save deletes it when the lease has expired: the store cannot be written now.
    except (Exception, KeyboardInterrupt):
        lease.finish()
        delete_unused(collections, record.video_id)
        raise
    lease.finish()


def _list_moments(collections: StoreCollections, video_id: str) -> dict[str, list[str]]:
    """Return the ids of the moments of a video by save."""
    rows = scan_rows(collections.moment_records, {"video_id": video_id}, ids_only=True)
    return group_by_save(video_id, (row.id for row in rows))


def _except(ids_by_save: Mapping[str, Sequence[str]], used: set[str]) -> list[str]:
    return [one for save_id, ids in ids_by_save.items() if save_id not in used for one in ids]
