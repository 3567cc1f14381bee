"""Updates of the local index from the collections."""

import logging
from collections.abc import Iterator, Sequence
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
from langchain_videochat.store.observation_vectors import observation_texts, quantize_vector
from langchain_videochat.store.record_ids import record_id
from langchain_videochat.store.saving import READ_BATCH, StoreCollections
from langchain_videochat.timeline import Timeline

_LOG = logging.getLogger(__name__)


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
