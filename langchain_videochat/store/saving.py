"""Writing of whole videos to the collections, and updates of the local index from them."""

import logging
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

import httpx
import numpy as np
from chromadb.errors import ChromaError, InternalError
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.utils.iter import batch_iterate
from numpy.typing import NDArray

from langchain_videochat.errors import InputError, StoreError
from langchain_videochat.media.sources import absolute_source
from langchain_videochat.perception import Observation
from langchain_videochat.store.addresses import VideoSource, put_first
from langchain_videochat.store.catalogue import Catalogue, VideoRecord
from langchain_videochat.store.frame_index import FrameVectors, load_frames
from langchain_videochat.store.hits import timed_words
from langchain_videochat.store.leases import Lease, has_leases, revoke_expired
from langchain_videochat.store.local_index import IndexedMoment, IndexedVersion, LocalIndex, retitle
from langchain_videochat.store.observation_vectors import (
    Int8Vectors,
    distinct_texts,
    observation_texts,
    quantize_vector,
    quantize_vectors,
)
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

_LOG = logging.getLogger(__name__)

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


def update_index(index: LocalIndex, collections: StoreCollections) -> str | None:
    """Update the local index from the collections; without changes this costs one cheap call to Chroma.

    Returns:
        The token of the catalogue that the index is up to date with.
    """
    # The token is read before the records: the next iteration then notices a change in between.
    while (token := collections.catalogue.token()) != index.token():
        records = {record.video_id: record for record in collections.catalogue.all()}
        indexed = index.versions()
        for video_id in indexed.keys() - records.keys():
            index.delete_video(video_id)
        for record in records.values():
            version = IndexedVersion.of(record)
            known = indexed.get(record.video_id)
            if known is None or not known.has_same_moments(version):
                _index_video(index, collections, record)
            elif known != version:
                index.put_sources(record.video_id, version)
        index.set_token(token)
    return token


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


def _index_video(index: LocalIndex, collections: StoreCollections, record: VideoRecord) -> None:
    moments = list(_read_moments(collections, record))
    # If moments are missing because a later save has replaced the record, the token has changed too.
    if len(moments) == record.moments or collections.catalogue.get(record.video_id) == record:
        index.put_video(record.video_id, IndexedVersion.of(record), moments)


def _read_moments(collections: StoreCollections, record: VideoRecord) -> Iterator[IndexedMoment]:
    # The pages first: they are deleted after the moments.
    found_pages = collections.pages.read_with_vectors(record.video_id, record.save_id, record.pages)
    timeline, texts = found_pages or ([], {})
    moments = Timeline(record.video, record.video_id, tuple(timeline)).moments()
    by_start = {round(one.start, 3): one for one in moments}
    frames = _load_frames(collections, record, timeline)
    for batch in batch_iterate(READ_BATCH, range(record.moments)):
        ids = [record_id(record.video_id, record.save_id, f"{number:06d}") for number in batch]
        found = _get_moments(collections.moments, ids)
        rows = zip(found["ids"], found["documents"], found["metadatas"], found["embeddings"], strict=True)
        # Chroma does not return records in order; inserting them in time order stores neighbors together.
        for _, text, metadata, vector in sorted(rows, key=itemgetter(0)):
            document = retitle(Document(page_content=text, metadata=metadata), record.title)
            moment = by_start.get(metadata["start"])
            observations = moment.observations if moment else ()
            known = [texts[one] for one in observation_texts(observations) if one in texts]
            whole = quantize_vector(np.asarray(vector, dtype=np.float32))
            shown = FrameVectors.of(moment.frames if moment else (), frames)
            yield IndexedMoment(document, timed_words(observations), np.stack([whole, *known]), shown)


def _load_frames(
    collections: StoreCollections, record: VideoRecord, observations: Sequence[Observation]
) -> dict[str, NDArray[np.float32]]:
    """Return the vectors of a video's frames by their text form; warn of those that cannot be used."""
    given = {one.vector for one in observations} - {None}
    if not given:
        return {}
    visual = collections.visual.record()
    loaded = load_frames(observations, None if visual is None else visual.dimensions)
    if len(loaded) < len(given):
        problem = "video %s: %d frames are left out of searches, because their vectors are damaged or of another model"
        _LOG.warning(problem, record.video_id, len(given) - len(loaded))
    return loaded


def _get_moments(moments: Chroma, ids: list[str]) -> dict[str, Any]:
    include = ["documents", "metadatas", "embeddings"]
    try:
        return moments.get(ids, include=include)
    except InternalError as error:
        if "Error finding id" not in str(error):
            raise
        # If another program wrote to the folder, Chroma knows the moments at once, but reads their vectors only before
        # the next write of this process. This one changes nothing.
        moments.delete(["no such moment"])
        return moments.get(ids, include=include)


def _list_moments(collections: StoreCollections, video_id: str) -> dict[str, list[str]]:
    """Return the ids of the moments of a video by save."""
    return group_by_save(video_id, collections.moments.get(where={"video_id": video_id}, include=[])["ids"])


def _except(ids_by_save: Mapping[str, Sequence[str]], used: set[str]) -> list[str]:
    return [one for save_id, ids in ids_by_save.items() if save_id not in used for one in ids]
