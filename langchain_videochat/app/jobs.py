"""Videos that are being indexed, one after the other."""

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
    """What becomes of one video."""

    number: int
    """Counted up while the server runs."""

    name: str
    """Of the file."""

    status: Literal["waiting", "running", "done", "failed"] = "waiting"
    """How far it is."""

    step: str = ""
    """What is being done, as "watching"."""

    share: float = 0.0
    """How much of that is done, 0 to 1."""

    error: str = ""
    """Why it failed."""

    video_id: str = ""
    """Of the video in the store, when it is done."""


class IndexJobs:
    """Indexes videos in a thread of its own.

    Args:
        store: Where to.
        profile: The perception profile.
    """

    def __init__(self, store: VideoTimelineStore, profile: str) -> None:
        self._store = store
        self._profile = profile
        self._jobs: dict[int, Job] = {}
        self._numbers = count(1)
        self._waiting: SimpleQueue[tuple[int, Path]] = SimpleQueue()
        # What it has not finished when the program ends, it goes on with at the next start.
        threading.Thread(target=self._work, daemon=True, name="videochat-index").start()

    def add(self, path: Path) -> Job:
        """Have a video indexed when those before it are."""
        job = Job(next(self._numbers), path.name)
        self._jobs[job.number] = job
        self._waiting.put((job.number, path))
        return job

    def add_missing(self, folder: Path) -> None:
        """Have those videos of a folder indexed that are not in the store yet."""
        known = {record.source for record in self._store.videos()}
        for path in sorted(folder.iterdir()):
            if path.is_file() and not path.name.startswith(".") and str(path) not in known:
                self.add(path)

    def all(self) -> list[Job]:
        """List what was asked for since the server was started."""
        return list(self._jobs.values())

    def _work(self) -> None:
        while True:
            number, path = self._waiting.get()
            self._update(number, status="running")
            try:
                self._update(number, status="done", video_id=self._index(path, number))
            except Exception as error:
                # Whatever it is, the videos that wait are not to suffer from it.
                _LOG.warning("%s cannot be indexed", path, exc_info=True)
                self._update(number, status="failed", error=str(error) or type(error).__name__)

    def _index(self, path: Path, number: int) -> str:
        report = self._store.index(
            path,
            profile=self._profile,
            show_progress=False,
            on_progress=lambda _, step, share: self._update(number, step=step, share=share),
        )
        video = report.videos[0]
        if video.status == "skipped" and self._is_copy(path, video.video_id):
            path.unlink()
        return video.video_id or ""

    def _is_copy(self, path: Path, video_id: str | None) -> bool:
        return any(record.video_id == video_id and Path(record.source) != path for record in self._store.videos())

    def _update(self, number: int, **changes: Any) -> None:
        self._jobs[number] = replace(self._jobs[number], **changes)
