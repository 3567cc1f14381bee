"""Workers that are threads of this process."""

import threading
from functools import partial

from langchain_videochat.workers.jobs import Job, JobResult, JobRunner, OnPosition
from langchain_videochat.workers.worker import JobDied


class ThreadWorker:
    """Runs jobs in a thread of this process, with the models and the limits of the process."""

    def __init__(self) -> None:
        self._runner = JobRunner()
        self._is_closed = threading.Event()

    def prepare(self) -> None:
        """See `Worker`."""

    def run(self, job: Job, on_position: OnPosition) -> JobResult:
        """See `Worker`."""
        try:
            return self._runner.run(job, partial(self._report, on_position))
        except KeyboardInterrupt:
            raise JobDied(job.source, "was stopped", is_lost=True) from None

    def close(self) -> None:
        """See `Worker`."""
        self._is_closed.set()

    def _report(self, on_position: OnPosition, position: float) -> None:
        if self._is_closed.is_set():
            raise KeyboardInterrupt
        on_position(position)
