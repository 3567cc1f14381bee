"""Background indexing of uploaded videos."""

import logging
import threading
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

from langchain_videochat.store import VideoTimelineStore

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
    """A queue of videos and a thread that indexes them one by one."""

    def __init__(self, store: VideoTimelineStore, profile: str) -> None:
        self._store = store
        self._profile = profile
        self._jobs: dict[int, Job] = {}
        self._numbers = count(1)
        self._queue: SimpleQueue[tuple[int, Path]] = SimpleQueue()
        # A daemon, as the next start resumes unfinished jobs with add_missing.
        threading.Thread(target=self._work, daemon=True, name="videochat-index").start()

    def add(self, path: Path) -> Job:
        """Queue a video for indexing."""
        job = Job(next(self._numbers), path.name)
        self._jobs[job.number] = job
        self._queue.put((job.number, path))
        return job

    def add_missing(self, folder: Path) -> None:
        """Queue the videos of a folder that are not in the store."""
        known = {record.source for record in self._store.videos()}
        for path in sorted(folder.iterdir()):
            if path.is_file() and not path.name.startswith(".") and str(path) not in known:
                self.add(path)

    def all(self) -> list[Job]:
        """Return all jobs since the server was started."""
        return list(self._jobs.values())

    def _work(self) -> None:
        while True:
            number, path = self._queue.get()
            self._update(number, status="running")
            try:
                self._update(number, status="done", video_id=self._index(path, number))
            except Exception as error:
                # One bad video must not stop the queue.
                _LOG.warning("Cannot index %s", path, exc_info=True)
                self._update(number, status="failed", error=str(error) or type(error).__name__)

    def _index(self, path: Path, number: int) -> str:
        report = self._store.index(
            path,
            profile=self._profile,
            show_progress=False,
            on_progress=lambda _, step, progress: self._update(number, step=step, progress=progress),
        )
        video = report.videos[0]
        if any(record.video_id == video.video_id and Path(record.source) != path for record in self._store.videos()):
            path.unlink()  # a copy of another file
        return video.video_id or ""

    def _update(self, number: int, **changes: Any) -> None:
        self._jobs[number] = replace(self._jobs[number], **changes)
