"""Writing of whole videos to the collections, and updates of the local index from them."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from operator import itemgetter

import numpy as np
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.utils.iter import batch_iterate

from langchain_videochat.store.catalogue import Catalogue, VideoRecord
from langchain_videochat.store.hits import timed_words
from langchain_videochat.store.local_index import IndexedMoment, LocalIndex
from langchain_videochat.store.pages import Pages, count_pages
from langchain_videochat.store.provenance import Provenance
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.interval import Interval

EMBED_BATCH = 32
"""Number of moments that are embedded and written at once."""

READ_BATCH = 500
"""Number of moments that are read at once."""


@dataclass(frozen=True)
class StoreCollections:
    """The collections of a store in Chroma."""

    catalogue: Catalogue
    pages: Pages
    moments: Chroma


def save(
    collections: StoreCollections,
    timeline: Timeline,
    provenance: Provenance,
    on_progress: Callable[[float], None] = lambda _: None,
) -> VideoRecord:
    """Write a video and replace its earlier version.

    Readers see the old video, then none, then the new one. After an interruption they see none; saving again repairs
    it, because the record of an incomplete video counts all pages and moments that may have been left behind.

    Args:
        collections: Where it is written.
        timeline: The timeline of the video.
        provenance: How it was made.
        on_progress: Called with the end of the last moment written, in seconds of video.
    """
    documents = list(timeline.to_documents("moment"))
    record = VideoRecord(
        video_id=timeline.video_id,
        video=timeline.video,
        observations=len(timeline),
        moments=len(documents),
        pages=count_pages(timeline.observations),
        indexed_at=datetime.now(UTC).isoformat(),
        **asdict(provenance),
    )
    incomplete = _incomplete(collections.catalogue, record)
    collections.catalogue.put(incomplete)
    collections.pages.write(record.video_id, timeline.observations)
    collections.pages.delete(record.video_id, range(record.pages, incomplete.pages))
    for batch in batch_iterate(EMBED_BATCH, enumerate(documents)):
        ids = [_moment_id(record.video_id, number) for number, _ in batch]
        collections.moments.add_documents([document for _, document in batch], ids=ids)
        on_progress(batch[-1][1].metadata["end"])
    _delete_moments(collections, record.video_id, range(record.moments, incomplete.moments))
    collections.catalogue.put(record)
    return record


def remove(collections: StoreCollections, record: VideoRecord) -> None:
    """Delete a video; an interruption leaves an incomplete video, which can be removed or saved again."""
    collections.catalogue.put(replace(record, complete=False))
    _delete_moments(collections, record.video_id, range(record.moments))
    collections.pages.delete_all(record.video_id)
    collections.catalogue.delete(record.video_id)


def update_index(index: LocalIndex, collections: StoreCollections) -> None:
    """Update the local index from the collections; without changes this costs one cheap call to Chroma."""
    # The token is read before the records: the next iteration then notices a change in between.
    while (token := collections.catalogue.token()) != index.token():
        current = {
            record.video_id: (record, revision) for record, revision in collections.catalogue.all() if record.complete
        }
        for video_id, revision in index.revisions().items():
            if video_id not in current or current[video_id][1] != revision:
                index.delete_video(video_id)
        known = index.revisions()
        for video_id, (record, revision) in current.items():
            if video_id not in known:
                index.put_video(video_id, revision, _read_moments(collections, record))
        index.set_token(token)


def _incomplete(catalogue: Catalogue, record: VideoRecord) -> VideoRecord:
    earlier = catalogue.get(record.video_id)
    if earlier is None:
        return replace(record, complete=False)
    pages, moments = max(record.pages, earlier[0].pages), max(record.moments, earlier[0].moments)
    return replace(record, complete=False, pages=pages, moments=moments)


def _read_moments(collections: StoreCollections, record: VideoRecord) -> Iterator[IndexedMoment]:
    timeline = tuple(collections.pages.read(record.video_id, record.pages, Interval()))
    moments = Timeline(record.video, record.video_id, timeline).moments()
    by_start = {round(one.start, 3): timed_words(one.observations) for one in moments}
    for batch in batch_iterate(READ_BATCH, range(record.moments)):
        ids = [_moment_id(record.video_id, number) for number in batch]
        found = collections.moments.get(ids, include=["documents", "metadatas", "embeddings"])
        rows = zip(found["ids"], found["documents"], found["metadatas"], found["embeddings"], strict=True)
        # Chroma does not return records in order; inserting them in time order stores neighbors together.
        for moment_id, text, metadata, vector in sorted(rows, key=itemgetter(0)):
            document = Document(page_content=text, metadata=metadata)
            observations = by_start.get(metadata["start"], [])
            yield IndexedMoment(moment_id, document, np.asarray(vector, dtype=np.float32), observations)


def _delete_moments(collections: StoreCollections, video_id: str, numbers: range) -> None:
    for batch in batch_iterate(READ_BATCH, numbers):
        collections.moments.delete([_moment_id(video_id, number) for number in batch])


def _moment_id(video_id: str, number: int) -> str:
    return f"{video_id}:{number:06d}"
