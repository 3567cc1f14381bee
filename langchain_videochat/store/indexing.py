"""Indexing: from video files to stored timelines.

Each video is indexed in three steps: *plan* lists the segments that have no result yet, *perform* perceives them, and
*commit* writes the results. An interrupted run resumes with the segments that were not committed.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from langchain_videochat.errors import InputError, MediaError, ModelUnavailableError, StoreError, VideoChatError
from langchain_videochat.media import VideoInfo, list_sources, local_file, probe, video_id
from langchain_videochat.media.sources import is_web_address, local_path, safe_source
from langchain_videochat.perception import Profile, keep_models
from langchain_videochat.store.addresses import VideoSource, add_source, is_deleted
from langchain_videochat.store.catalogue import Catalogue, VideoRecord
from langchain_videochat.store.embedding_check import EmbeddingCheck
from langchain_videochat.store.index_report import IndexedVideo, IndexReport, Status
from langchain_videochat.store.local_index import LocalIndex
from langchain_videochat.store.provenance import Provenance
from langchain_videochat.store.saving import StoreCollections, delete_leftovers, save
from langchain_videochat.store.segments import count_segments, perform, plan, summarize
from langchain_videochat.store.sidecar_fingerprint import sidecar_fingerprint
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.progress import video_progress

OnError = Literal["raise", "skip"]

OnProgress = Callable[[str, str, float], None]
"""Called with a source, the current phase ("perceiving", "summarizing" or "embedding") and its progress, 0 to 1."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Copy:
    """A file with the content of a video. Other files may have the same content, and other subtitle files."""

    source: str
    """Path or URL, as given by the user."""

    path: Path
    """The local file."""

    sidecars: str
    """Fingerprint of its subtitle files."""


@dataclass(frozen=True)
class Indexer:
    """Indexes videos in a store; the options are those of `VideoTimelineStore.index`."""

    collections: StoreCollections
    index: LocalIndex
    check: EmbeddingCheck
    profile: Profile
    refresh: bool
    show_progress: bool
    on_progress: OnProgress | None
    restarted: set[str] = field(default_factory=set)
    """Ids of the videos that a refresh has marked in this run."""

    def run(self, sources: str | Path | Iterable[str | Path], on_error: OnError) -> IndexReport:
        """Index videos one after the other; the arguments are those of `VideoTimelineStore.index`."""
        if on_error not in get_args(OnError):
            raise InputError("on_error", f"must be 'raise' or 'skip', got {on_error!r}", "Choose one of the two")
        given = [sources] if isinstance(sources, str | Path) else list(sources)
        if on_error == "raise":
            found: list[str | IndexedVideo] = [*list_sources(given)]
            index_source = self._index_source
        else:
            found = [one for item in given for one in _list_or_skip(item)]
            index_source = self._index_or_skip
        if self.refresh:
            self._restart_recorded(one for one in found if isinstance(one, str))
        with keep_models():
            return IndexReport(tuple(index_source(one) if isinstance(one, str) else one for one in found))

    def _index_or_skip(self, source: str) -> IndexedVideo:
        try:
            return self._index_source(source)
        except (StoreError, ModelUnavailableError, InputError):
            # Not the fault of this file: all others would fail in the same way.
            raise
        except (VideoChatError, OSError, MemoryError) as error:
            return _failed(source, error)

    def _index_source(self, source: str) -> IndexedVideo:
        with local_file(source) as path:
            identity = self._identify(source, path)
            if self.refresh and identity not in self.restarted:
                self._restart(identity, probe(path).duration)
            stored = self.collections.catalogue.get(identity)
            given = _Copy(source, path, sidecar_fingerprint(path))
            used = self._find_used(stored, given)
            copy = _choose_copy(stored, used, given)
            if stored is None or not self._is_current(stored, copy, is_used_here=used is not None):
                status: Status = "indexed"
                record = self._index_video(identity, copy)
            else:
                status = "skipped"
                new = VideoSource.of(given.source, given.sidecars)
                record = record_source(self.collections.catalogue, self.index, stored, new, path)
                delete_leftovers(self.collections, identity)
        # A skipped video has drafts if the last run was interrupted directly after the video was saved.
        self.collections.pages.delete_drafts(identity, self.profile.name, count_segments(record.duration))
        ignores_sidecars = given.sidecars not in ("", record.sidecars)
        return IndexedVideo.of(record, source, status, ignores_sidecars=ignores_sidecars)

    def _restart_recorded(self, sources: Iterable[str]) -> None:
        """Mark the videos of a refresh before the first one is perceived: an ordinary run then resumes the refresh."""
        # Not later: the marks are written to the store.
        self.check.run_for_writing()
        places = set(map(_place, sources))
        for record in self.collections.catalogue.all():
            if any(_place(one.address) in places for one in record.sources):
                self._restart(record.video_id, record.duration)

    def _restart(self, identity: str, duration: float) -> None:
        """Mark a video to be perceived again, without results of earlier runs; readers keep its timeline until then."""
        self.restarted.add(identity)
        self.collections.pages.delete_drafts(identity, self.profile.name, count_segments(duration))
        self.collections.catalogue.mark_stale(identity)

    def _identify(self, source: str, path: Path) -> str:
        if is_web_address(source):
            return video_id(path)
        status = path.stat()
        # A refresh does not rely on the time of a file's last change either.
        identity = None if self.refresh else self.index.find_file(path, status.st_size, status.st_mtime_ns)
        if identity is None:
            identity = video_id(path)
            self.index.remember_file(path, status.st_size, status.st_mtime_ns, identity)
        return identity

    def _find_used(self, record: VideoRecord | None, given: _Copy) -> _Copy | None:
        """Return the copy that a timeline was made from, with its present subtitle files.

        Returns:
            None if the copy was moved, changed or deleted, or is on another machine.
        """
        if record is None:
            return None
        for address in _used_addresses(record):
            if is_web_address(address):
                return replace(given, source=address, sidecars="")  # there are no subtitle files beside it
            if self._identify_file(address) == record.video_id:
                path = local_path(address)
                return _Copy(address, path, sidecar_fingerprint(path))
        return None

    def _identify_file(self, address: str) -> str | None:
        """Return the id of the video in a file; None if it cannot be read."""
        try:
            return self._identify(address, local_path(address))
        except (VideoChatError, OSError):
            return None

    def _is_current(self, record: VideoRecord, copy: _Copy, *, is_used_here: bool) -> bool:
        """Return whether a timeline need not be made again from a copy of its video.

        Args:
            record: The record of the video.
            copy: The copy whose subtitle files the timeline is to have.
            is_used_here: Whether the copy that the timeline was made from is on this machine.
        """
        return (
            not record.stale
            and record.profile == self.profile.name
            and (record.sidecars == copy.sidecars or (not is_used_here and self._keeps_subtitles(record, copy)))
            # A perceiver that failed may succeed now; damage is permanent.
            and not record.failures
        )

    def _keeps_subtitles(self, record: VideoRecord, copy: _Copy) -> bool:
        """Return whether a timeline keeps the subtitles of a copy on another machine, which may still be the same.

        Otherwise two machines with other subtitle files beside the video, or none, would replace each other's timeline
        at every run.
        """
        used = _used_addresses(record)
        if all(is_deleted(address) or self._identify_file(address) for address in used):
            return False
        is_unchanged = VideoSource.of(copy.source, copy.sidecars) in record.sources
        return is_unchanged or not copy.sidecars

    def _index_video(self, identity: str, copy: _Copy) -> VideoRecord:
        pages, name = self.collections.pages, self.profile.name
        video = replace(probe(copy.path), source=copy.source)
        with self._progress(video, "perceiving") as report:
            # Not earlier: if all videos are skipped, the embedding model is not needed.
            self.check.run_for_writing()
            self.collections.visual.check_profile(self.profile.create())
            by_number = pages.read_drafts(identity, name, count_segments(video.duration), copy.sidecars)
            for task in plan(copy.path, video.duration, self.profile, by_number):
                self.collections.check_space()  # perceiving a segment can take long
                previous = by_number.get(task.number - 1)
                resumed = replace(task, states=previous.states) if previous else task
                by_number[task.number] = perform(resumed, report)
                pages.write_draft(identity, name, task.number, by_number[task.number], copy.sidecars)  # commits it
            report(video.duration)
        results = [by_number[number] for number in sorted(by_number)]
        timeline = Timeline.of(video, identity, (one for result in results for one in result.observations))
        with self._progress(video, "summarizing") as report:
            timeline, summary_failures = summarize(timeline, self.profile, report)
        damage = [one for result in results for one in result.damage]
        failures = [*(one for result in results for one in result.failures), *summary_failures]
        provenance = Provenance.of(video, name, damage, failures, copy.sidecars)
        if not provenance.decoded_fraction and not timeline.observations:
            pages.delete_drafts(identity, name, count_segments(video.duration))
            raise MediaError(copy.source, "nothing of it can be decoded", "The file is damaged: export it again")
        with self._progress(video, "embedding") as report:  # commits the video
            return save(self.collections, timeline, provenance, report)

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


def record_source(
    catalogue: Catalogue, index: LocalIndex, record: VideoRecord, source: VideoSource, path: Path | None
) -> VideoRecord:
    """Record a file, or a web address, that has the content of a video; nothing is written if it is known.

    Args:
        catalogue: Where it is recorded.
        index: Knows the files on this machine.
        record: The record of the video.
        source: The file or web address.
        path: The local file, from which the title is read; None for a web address.
    """
    if source in record.sources:
        return record
    if path is not None:
        source = replace(source, title=probe(path).title)
    sources = add_source(record.sources, source, lambda address: index.has_video(record.video_id, address))
    return record if sources == record.sources else catalogue.update_sources(record, sources)


def _used_addresses(record: VideoRecord) -> list[str]:
    """Return the addresses of the copies whose subtitle files a timeline was made with."""
    return [one.address for one in record.sources if one.sidecars == record.sidecars]


def _choose_copy(stored: VideoRecord | None, used: _Copy | None, given: _Copy) -> _Copy:
    """Choose the copy of a video whose subtitle files its timeline is to have.

    That is the copy that the timeline was made from if it has any: two copies must not replace each other at every
    run, and one without subtitle files replaces none. A refresh prefers the given copy if both have some.
    """
    if stored is None or used is None or not used.sidecars:
        return given
    return given if stored.stale and given.sidecars else used


def _list_or_skip(item: str | Path) -> list[str | IndexedVideo]:
    try:
        return [*list_sources(item)]
    except VideoChatError as error:
        return [_failed(str(item), error)]


def _place(source: str) -> str:
    """Return what two sources that are the same file or address have in common."""
    try:
        return str(local_path(source))
    except VideoChatError:
        return source


def _failed(source: str, error: BaseException) -> IndexedVideo:
    source = safe_source(source)
    _LOG.warning("skipping %s: %s", source, error)
    return IndexedVideo(source=source, status="failed", error=str(error) or type(error).__name__)
