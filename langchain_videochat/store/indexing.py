"""From video files to stored timelines, in steps that can be interrupted."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count, takewhile
from pathlib import Path
from typing import Literal, get_args

from langchain_videochat.errors import InputError, ModelUnavailableError, StoreError, VideoChatError
from langchain_videochat.media import VideoInfo, list_sources, local_file, probe, video_id
from langchain_videochat.media.sources import is_web_address, local_path
from langchain_videochat.perception import Failure, PerceptionCallbacks, Profile, keep_models, reflect, watch
from langchain_videochat.store.catalogue import VideoRecord
from langchain_videochat.store.embeddings import EmbeddingCheck
from langchain_videochat.store.local_index import LocalIndex
from langchain_videochat.store.pages import Draft
from langchain_videochat.store.saving import Collections, save
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.progress import video_progress

OnError = Literal["raise", "skip"]
Status = Literal["indexed", "skipped", "failed"]

STRETCH = 600.0
"""Seconds of video that are perceived before they are saved: what an interruption costs at most."""

OVERLAP = 2.0
"""Seconds by which a stretch begins before the end of the last one, so that nothing is cut at the border."""

OnProgress = Callable[[str, str, float], None]
"""Is told a source, what is done with it ("watching", "summing up" or "embedding"), and which share of that is done."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class IndexedVideo:
    """What became of one source."""

    source: str
    """Path or address."""

    status: Status
    """"indexed", "skipped" because it was stored already, or "failed"."""

    video_id: str | None = None
    """Hash of the file's content; None where the file could not be read."""

    duration: float = 0.0
    """Seconds of video."""

    observations: int = 0
    """How many observations are in its timeline."""

    moments: int = 0
    """How many moments can be found by search."""

    decoded_fraction: float = 0.0
    """The share of the video that could be decoded, 0 to 1."""

    failures: str = ""
    """Which perceivers failed, and why; what the others told is stored."""

    error: str | None = None
    """Why it failed."""

    def __str__(self) -> str:
        if self.error is not None:
            return f"{self.status} {self.source}: {self.error}"
        damage = "" if self.decoded_fraction > 0.999 else f", {self.decoded_fraction:.0%} readable"  # noqa: PLR2004 - 3 decimals
        found = f"{_count(self.observations, 'observation')} in {_count(self.moments, 'moment')}"
        failures = f"; {self.failures}" if self.failures else ""
        return f"{self.status} {self.source} ({self.video_id}): {found}{damage}{failures}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@dataclass(frozen=True)
class IndexReport:
    """What became of all sources; printed, one line each."""

    videos: tuple[IndexedVideo, ...]
    """In the order of the sources."""

    @property
    def indexed(self) -> list[IndexedVideo]:
        """Those that were stored now."""
        return self._with_status("indexed")

    @property
    def skipped(self) -> list[IndexedVideo]:
        """Those that were stored already."""
        return self._with_status("skipped")

    @property
    def failed(self) -> list[IndexedVideo]:
        """Those that could not be read."""
        return self._with_status("failed")

    def __str__(self) -> str:
        return "\n".join(str(video) for video in self.videos)

    def _with_status(self, status: Status) -> list[IndexedVideo]:
        return [video for video in self.videos if video.status == status]


class Indexer:
    """Perceives videos and saves what was perceived.

    Args:
        collections: Where to save.
        index: Remembers which files were read before.
        check: Compares the embedding model with the store's before anything is written.
        profile: The perception profile.
        show_progress: Show a progress bar for each video.
        on_progress: Is told how far it is.
    """

    def __init__(
        self,
        collections: Collections,
        index: LocalIndex,
        check: EmbeddingCheck,
        *,
        profile: Profile,
        show_progress: bool,
        on_progress: OnProgress | None,
    ) -> None:
        self._collections = collections
        self._index = index
        self._check = check
        self._profile = profile
        self._show_progress = show_progress
        self._on_progress = on_progress

    def run(self, sources: str | Path | Iterable[str | Path], on_error: OnError) -> IndexReport:
        """Index videos one after the other.

        Args:
            sources: Path, address, folder, glob pattern, or several of these.
            on_error: "raise" or "skip".
        """
        if on_error not in get_args(OnError):
            raise InputError("on_error", f"{on_error!r} is unknown", "Take 'raise' or 'skip'")
        given = [sources] if isinstance(sources, str | Path) else list(sources)
        with keep_models():
            if on_error == "raise":
                return IndexReport(tuple(self._index_one(source) for source in list_sources(given)))
            return IndexReport(tuple(video for item in given for video in self._attempt_all(item)))

    def _attempt_all(self, item: str | Path) -> Iterator[IndexedVideo]:
        try:
            sources = list_sources(item)
        except VideoChatError as error:
            yield _failed(str(item), error)
            return
        for source in sources:
            try:
                yield self._index_one(source)
            except (StoreError, ModelUnavailableError, InputError):
                # No fault of this file: every other would fail in the same way.
                raise
            except (VideoChatError, OSError, MemoryError) as error:
                yield _failed(source, error)

    def _index_one(self, source: str) -> IndexedVideo:
        with local_file(source) as path:
            identity = self._identify(source, path)
            stored = self._collections.catalogue.get(identity)
            if stored and self._is_whole(stored[0]):
                # Left over where the last run was interrupted right after it had finished.
                self._delete_drafts(stored[0])
                return _report(self._follow_renaming(stored[0], source, path), source, "skipped")
            video = replace(probe(path), source=source)
            return _report(self._perceive_and_save(path, identity, video), source, "indexed")

    def _is_whole(self, record: VideoRecord) -> bool:
        # Where a perceiver failed, it may be able now.
        return record.complete and record.profile == self._profile.name and not record.failures

    def _identify(self, source: str, path: Path) -> str:
        if is_web_address(source):
            return video_id(path)
        status = path.stat()
        known = self._index.known_file(path, status.st_size, status.st_mtime_ns)
        if known is not None:
            return known
        identity = video_id(path)
        self._index.remember_file(path, status.st_size, status.st_mtime_ns, identity)
        return identity

    def _follow_renaming(self, record: VideoRecord, source: str, path: Path) -> VideoRecord:
        if record.source == source or _exists(record.source):
            return record
        self._check.run_for_writing()
        observations = self._collections.pages.read(record.video_id, record.pages, 0.0, math.inf)
        timeline = Timeline(replace(probe(path), source=source), record.video_id, tuple(observations))
        return save(self._collections, timeline, record.profile, record.decoded_fraction, record.failures)

    def _perceive_and_save(self, path: Path, identity: str, video: VideoInfo) -> VideoRecord:
        with self._progress(video, "watching") as show:
            # Here and not earlier: where all videos are skipped, no model has to be loaded.
            self._check.run_for_writing()
            perceived = self._perceive(path, identity, video, show)
        with self._progress(video, "summing up") as show:
            timeline, failures = self._sum_up(Timeline.of(video, identity, perceived.observations), show)
        decoded_fraction = max(0.0, 1 - perceived.missing / (video.duration + video.missing))
        with self._progress(video, "embedding") as show:
            record = save(
                self._collections,
                timeline,
                self._profile.name,
                decoded_fraction,
                "; ".join([*perceived.failures, *failures]),
                show,
            )
        self._delete_drafts(record)
        return record

    def _sum_up(self, timeline: Timeline, show: Callable[[float], None]) -> tuple[Timeline, list[str]]:
        failures: list[str] = []
        listener = PerceptionCallbacks(failure=lambda failure: failures.append(str(failure)))
        summaries = []
        for summary in reflect(self._profile.create(), timeline, listener):
            summaries.append(summary)
            show(summary.end)
        return Timeline.of(timeline.video, timeline.video_id, [*timeline, *summaries]), failures

    @contextmanager
    def _progress(self, video: VideoInfo, step: str) -> Iterator[Callable[[float], None]]:
        with video_progress(f"{video.title}: {step}", video.duration, show=self._show_progress) as show:

            def reach(done: float) -> None:
                show(done)
                if self._on_progress is not None:
                    share = min(done / video.duration, 1.0) if video.duration else 1.0
                    self._on_progress(video.source, step, share)

            reach(0.0)
            yield reach

    def _delete_drafts(self, record: VideoRecord) -> None:
        self._collections.pages.delete_drafts(record.video_id, record.profile, len(_stretches(record.duration)))

    def _perceive(self, path: Path, identity: str, video: VideoInfo, show: Callable[[float], None]) -> Draft:
        pages = self._collections.pages
        drafts = []
        for number, (start, end) in enumerate(_stretches(video.duration)):
            draft = pages.read_draft(identity, self._profile.name, number)
            if draft is None or draft.failures:
                draft = self._perceive_stretch(path, start, end, show)
                pages.write_draft(identity, self._profile.name, number, draft)
            show(end)
            drafts.append(draft)
        return Draft(
            [observation for draft in drafts for observation in draft.observations],
            sum(draft.missing for draft in drafts),
            tuple(dict.fromkeys(failure for draft in drafts for failure in draft.failures)),
        )

    def _perceive_stretch(self, path: Path, start: float, end: float, show: Callable[[float], None]) -> Draft:
        damages: list[float] = []
        failures: list[Failure] = []
        listener = PerceptionCallbacks(show, damages.append, failures.append)
        observations = list(watch(path, self._profile.create(), max(0.0, start - OVERLAP), end, listener))
        return Draft(observations, sum(damages), tuple(map(str, failures)))


def _stretches(duration: float) -> list[tuple[float, float]]:
    starts = takewhile(lambda start: start == 0 or start < duration, (number * STRETCH for number in count()))
    return [(start, start + STRETCH) for start in starts]


def _exists(source: str) -> bool:
    if is_web_address(source):
        return True
    try:
        local_path(source)
    except VideoChatError:
        return False
    return True


def _report(record: VideoRecord, source: str, status: Status) -> IndexedVideo:
    return IndexedVideo(
        source=source,
        status=status,
        video_id=record.video_id,
        duration=record.duration,
        observations=record.observations,
        moments=record.moments,
        decoded_fraction=record.decoded_fraction,
        failures=record.failures,
    )


def _failed(source: str, error: BaseException) -> IndexedVideo:
    _LOG.warning("%s is left out: %s", source, error)
    return IndexedVideo(source=source, status="failed", error=str(error) or type(error).__name__)
