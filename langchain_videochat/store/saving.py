"""Writing whole videos into the collections, and bringing the local index up to what they hold."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.utils.iter import batch_iterate

from langchain_videochat.store.catalogue import Catalogue, VideoRecord
from langchain_videochat.store.local_index import IndexedMoment, LocalIndex
from langchain_videochat.store.pages import Pages, count_pages
from langchain_videochat.timeline import Timeline

EMBED_BATCH = 32
"""Moments that are embedded and written at once."""

READ_BATCH = 500
"""Moments that are read at once."""


@dataclass(frozen=True)
class Collections:
    """What a store consists of in Chroma."""

    catalogue: Catalogue
    """The videos."""

    pages: Pages
    """Their timelines."""

    moments: Chroma
    """Their moments, embedded."""


def save(
    collections: Collections,
    timeline: Timeline,
    profile: str,
    decoded_fraction: float = 1.0,
    failures: str = "",
    on_progress: Callable[[float], None] = lambda _: None,
) -> VideoRecord:
    """Store a video in place of what was stored of it before.

    Readers see the old video, then none, then the new one. If this is interrupted they see none, and saving again
    repairs it: the record of an unfinished video still counts all pages and moments that may lie about.

    Args:
        collections: Where to.
        timeline: What to store.
        profile: The perception profile that it was made with.
        decoded_fraction: The share of the video that could be decoded, 0 to 1.
        failures: Which perceivers failed, and why.
        on_progress: Called with the seconds of video up to which moments are written.
    """
    documents = list(timeline.to_documents("moment"))
    record = VideoRecord(
        video_id=timeline.video_id,
        video=timeline.video,
        profile=profile,
        observations=len(timeline),
        moments=len(documents),
        pages=count_pages(timeline.observations),
        decoded_fraction=decoded_fraction,
        indexed_at=datetime.now(UTC).isoformat(),
        failures=failures,
    )
    unfinished = _unfinished(collections.catalogue, record)
    collections.catalogue.put(unfinished)
    collections.pages.write(record.video_id, timeline.observations)
    collections.pages.delete(record.video_id, range(record.pages, unfinished.pages))
    for batch in batch_iterate(EMBED_BATCH, enumerate(documents)):
        ids = [_moment_id(record.video_id, number) for number, _ in batch]
        collections.moments.add_documents([document for _, document in batch], ids=ids)
        on_progress(batch[-1][1].metadata["end"])
    _delete_moments(collections, record.video_id, range(record.moments, unfinished.moments))
    collections.catalogue.put(record)
    return record


def remove(collections: Collections, record: VideoRecord) -> None:
    """Delete a video; interrupted, it leaves an unfinished video, which can be removed or saved again."""
    collections.catalogue.put(replace(record, complete=False))
    _delete_moments(collections, record.video_id, range(record.moments))
    collections.pages.delete_all(record.video_id)
    collections.catalogue.delete(record.video_id)


def synchronise(index: LocalIndex, collections: Collections) -> None:
    """Bring the local index up to the collections, whoever changed them; one cheap call if nobody did."""
    # The token is read before what it stands for: a change in between then shows at the next look, which is at once.
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
        index.remember_token(token)


def _unfinished(catalogue: Catalogue, record: VideoRecord) -> VideoRecord:
    earlier = catalogue.get(record.video_id)
    if earlier is None:
        return replace(record, complete=False)
    pages, moments = max(record.pages, earlier[0].pages), max(record.moments, earlier[0].moments)
    return replace(record, complete=False, pages=pages, moments=moments)


def _read_moments(collections: Collections, record: VideoRecord) -> Iterator[IndexedMoment]:
    for batch in batch_iterate(READ_BATCH, range(record.moments)):
        ids = [_moment_id(record.video_id, number) for number in batch]
        found = collections.moments.get(ids, include=["documents", "metadatas", "embeddings"])
        rows = zip(found["ids"], found["documents"], found["metadatas"], found["embeddings"], strict=True)
        # Chroma returns records in an order of its own; numbers in the order of time make neighbours lie together.
        for moment_id, text, metadata, vector in sorted(rows, key=lambda row: row[0]):
            document = Document(page_content=text, metadata=metadata)
            yield IndexedMoment(moment_id, document, np.asarray(vector, dtype=np.float32))


def _delete_moments(collections: Collections, video_id: str, numbers: range) -> None:
    for batch in batch_iterate(READ_BATCH, numbers):
        collections.moments.delete([_moment_id(video_id, number) for number in batch])


def _moment_id(video_id: str, number: int) -> str:
    return f"{video_id}:{number:06d}"
