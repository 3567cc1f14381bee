"""Workers that are processes on this machine."""

import os
import threading
from collections.abc import Iterator

import psutil

from langchain_videochat.utils.worker_process import PLAIN_CLASSES, Limits, Message, Request, WorkerDied, WorkerProcess
from langchain_videochat.workers.jobs import Job, JobResult, OnPosition, run_in_worker
from langchain_videochat.workers.worker import JobDied

MAX_SILENCE = 4000.0
"""Seconds after which a process that reports no progress is killed: a download may take an hour."""

MEMORY_SHARE = 0.9
"""Share of the memory of this machine that all processes together may allocate."""

MIN_BYTES = 2 * 2**30
"""Minimum number of bytes that a process may allocate, however many there are."""

_RESULTS = {
    "langchain_videochat.media.": (),
    "langchain_videochat.perception.observation": ("Observation",),
    "langchain_videochat.perception.pipeline": ("SegmentResult",),
    "langchain_videochat.workers.jobs": ("FileState", "Inspection"),
    "langchain_videochat.timeline.timeline": ("Timeline",),
    "langchain_videochat.utils.tracing": ("StageTime",),
    **PLAIN_CLASSES,
}
"""Classes that results may contain."""


class ProcessWorker:
    """Runs jobs in a process of its own, which keeps its models, and is replaced when it dies.

    Args:
        limits: Its limits.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: WorkerProcess | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def prepare(self) -> None:
        """See `Worker`. The process is started with the first job."""

    def run(self, job: Job, on_position: OnPosition) -> JobResult:
        """See `Worker`."""
        process = self._start(job)
        arguments = {"source": job.source, "job": job}
        request = Request(
            run_in_worker.__module__, run_in_worker.__name__, arguments, ("on_position",), os.getcwd(), MAX_SILENCE
        )
        try:
            return self._receive(process.messages(request), on_position)
        except WorkerDied as died:
            self._process = None
            event = "made no progress for an hour" if died.timed_out else "was killed or crashed"
            raise JobDied(job.source, event) from died

    def _receive(self, messages: Iterator[Message], on_position: OnPosition) -> JobResult:
        result: list[JobResult] = []
        for kind, value in messages:
            if kind == "call":
                on_position(*value[1])
            elif kind == "error":
                raise value
            elif kind == "value":
                result.append(value)
            else:
                break
        return result[0]

    def close(self) -> None:
        """See `Worker`."""
        with self._lock:
            self._is_closed = True
            if self._process is not None:
                self._process.end()

    def _start(self, job: Job) -> WorkerProcess:
        with self._lock:
            if self._is_closed:
                raise JobDied(job.source, "was stopped", is_lost=True)
            if self._process is None:
                self._process = WorkerProcess(self._limits, _RESULTS)
            return self._process


def process_workers(count: int) -> list[ProcessWorker]:
    """Return workers with processes that share the cores and the memory of this machine."""
    memory = psutil.virtual_memory().total * MEMORY_SHARE
    limits = Limits(max(MIN_BYTES, round(memory / count)), threads=max(1, (os.cpu_count() or 1) // count))
    return [ProcessWorker(limits) for _ in range(count)]
