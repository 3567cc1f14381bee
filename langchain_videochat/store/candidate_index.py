"""An index of a few moments that were read from Chroma, which is searched as the local index is."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from langchain_core.documents import Document

from langchain_videochat.store.addresses import VideoSource
from langchain_videochat.store.catalogue import VideoRecord
from langchain_videochat.store.index_reader import IndexReader
from langchain_videochat.store.index_snapshot import IndexSnapshot
from langchain_videochat.store.index_updates import index_moment
from langchain_videochat.store.local_index import IndexedMoment, IndexedVersion, LocalIndex, retitle
from langchain_videochat.store.pages import PageContent, PageRange
from langchain_videochat.store.saving import StoreCollections
from langchain_videochat.store.stored_moments import from_stored, is_cut
from langchain_videochat.timeline.moments import Moment
from langchain_videochat.utils.interval import Interval


@dataclass(frozen=True)
class StoredMoment:
    """A moment as it is in Chroma."""

    id: str
    text: str
    metadata: Mapping[str, Any]
    vector: Any

    @property
    def video_id(self) -> str:
        """The video."""
        return str(self.metadata["video_id"])

    @property
    def number(self) -> int:
        """Number of the moment in its video."""
        return int(self.id.rpartition(":")[2])

    @property
    def interval(self) -> Interval:
        """When it is."""
        return Interval(self.metadata["start"], self.metadata["end"])

    def with_number(self, number: int) -> str:
        """Return the id of another moment of the same save, which may not exist."""
        return f"{self.id.rpartition(':')[0]}:{number:06d}"

    def is_of(self, record: VideoRecord) -> bool:
        """Return whether the save that a record names has written it."""
        return self.id.rpartition(":")[0].removeprefix(self.video_id) == (record.save_id and f":{record.save_id}")

    def index(self, record: VideoRecord, content: PageContent | None) -> IndexedMoment:
        """Return it for an index, with its observations, which are on pages; without if these were replaced."""
        content = content or PageContent([], {})
        start, end = self.interval.start, self.interval.end
        observations = tuple(
            one for one in content.observations if one.start < end and (one.end > start or one.start >= start)
        )
        document = retitle(from_stored(self.text, self.metadata), record.title)
        if is_cut(self.metadata) and observations:
            moment = Moment(record.title, start, end, observations)
            document = Document(page_content=moment.text, metadata=document.metadata)
        return index_moment(document, self.vector, observations, content.vectors)


@contextmanager
def candidate_snapshot(collections: StoreCollections, found: Mapping[str, StoredMoment]) -> Iterator[IndexSnapshot]:
    """Provide an index of those moments that belong to the records of their videos, and their observations.

    Args:
        collections: The collections of the store.
        found: Moments by id. They may also be of saves in progress, or left over from earlier ones.
    """
    records = collections.catalogue.get_many({one.video_id for one in found.values()})
    moments = sorted(found.values(), key=attrgetter("id"))
    current = [one for one in moments if one.video_id in records and one.is_of(records[one.video_id])]
    contents = collections.pages.read_ranges([_pages_of(one, records[one.video_id]) for one in current])
    indexed = zip(current, contents, strict=True)
    index = LocalIndex(None)
    for video_id, group in groupby(indexed, key=lambda pair: pair[0].video_id):
        record = records[video_id]
        # The record already has the source on this machine.
        version = IndexedVersion(record.save_id, record.title, (VideoSource(record.source, title=record.title),))
        index.put_video(video_id, version, [moment.index(record, content) for moment, content in group])
    with IndexReader(index.path).snapshot() as snapshot:
        yield snapshot


def _pages_of(moment: StoredMoment, record: VideoRecord) -> PageRange:
    return PageRange.of(record.video_id, record.save_id, record.pages, moment.interval)
