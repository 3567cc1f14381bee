"""Writing of whole videos to the collections."""

import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

import httpx
import numpy as np
from chromadb.errors import ChromaError
from langchain_chroma import Chroma
from langchain_core.embeddings import Embeddings
from langchain_core.utils.iter import batch_iterate

from langchain_videochat.errors import InputError, StoreError
from langchain_videochat.media.sources import absolute_source
from langchain_videochat.store.addresses import VideoSource, put_first
from langchain_videochat.store.catalogue import Catalogue, VideoRecord
from langchain_videochat.store.leases import Lease, has_leases, revoke_expired
from langchain_videochat.store.observation_vectors import Int8Vectors, distinct_texts, quantize_vectors
from langchain_videochat.store.pages import Pages, count_pages
from langchain_videochat.store.provenance import Provenance
from langchain_videochat.store.record_ids import DRAFT, group_by_save, record_id
from langchain_videochat.store.visual_embedding import VisualEmbedding
from langchain_videochat.timeline import Timeline

EMBED_BATCH = 32
"""Number of moments that are embedded and written at once."""

EMBED_TEXTS = 256
"""Number of texts of observations that are embedded at once."""

READ_BATCH = 500
"""Number of moments that are read at once."""

_STORAGE_ERRORS = (StoreError, ChromaError, sqlite3.Error, httpx.HTTPError)


@dataclass(frozen=True)
class StoreCollections:
    """The collections of a store in Chroma."""

    catalogue: Catalogue
    pages: Pages
    moments: Chroma
    embedding: Embeddings
    visual: VisualEmbedding
    check_space: Callable[[], None]
    """Called before each batch is written; raises a StoreError if the disk is full."""


def save(
    collections: StoreCollections,
    timeline: Timeline,
    provenance: Provenance,
    on_progress: Callable[[float], None] = lambda _: None,
) -> VideoRecord:
    """Write a video and replace its earlier version.

    Pages and moments get ids of this save, and the record is written last: readers see the old video until the new one
    is whole. If several writers save one video at the same time, the last record wins. What no record names any more
    is deleted afterwards, except for the pages and moments of saves that are in progress. A relative source becomes
    absolute, because readers may have another current folder.

    Args:
        collections: Where it is written.
        timeline: The timeline of the video.
        provenance: How it was made.
        on_progress: Called with the progress, in seconds of video.

    Raises:
        StoreError: Its frames were embedded with another visual model than those in the store.
        InputError: The vector of a frame is damaged.
    """
    collections.visual.check_frames(timeline)
    video = replace(timeline.video, source=absolute_source(timeline.video.source))
    timeline = replace(timeline, video=video)
    while (record := _try_to_save(collections, timeline, provenance, on_progress)) is None:
        pass  # The process was suspended for so long that another writer took the save for dead.
    delete_unused(collections, record.video_id)
    return record


def remove(collections: StoreCollections, video_id: str) -> None:
    """Delete a video; after an interruption readers do not find it, and it can be removed or saved again.

    Raises:
        InputError: There is no such video.
    """
    if not collections.catalogue.hide(video_id):
        raise InputError("video_id", f"{video_id!r} is not in this store", "Use an id that videos() returns")
    delete_unused(collections, video_id)
    collections.pages.delete(collections.pages.list_saves(video_id).get(DRAFT, []))
    collections.catalogue.delete_hidden(video_id)


def delete_unused(collections: StoreCollections, video_id: str) -> None:
    """Delete the pages and moments of a video that belong neither to its record nor to a save in progress."""
    catalogue = collections.catalogue
    # In this order: a save that has written anything has a lease until its record is written.
    moments, pages = _list_moments(collections, video_id), collections.pages.list_saves(video_id)
    leases = revoke_expired(catalogue.collection, video_id)
    record = catalogue.get(video_id)
    used = {DRAFT, *leases.in_progress, *([] if record is None else [record.save_id])}
    # Readers who find all pages of a save need its moments.
    for batch in batch_iterate(READ_BATCH, _except(moments, used)):
        collections.moments.delete(batch)
    collections.pages.delete(_except(pages, used))
    if leases.finished:
        catalogue.collection.delete(ids=leases.finished)


def delete_leftovers(collections: StoreCollections, video_id: str) -> None:
    """Delete what killed saves of a video have left; without any this costs one cheap call to Chroma."""
    if has_leases(collections.catalogue.collection, video_id):
        delete_unused(collections, video_id)


def _try_to_save(
    collections: StoreCollections, timeline: Timeline, provenance: Provenance, on_progress: Callable[[float], None]
) -> VideoRecord | None:
    """Write a video and switch readers to it; return None if the lease was lost, so that parts may be missing."""
    documents = list(timeline.to_documents("moment"))
    record = VideoRecord(
        video_id=timeline.video_id,
        video=timeline.video,
        observations=len(timeline),
        moments=len(documents),
        pages=count_pages(timeline.observations),
        indexed_at=datetime.now(UTC).isoformat(),
        save_id=uuid.uuid4().hex,
        **asdict(provenance),
    )
    collections.check_space()
    with _leased(collections, record) as lease:
        vectors: dict[str, Int8Vectors] = {}
        for done, embedded in _embed_observations(collections.embedding, timeline):
            lease.renew()
            vectors |= embedded
            on_progress(done * record.duration / 2)
        collections.pages.write(record.video_id, record.save_id, timeline.observations, vectors)
        for batch in batch_iterate(EMBED_BATCH, enumerate(documents)):
            collections.check_space()
            lease.renew()
            ids = [record_id(record.video_id, record.save_id, f"{number:06d}") for number, _ in batch]
            collections.moments.add_documents([document for _, document in batch], ids=ids)
            on_progress((record.duration + batch[-1][1].metadata["end"]) / 2)
        if not lease.is_held():
            return None
        # Not earlier: other programs may have added sources in the meantime.
        replaced = collections.catalogue.get(record.video_id)
        source = VideoSource.of(record.source, record.sidecars, record.title)
        record = replace(record, sources=put_first(() if replaced is None else replaced.sources, source))
        collections.visual.record_model(timeline)
        collections.catalogue.put(record)
        return record if lease.is_held() else None


def _embed_observations(embedding: Embeddings, timeline: Timeline) -> Iterator[tuple[float, dict[str, Int8Vectors]]]:
    """Embed the texts of observations; yield the fraction done, 0 to 1, and the next vectors."""
    texts = distinct_texts(timeline.observations)
    title = np.asarray(embedding.embed_documents([timeline.video.title])[0], dtype=np.float32)
    for first in range(0, len(texts), EMBED_TEXTS):
        batch = texts[first : first + EMBED_TEXTS]
        vectors = quantize_vectors(np.asarray(embedding.embed_documents(batch), dtype=np.float32), title)
        yield (first + len(batch)) / len(texts), dict(zip(batch, vectors, strict=True))


@contextmanager
def _leased(collections: StoreCollections, record: VideoRecord) -> Iterator[Lease]:
    """Hold a lease for a save; if the save fails, delete what it has written."""
    lease = Lease(collections.catalogue.collection, record.video_id, record.save_id)
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
    return group_by_save(video_id, collections.moments.get(where={"video_id": video_id}, include=[])["ids"])


def _except(ids_by_save: Mapping[str, Sequence[str]], used: set[str]) -> list[str]:
    return [one for save_id, ids in ids_by_save.items() if save_id not in used for one in ids]
