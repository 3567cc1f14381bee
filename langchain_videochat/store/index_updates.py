"""Updates of the local index from the collections."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from chromadb.errors import InternalError
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.utils.iter import batch_iterate
from numpy.typing import NDArray

from langchain_videochat.perception import Observation
from langchain_videochat.store.catalogue import VideoRecord
from langchain_videochat.store.frame_index import FrameVectors, load_frames
from langchain_videochat.store.hits import timed_words
from langchain_videochat.store.local_index import IndexedMoment, IndexedVersion, LocalIndex, retitle
from langchain_videochat.store.observation_vectors import Int8Vectors, observation_texts, quantize_vector
from langchain_videochat.store.pages import PageContent, PageRange
from langchain_videochat.store.quotas import MAX_RECORDS
from langchain_videochat.store.record_ids import record_id
from langchain_videochat.store.revisions import unread_since
from langchain_videochat.store.saving import StoreCollections
from langchain_videochat.store.stored_moments import from_stored, is_cut
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.interval import Interval

MAX_REFRESHES = 10
"""How often Chroma is made to read what other programs wrote to a folder: while they write, once may be too early."""

_LOG = logging.getLogger(__name__)


def update_index(index: LocalIndex, collections: StoreCollections) -> str | None:
    """Update the local index from the collections; without changes this costs one cheap call to Chroma.

    Only the records that have changed since the last update are read, unless an earlier version of this package has
    written to the store, or the last update was interrupted. What others write meanwhile may be left for the next
    update. Call it in `index.updating()`.

    Returns:
        The token of the catalogue that the index is up to date with.
    """
    # The token is read before the records: the next update then notices a change in between.
    token = collections.catalogue.token()
    known = index.token()
    if token == known:
        return token
    since = unread_since(known, token)
    if since is None:
        _update_all(index, collections)
    else:
        _update_changed(index, collections, since)
    index.set_token(token)
    return token


def _update_all(index: LocalIndex, collections: StoreCollections) -> None:
    indexed = index.versions()
    for record in collections.catalogue.scan():
        _update_video(index, collections, record, indexed.pop(record.video_id, None))
    for video_id in indexed:
        index.delete_video(video_id)


def _update_changed(index: LocalIndex, collections: StoreCollections, since: int) -> None:
    for batch in batch_iterate(MAX_RECORDS, collections.catalogue.changed_since(since)):
        indexed = index.versions([video_id for video_id, _ in batch])
        for video_id, record in batch:
            if record is not None:
                _update_video(index, collections, record, indexed.get(video_id))
            elif video_id in indexed:
                index.delete_video(video_id)


def _update_video(
    index: LocalIndex, collections: StoreCollections, record: VideoRecord, known: IndexedVersion | None
) -> None:
    version = IndexedVersion.of(record)
    if known is None or not known.has_same_moments(version):
        _index_video(index, collections, record)
    elif known != version:
        index.put_sources(record.video_id, version)


def _index_video(index: LocalIndex, collections: StoreCollections, record: VideoRecord) -> None:
    latest: VideoRecord | None = record
    while latest is not None:
        moments = []
        for moment in _read_moments(collections, latest):
            moments.append(moment)
            index.pause()
        # If moments are missing, a later save may have replaced the record: readers must find one of the two versions.
        known, is_complete = latest, len(moments) == latest.moments
        latest = None if is_complete else collections.catalogue.get(known.video_id)
        if is_complete or latest == known:
            index.put_video(known.video_id, IndexedVersion.of(known), moments)
            return


def _read_moments(collections: StoreCollections, record: VideoRecord) -> Iterator[IndexedMoment]:
    # The pages first: they are deleted after the moments.
    pages = PageRange.of(record.video_id, record.save_id, record.pages, Interval())
    content = collections.pages.read_ranges([pages])[0] or PageContent([], {})
    moments = Timeline(record.video, record.video_id, tuple(content.observations)).moments()
    by_start = {round(one.start, 3): one for one in moments}
    frames = _load_frames(collections, record, content.observations)
    for text, metadata, vector in _read_stored(collections.moments, record, content.moments):
        moment = by_start.get(metadata["start"])
        document = retitle(from_stored(text, metadata), record.title)
        if moment is not None and is_cut(metadata):
            document = Document(page_content=moment.text, metadata=document.metadata)
        shown = FrameVectors.of(moment.frames if moment else (), frames)
        yield index_moment(document, vector, moment.observations if moment else (), content.vectors, shown)


def _read_stored(
    moments: Chroma, record: VideoRecord, vectors: Sequence[Int8Vectors]
) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Yield the text, the metadata and the vector of the moments of a video that exist, in time order.

    Args:
        moments: The collection.
        record: The record of the video.
        vectors: Their vectors, from its pages; they are read from Chroma if an earlier version wrote the pages.
    """
    for batch in batch_iterate(MAX_RECORDS, range(record.moments)):
        numbers = {record_id(record.video_id, record.save_id, f"{number:06d}"): number for number in batch}
        if len(vectors) == record.moments:
            found = moments.get(list(numbers), include=["documents", "metadatas"])
            known: Sequence[Any] = [vectors[numbers[one]] for one in found["ids"]]
        else:
            found = _get_with_vectors(moments, list(numbers))
            known = found["embeddings"]
        rows = zip(found["ids"], found["documents"], found["metadatas"], known, strict=True)
        # Chroma does not return records in order; inserting them in time order stores neighbors together.
        yield from (tuple(rest) for _, *rest in sorted(rows, key=itemgetter(0)))


def index_moment(
    document: Document,
    vector: Sequence[float],
    observations: Sequence[Observation],
    texts: Mapping[str, Int8Vectors],
    frames: FrameVectors | None = None,
) -> IndexedMoment:
    """Return a moment for the local index.

    Args:
        document: The moment.
        vector: Its vector.
        observations: Its observations.
        texts: The vectors of the texts of observations, as far as they are known.
        frames: Its frames.
    """
    known = [texts[one] for one in observation_texts(observations) if one in texts]
    whole = quantize_vector(np.asarray(vector, dtype=np.float32))
    return IndexedMoment(document, timed_words(observations), np.stack([whole, *known]), frames)


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


def _get_with_vectors(moments: Chroma, ids: list[str]) -> dict[str, Any]:
    include = ["documents", "metadatas", "embeddings"]
    for _ in range(MAX_REFRESHES):
        try:
            return moments.get(ids, include=include)
        except InternalError as error:
            if "Error finding id" not in str(error):
                raise
        # If another program wrote to the folder, Chroma knows the moments at once, but reads their vectors only before
        # the next write of this process. This one changes nothing.
        moments.delete(["no such moment"])
    return moments.get(ids, include=include)
