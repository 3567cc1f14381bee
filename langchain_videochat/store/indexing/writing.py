"""Writing the results of an indexing run to a store: drafts of segments, and whole videos."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from langchain_videochat.perception import SegmentResult
from langchain_videochat.store.catalogue import VideoRecord
from langchain_videochat.store.index_report import IndexedVideo
from langchain_videochat.store.saving import NewVersion, OnSaved, StoreCollections, save_all
from langchain_videochat.utils.tracing import StageTime, Stopwatch
from langchain_videochat.workers.segments import count_segments


@dataclass(frozen=True)
class Draft:
    """The result of a segment of a video that is not complete yet."""

    video_id: str
    segment: int
    """Number of the segment, from 0."""

    result: SegmentResult
    sidecars: str
    """Fingerprint of the subtitle files that it was perceived with."""


@dataclass(frozen=True)
class PerceivedVideo:
    """A video that can be saved."""

    source: str
    """Path or URL, as given by the user."""

    given_sidecars: str
    """Fingerprint of the subtitle files beside it."""

    version: NewVersion

    @property
    def is_unreadable(self) -> bool:
        """Whether nothing of it could be decoded."""
        return not self.version.provenance.decoded_fraction and not self.version.timeline.observations


@dataclass(frozen=True)
class Saved:
    """Videos that were saved together."""

    videos: list[IndexedVideo]
    """Their results."""

    stages: list[StageTime]
    """The time of embedding and of the rest."""


class Writer(Protocol):
    """Writes to a store. Each call can be repeated if it fails in the middle: nothing is stored twice."""

    def write_drafts(self, drafts: Sequence[Draft]) -> None:
        """Write drafts, so that an interrupted run need not perceive these segments again."""

    def save(self, videos: Sequence[PerceivedVideo], on_saved: OnSaved) -> Saved:
        """Save videos and delete their drafts."""

    def close(self) -> None:
        """Release what it uses."""


class StoreWriter:
    """Writes to the collections of a store.

    Args:
        collections: The collections.
        profile: Name of the profile.
        errors: Converts errors of Chroma and SQLite in a block to a StoreError.
    """

    def __init__(
        self, collections: StoreCollections, profile: str, errors: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._collections = collections
        self._profile = profile
        self._errors = errors

    def write_drafts(self, drafts: Sequence[Draft]) -> None:
        """See `Writer`."""
        pages = self._collections.pages
        with self._errors():
            for one in drafts:
                self._collections.check_space()
                pages.write_draft(one.video_id, self._profile, one.segment, one.result, one.sidecars)

    def save(self, videos: Sequence[PerceivedVideo], on_saved: OnSaved) -> Saved:
        """See `Writer`."""
        total, embedding = Stopwatch("store"), Stopwatch("embed")
        with self._errors(), total.running():
            records = save_all(self._collections, [one.version for one in videos], on_saved, embedding)
            for record in records:
                count = count_segments(record.duration)
                self._collections.pages.delete_drafts(record.video_id, self._profile, count)
        results = [_result(one, record) for one, record in zip(videos, records, strict=True)]
        return Saved(results, [stage for one in (total, embedding) if (stage := one.stage()) is not None])

    def close(self) -> None:
        """See `Writer`."""


def _result(video: PerceivedVideo, record: VideoRecord) -> IndexedVideo:
    ignores_sidecars = video.given_sidecars not in ("", record.sidecars)
    return IndexedVideo.of(record, video.source, "indexed", ignores_sidecars=ignores_sidecars)
