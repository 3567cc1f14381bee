"""Indexing: from video files to stored timelines.

Each video is indexed in three steps: *plan* lists the segments that have no result yet, *perform* perceives them, and
*commit* writes the results. An interrupted run resumes with the segments that were not committed.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from langchain_videochat.errors import InputError, ModelUnavailableError, StoreError, VideoChatError
from langchain_videochat.media import VideoInfo, list_sources, local_file, probe, video_id
from langchain_videochat.media.sources import is_web_address, local_path
from langchain_videochat.perception import Profile, keep_models
from langchain_videochat.store.catalogue import VideoRecord
from langchain_videochat.store.embeddings import EmbeddingCheck
from langchain_videochat.store.index_report import IndexedVideo, IndexReport
from langchain_videochat.store.local_index import LocalIndex
from langchain_videochat.store.saving import StoreCollections, save
from langchain_videochat.store.segments import count_segments, perform, plan, summarize
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.progress import video_progress

OnError = Literal["raise", "skip"]

OnProgress = Callable[[str, str, float], None]
"""Called with a source, the current phase ("perceiving", "summarizing" or "embedding") and its progress, 0 to 1."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Indexer:
    """Indexes videos in a store; the options are those of `VideoTimelineStore.index`."""

    collections: StoreCollections
    index: LocalIndex
    check: EmbeddingCheck
    profile: Profile
    show_progress: bool
    on_progress: OnProgress | None

    def run(self, sources: str | Path | Iterable[str | Path], on_error: OnError) -> IndexReport:
        """Index videos one after the other; the arguments are those of `VideoTimelineStore.index`."""
        if on_error not in get_args(OnError):
            raise InputError("on_error", f"must be 'raise' or 'skip', got {on_error!r}", "Choose one of the two")
        given = [sources] if isinstance(sources, str | Path) else list(sources)
        with keep_models():
            if on_error == "raise":
                return IndexReport(tuple(self._index_source(source) for source in list_sources(given)))
            return IndexReport(tuple(video for item in given for video in self._index_or_skip(item)))

    def _index_or_skip(self, item: str | Path) -> Iterator[IndexedVideo]:
        try:
            sources = list_sources(item)
        except VideoChatError as error:
            yield _failed(str(item), error)
            return
        for source in sources:
            try:
                yield self._index_source(source)
            except (StoreError, ModelUnavailableError, InputError):
                # Not the fault of this file: all others would fail in the same way.
                raise
            except (VideoChatError, OSError, MemoryError) as error:
                yield _failed(source, error)

    def _index_source(self, source: str) -> IndexedVideo:
        with local_file(source) as path:
            identity = self._identify(source, path)
            current = self._find_current(identity)
            if current:
                record = self._follow_renaming(current, source, path)
            else:
                record = self._index_video(path, identity, replace(probe(path), source=source))
        # A skipped video has drafts if the last run was interrupted directly after the video was saved.
        self.collections.pages.delete_drafts(identity, self.profile.name, count_segments(record.duration))
        return IndexedVideo.of(record, source, "skipped" if current else "indexed")

    def _identify(self, source: str, path: Path) -> str:
        if is_web_address(source):
            return video_id(path)
        status = path.stat()
        identity = self.index.find_file(path, status.st_size, status.st_mtime_ns)
        if identity is None:
            identity = video_id(path)
            self.index.remember_file(path, status.st_size, status.st_mtime_ns, identity)
        return identity

    def _find_current(self, identity: str) -> VideoRecord | None:
        stored = self.collections.catalogue.get(identity)
        # A perceiver that failed may succeed now.
        if stored and stored[0].complete and stored[0].profile == self.profile.name and not stored[0].failures:
            return stored[0]
        return None

    def _follow_renaming(self, record: VideoRecord, source: str, path: Path) -> VideoRecord:
        if record.source == source or _exists(record.source):
            return record
        self.check.run_for_writing()
        observations = self.collections.pages.read(record.video_id, record.pages, Interval())
        timeline = Timeline(replace(probe(path), source=source), record.video_id, tuple(observations))
        return save(self.collections, timeline, record.profile, record.decoded_fraction, record.failures)

    def _index_video(self, path: Path, identity: str, video: VideoInfo) -> VideoRecord:
        pages, name = self.collections.pages, self.profile.name
        with self._progress(video, "perceiving") as report:
            # Not earlier: if all videos are skipped, the embedding model is not needed.
            self.check.run_for_writing()
            by_number = pages.read_drafts(identity, name, count_segments(video.duration))
            for task in plan(path, video.duration, self.profile, by_number):
                by_number[task.number] = perform(task, report)
                pages.write_draft(identity, name, task.number, by_number[task.number])  # commits the segment
            report(video.duration)
        results = [by_number[number] for number in sorted(by_number)]
        timeline = Timeline.of(video, identity, (one for result in results for one in result.observations))
        with self._progress(video, "summarizing") as report:
            timeline, summary_failures = summarize(timeline, self.profile, report)
        decoded = max(0.0, 1 - sum(result.missing for result in results) / (video.duration + video.missing))
        failures = dict.fromkeys([*(failure for result in results for failure in result.failures), *summary_failures])
        with self._progress(video, "embedding") as report:  # commits the video
            return save(self.collections, timeline, name, decoded, "; ".join(failures), report)

    @contextmanager
    def _progress(self, video: VideoInfo, phase: str) -> Iterator[Callable[[float], None]]:
        with video_progress(f"{video.title}: {phase}", video.duration, show=self.show_progress) as show:

            def report(position: float) -> None:
                show(position)
                if self.on_progress is not None:
                    progress = min(position / video.duration, 1.0) if video.duration else 1.0
                    self.on_progress(video.source, phase, progress)

            report(0.0)
            yield report


def _exists(source: str) -> bool:
    if is_web_address(source):
        return True
    try:
        local_path(source)
    except VideoChatError:
        return False
    return True


def _failed(source: str, error: BaseException) -> IndexedVideo:
    _LOG.warning("skipping %s: %s", source, error)
    return IndexedVideo(source=source, status="failed", error=str(error) or type(error).__name__)
