"""Decisions of an indexing run: which videos are up to date, and which segments of the others are missing."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from langchain_videochat.errors import VideoChatError
from langchain_videochat.media import VideoInfo, local_path, probe, video_id
from langchain_videochat.media.sources import is_remote_address
from langchain_videochat.media.subtitles.sidecar_fingerprint import sidecar_fingerprint
from langchain_videochat.perception import Profile, SegmentResult
from langchain_videochat.store.addresses import VideoSource, add_source, is_deleted, is_file_here
from langchain_videochat.store.catalogue import Catalogue, VideoRecord
from langchain_videochat.store.embedding_check import EmbeddingCheck
from langchain_videochat.store.index_report import IndexedVideo
from langchain_videochat.store.local_index import LocalIndex
from langchain_videochat.store.saving import StoreCollections, delete_leftovers
from langchain_videochat.workers.jobs import FileState, Inspection
from langchain_videochat.workers.segments import SegmentTask, count_segments, plan


@dataclass(frozen=True)
class Copy:
    """A file with the content of a video. Other files may have the same content, and other subtitle files."""

    source: str
    """Path or URL, as given by the user."""

    sidecars: str
    """Fingerprint of its subtitle files."""


@dataclass(frozen=True)
class VideoPlan:
    """What is missing of a video."""

    video_id: str
    """Hash of its content."""

    video: VideoInfo
    """Metadata of the copy that is perceived; `source` is its path or URL."""

    sidecars: str
    """Fingerprint of the subtitle files of that copy."""

    state: FileState | None
    """Its state when it was inspected; None if it is downloaded."""

    results: dict[int, SegmentResult]
    """The segments that an earlier run has perceived, by number."""

    tasks: list[SegmentTask]
    """The segments to perceive."""


class Planner:
    """Decides what an indexing run does with each video. Safe for use from several threads.

    Args:
        collections: The collections of the store.
        index: Knows the files on this machine.
        check: Checks the embedding model before anything is written.
        profile: The perceivers.
        refresh: Whether all videos are perceived again.
    """

    def __init__(
        self, collections: StoreCollections, index: LocalIndex, check: EmbeddingCheck, profile: Profile, refresh: bool
    ) -> None:
        self._collections = collections
        self._index = index
        self._check = check
        self._profile = profile
        self._refresh = refresh
        self._restarted: set[str] = set()

    def restart_recorded(self, sources: Iterable[str]) -> None:
        """Mark the videos of a refresh before the first one is perceived: an ordinary run then resumes the refresh."""
        # Not later: the marks are written to the store.
        self._check.run_for_writing()
        places = set(map(_place, sources))
        for record in self._collections.catalogue.all():
            if any(_place(one.address) in places for one in record.sources):
                self._restart(record.video_id, record.duration)

    def known(self, source: str) -> tuple[str, FileState] | None:
        """Return the id and the state of a file that has not changed since an earlier run; None if it must be read."""
        # A refresh does not rely on the time of a file's last change either.
        if self._refresh or not is_file_here(source):
            return None
        path = local_path(source)
        state = FileState.of(path)
        identity = self._index.find_file(path, state.size, state.mtime_ns)
        return None if identity is None else (identity, state)

    def skip_known(self, source: str, identity: str) -> IndexedVideo | None:
        """Return the result for a file with a known id that is up to date; None if it has to be inspected."""
        record = self._collections.catalogue.get(identity)
        if record is None:
            return None
        given = Copy(source, sidecar_fingerprint(local_path(source)))
        copy, is_used_here = self._choose_copy(record, given)
        is_recorded = VideoSource.of(source, given.sidecars) in record.sources
        if not is_recorded or not self._is_current(record, copy, is_used_here=is_used_here):
            return None
        return self._skip(record, given)

    def plan(self, inspection: Inspection) -> IndexedVideo | VideoPlan:
        """Return the result for a video that is up to date, or else what is missing of it."""
        identity, source = inspection.video_id, inspection.video.source
        if is_file_here(source):  # unless only the workers can see it
            state = inspection.state
            self._index.remember_file(local_path(source), state.size, state.mtime_ns, identity)
        if self._refresh and identity not in self._restarted:
            self._restart(identity, inspection.video.duration)
        given = Copy(source, inspection.sidecars)
        record = self._collections.catalogue.get(identity)
        copy, is_used_here = self._choose_copy(record, given)
        if record is not None and self._is_current(record, copy, is_used_here=is_used_here):
            new = VideoSource.of(given.source, given.sidecars)
            title = None if is_remote_address(source) else inspection.video.title
            return self._skip(record_source(self._collections.catalogue, self._index, record, new, title), given)
        if copy == given:
            inspected = None if is_remote_address(source) else inspection.state
            return self._plan_segments(identity, inspection.video, copy.sidecars, inspected)
        path = local_path(copy.source)
        video = replace(probe(path), source=copy.source)
        return self._plan_segments(identity, video, copy.sidecars, FileState.of(path))

    def delete_drafts(self, identity: str, duration: float) -> None:
        """Delete the results of the segments of a video of `duration` seconds."""
        self._collections.pages.delete_drafts(identity, self._profile.name, count_segments(duration))

    def _plan_segments(self, identity: str, video: VideoInfo, sidecars: str, state: FileState | None) -> VideoPlan:
        # Not earlier: if all videos are skipped, the embedding model is not needed.
        self._check.run_for_writing()
        self._collections.check_space()
        self._collections.visual.check_profile(self._profile.create())
        count = count_segments(video.duration)
        results = self._collections.pages.read_drafts(identity, self._profile.name, count, sidecars)
        tasks = plan(Path(), video.duration, self._profile, results)
        return VideoPlan(identity, video, sidecars, state, results, tasks)

    def _skip(self, record: VideoRecord, given: Copy) -> IndexedVideo:
        delete_leftovers(self._collections, record.video_id)
        # A skipped video has drafts if the last run was interrupted directly after the video was saved.
        self.delete_drafts(record.video_id, record.duration)
        ignores_sidecars = given.sidecars not in ("", record.sidecars)
        return IndexedVideo.of(record, given.source, "skipped", ignores_sidecars=ignores_sidecars)

    def _restart(self, identity: str, duration: float) -> None:
        """Mark a video to be perceived again, without results of earlier runs; readers keep its timeline until then."""
        self.delete_drafts(identity, duration)
        self._collections.catalogue.mark_stale(identity)
        self._restarted.add(identity)  # Not earlier: if the server does not answer, this is repeated.

    def _choose_copy(self, record: VideoRecord | None, given: Copy) -> tuple[Copy, bool]:
        """Choose the copy of a video whose subtitle files its timeline is to have.

        That is the copy that the timeline was made from if it has any: two copies must not replace each other at every
        run, and a copy without subtitle files never replaces one with them. A refresh prefers the given copy if both
        have some.

        Returns:
            The copy, and whether the one that the timeline was made from is on this machine.
        """
        used = None if record is None else self._find_used(record, given)
        if record is None or used is None or not used.sidecars:
            return given, used is not None
        return given if record.stale and given.sidecars else used, True

    def _find_used(self, record: VideoRecord, given: Copy) -> Copy | None:
        """Return the copy that a timeline was made from, with its present subtitle files.

        Returns:
            None if the copy was moved, changed or deleted, or is on another machine.
        """
        for address in _used_addresses(record):
            if is_remote_address(address):
                return replace(given, source=address, sidecars="")  # there are no subtitle files beside it
            if self._identify(address) == record.video_id:
                return Copy(address, sidecar_fingerprint(local_path(address)))
        return None

    def _identify(self, address: str) -> str | None:
        """Return the id of the video in a file; None if it cannot be read."""
        try:
            if (known := self.known(address)) is not None:
                return known[0]
            path = local_path(address)
            state, identity = FileState.of(path), video_id(path)
            self._index.remember_file(path, state.size, state.mtime_ns, identity)
            return identity
        except (VideoChatError, OSError):
            return None

    def _is_current(self, record: VideoRecord, copy: Copy, *, is_used_here: bool) -> bool:
        """Return whether a timeline need not be made again from a copy of its video.

        Args:
            record: The record of the video.
            copy: The copy whose subtitle files the timeline is to have.
            is_used_here: Whether the copy that the timeline was made from is on this machine.
        """
        return (
            not record.stale
            and record.profile == self._profile.name
            and (record.sidecars == copy.sidecars or (not is_used_here and self._keeps_subtitles(record, copy)))
            # A perceiver that failed may succeed now; damage is permanent.
            and not record.failures
        )

    def _keeps_subtitles(self, record: VideoRecord, copy: Copy) -> bool:
        """Return whether a timeline keeps the subtitles of a copy on another machine, which may still be the same.

        Otherwise two machines with other subtitle files beside the video, or none, would replace each other's timeline
        at every run.
        """
        used = _used_addresses(record)
        if all(is_deleted(address) or self._identify(address) for address in used):
            return False
        is_unchanged = VideoSource.of(copy.source, copy.sidecars) in record.sources
        return is_unchanged or not copy.sidecars


def record_source(
    catalogue: Catalogue, index: LocalIndex, record: VideoRecord, source: VideoSource, title: str | None
) -> VideoRecord:
    """Record a file, or a web address, that has the content of a video; nothing is written if it is known.

    Args:
        catalogue: Where it is recorded.
        index: Knows the files on this machine.
        record: The record of the video.
        source: The file or web address.
        title: Title of the file; None for a web address.
    """
    if source in record.sources:
        return record
    if title is not None:
        source = replace(source, title=title)
    sources = add_source(record.sources, source, lambda address: index.has_video(record.video_id, address))
    return record if sources == record.sources else catalogue.update_sources(record, sources)


def _used_addresses(record: VideoRecord) -> list[str]:
    """Return the addresses of the copies whose subtitle files a timeline was made with."""
    return [one.address for one in record.sources if one.sidecars == record.sidecars]


def _place(source: str) -> str:
    """Return what two sources that are the same file or address have in common."""
    try:
        return str(local_path(source))
    except VideoChatError:
        return source
