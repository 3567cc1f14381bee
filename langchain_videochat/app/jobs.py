"""Background indexing of uploaded videos."""

import logging
import threading
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

from langchain_videochat.errors import MediaError, VideoChatError
from langchain_videochat.media import isolated_media, local_path
from langchain_videochat.media.manifests import is_manifest
from langchain_videochat.media.sources import safe_source
from langchain_videochat.store import VideoTimelineStore

MAX_WAITING = 500
"""Maximum number of videos waiting to be indexed."""

MAX_FINISHED = 100
"""Maximum number of finished jobs that are listed."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """The state of indexing one video."""

    number: int
    """Number of the job since the server was started, from 1."""

    name: str
    """Name of the file."""

    status: Literal["waiting", "running", "done", "failed"] = "waiting"
    step: str = ""
    """Current step, for example "perceiving"."""

    progress: float = 0.0
    """Progress of the step, 0 to 1."""

    error: str = ""
    video_id: str = ""
    """Id of the video in the store, when the job is done."""


class IndexJobs:
    """A queue of uploaded videos and a thread that indexes them one by one.

    A video that cannot be decoded is deleted. After any other error, such as a full disk, indexing is retried when the
    server next starts.
    """

    def __init__(self, store: VideoTimelineStore, profile: str, uploads: Path) -> None:
        self._store = store
        self._profile = profile
        self._uploads = uploads
        self._jobs: dict[int, Job] = {}
        self._numbers = count(1)
        self._queue: SimpleQueue[tuple[int, Path]] = SimpleQueue()
        # A daemon, as the next start resumes unfinished jobs with add_missing.
        threading.Thread(target=self._work, daemon=True, name="videochat-index").start()

    @property
    def is_full(self) -> bool:
        """Whether the queue is full, so that no more videos should be added."""
        return self._queue.qsize() >= MAX_WAITING

    def add(self, path: Path) -> Job:
        """Queue a video for indexing."""
        job = Job(next(self._numbers), path.name)
        self._jobs[job.number] = job
        self._queue.put((job.number, path))
        return job

    def add_missing(self) -> None:
        """Queue the uploads that are not in the store."""
        known = {one.address for record in self._store.videos() for one in record.sources}
        for path in sorted(self._uploads.iterdir()):
            is_video = path.is_file() and not path.name.startswith(".") and not is_manifest(path.name)
            if is_video and safe_source(str(path)) not in known:
                self.add(path)

    def all(self) -> list[Job]:
        """Return all waiting jobs, the running one, and the latest finished ones."""
        return list(self._jobs.values())

    def _work(self) -> None:
        while True:
            number, path = self._queue.get()
            self._update(number, status="running")
            try:
                self._update(number, status="done", video_id=self._index(path, number))
            except Exception as error:
                # One bad video must not stop the queue.
                _LOG.warning("Cannot index %s", safe_source(str(path)), exc_info=True)
                if isinstance(error, MediaError):
                    path.unlink(missing_ok=True)
                self._update(number, status="failed", error=str(error) or type(error).__name__)
            self._forget_oldest()

    def _index(self, path: Path, number: int) -> str:
        with isolated_media():
            report = self._store.index(
                path,
                profile=self._profile,
                show_progress=False,
                on_progress=lambda _, step, progress: self._update(number, step=step, progress=progress),
            )
        (video,) = report.videos
        if any(one.video_id == video.video_id and _is_another_file(one.source, path) for one in self._store.videos()):
            path.unlink()  # a copy
        return video.video_id or ""

    def _forget_oldest(self) -> None:
        finished = [job.number for job in self.all() if job.status in ("done", "failed")]
        for number in finished[:-MAX_FINISHED]:
            del self._jobs[number]

    def _update(self, number: int, **changes: Any) -> None:
        self._jobs[number] = replace(self._jobs[number], **changes)


def _is_another_file(source: str, path: Path) -> bool:
    try:
        return not local_path(source).samefile(path)
    except (VideoChatError, OSError):
        return False  # it is not on this machine
