"""Records of indexing runs in the collection of pages: what is being indexed, how fast, and what failed."""

import logging
import platform
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from typing import Self

import numpy as np
from chromadb import Collection

from langchain_videochat.store.index_report import IndexedVideo
from langchain_videochat.store.quotas import Row, delete_records, scan_rows
from langchain_videochat.store.run_status import (
    FailedSource,
    RunningSource,
    RunState,
    RunStatus,
    dump_run,
    load_run,
    now,
    shorten,
    shorten_source,
)

logger = logging.getLogger(__name__)

MAX_RUNS = 20
"""Runs whose records are kept."""

MAX_FAILURES = 100
"""Failed sources that a record lists, as far as they fit: the latest ones."""

WRITE_SECONDS = 5.0
"""Seconds between two writes of a record that has changed."""

RENEWAL_SECONDS = 20.0
"""Seconds between two writes of a record that has not changed."""

_CLOSE_SECONDS = 10.0
"""Seconds to wait for the last write: a server that does not answer must not keep the run from ending."""

_STARTED = "run_started"
"""Field of the metadata of a run's record: Unix time at which it started."""

_RUNS = {_STARTED: {"$gt": 0.0}}


class RunRecord:
    """Records an indexing run while it is entered. A write that fails is logged, and the run continues.

    Its methods may be called in any thread, and as often as you like: a background thread writes every few seconds.

    Args:
        collection: The collection of pages. In the catalogue, deleting old records would disturb those who read all.
        engine: What performs the work, for example "local" or "ray".
        workers: Number of workers.
        prepare: Called before each write, for example to wait for locks of other programs; may raise an error.
    """

    def __init__(
        self, collection: Collection, *, engine: str, workers: int, prepare: Callable[[], None] = lambda: None
    ) -> None:
        self._collection = collection
        self._prepare = prepare
        self._started, started = time.time(), now()
        self._run = RunStatus(uuid.uuid4().hex, engine, workers, platform.node(), "running", started, started)
        self._counts: Counter[str] = Counter()
        self._running: dict[str, tuple[RunningSource, float]] = {}
        self._failures: deque[FailedSource] = deque(maxlen=MAX_FAILURES)
        self._seconds = self._busy = 0.0
        self._busy_since = 0.0
        self._changed = self._warned = False
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write_repeatedly, daemon=True, name="videochat-run-record")

    def __enter__(self) -> Self:
        self._try(self._create)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        state: RunState = "finished" if kind is None else "failed" if issubclass(kind, Exception) else "interrupted"
        with self._lock:
            self._run = replace(self._run, state=state)
        self._ended.set()
        self._thread.join(_CLOSE_SECONDS)

    def started(self, source: str, duration: float = 0.0, position: float = 0.0) -> None:
        """Record that the work on a source begins.

        Args:
            source: Path or URL.
            duration: Length of the video in seconds; 0 if it is not known yet.
            position: Time in seconds up to which an earlier run has processed it.
        """
        with self._changing():
            if not self._running:
                self._busy_since = time.monotonic()
            self._running[source] = RunningSource(shorten_source(source), position, duration), position

    def progress(self, source: str, position: float) -> None:
        """Record the time in seconds up to which a source has been processed."""
        with self._changing():
            if source in self._running:
                running, first = self._running[source]
                self._running[source] = replace(running, position=position), first

    def finished(self, video: IndexedVideo) -> None:
        """Record the result of a source, whether its work had begun or not."""
        with self._changing():
            running, first = self._running.pop(video.source, (None, 0.0))
            if running is not None:
                self._seconds += max(0.0, (video.duration or running.position) - first)
                if not self._running:
                    self._busy += time.monotonic() - self._busy_since
            self._counts[video.status] += 1
            if video.status == "failed":
                reason = shorten(video.error or "")
                self._failures.append(FailedSource(shorten_source(video.source), video.error_type, reason, now()))

    def status(self) -> RunStatus:
        """Return the state of the run."""
        with self._lock:
            running = [one for one, _ in self._running.values()] if self._run.state == "running" else []
            current = sum(max(0.0, one.position - first) for one, first in self._running.values())
            busy = self._busy + (time.monotonic() - self._busy_since if self._running else 0.0)
            return replace(
                self._run,
                renewed=now(),
                indexed=self._counts["indexed"],
                skipped=self._counts["skipped"],
                failed=self._counts["failed"],
                seconds=round(self._seconds + current, 1),
                busy=round(busy, 3),
                running=tuple(running),
                failures=tuple(self._failures),
            )

    def _changing(self) -> threading.Lock:
        self._changed = True
        return self._lock

    def _write_repeatedly(self) -> None:
        written = time.monotonic()
        while not self._ended.wait(WRITE_SECONDS):
            if self._changed or time.monotonic() - written >= RENEWAL_SECONDS:
                self._changed = False
                self._try(self._write)
                written = time.monotonic()
        self._try(self._write)

    def _try(self, write: Callable[[], None]) -> None:
        try:
            self._prepare()
            write()
        except Exception as error:
            # Once: the store may be out of reach for hours.
            logger.log(logging.DEBUG if self._warned else logging.WARNING, "cannot record the run: %s", error)
            self._warned = True

    def _create(self) -> None:
        _delete_old(self._collection)
        self._write()

    def _write(self) -> None:
        run = self.status()
        self._collection.upsert(
            ids=[f":run:{run.run_id}"],
            # Chroma requires an embedding; this collection is never searched.
            embeddings=np.zeros((1, 1), np.float32),
            documents=[dump_run(run)],
            metadatas=[{_STARTED: self._started}],
        )


def read_runs(collection: Collection) -> list[RunStatus]:
    """Return the recorded runs, the latest first."""
    latest_first = sorted(scan_rows(collection, _RUNS), key=_started, reverse=True)
    return [run for row in latest_first if (run := load_run(row.document or "")) is not None]


def _delete_old(collection: Collection) -> None:
    """Delete all but the latest runs, with room for another one."""
    latest_first = sorted(scan_rows(collection, _RUNS), key=_started, reverse=True)
    delete_records(collection, (row.id for row in latest_first[MAX_RUNS - 1 :]))


def _started(row: Row) -> float:
    return float(row.metadata[_STARTED])
