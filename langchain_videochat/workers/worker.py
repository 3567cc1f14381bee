"""What all workers have in common."""

from typing import Protocol

from langchain_videochat.errors import MediaError, VideoChatError
from langchain_videochat.workers.jobs import Job, JobResult, OnPosition


class JobDied(Exception):  # noqa: N818 - an event, which the schedule converts to an error after the last try
    """The process that ran a job has ended.

    Args:
        error: The error to report if this was the last try; None if the job is not to blame.
    """

    def __init__(self, error: VideoChatError | None) -> None:
        super().__init__(error)
        self.error = error

    @classmethod
    def by(cls, source: str, how: str) -> "JobDied":
        """Build one for a process that may have died because of its job; `how` is what happened to the process."""
        advice = "The file may be damaged or need more memory: leave it out, or use a smaller profile"
        return cls(MediaError(source, f"the process that perceived it {how}, twice", advice))


class Worker(Protocol):
    """Runs jobs, one at a time. Its methods are called by one thread, `close` also by others."""

    def prepare(self) -> None:
        """Wait until it can run a job.

        Raises:
            WorkerError: It cannot be started.
        """

    def run(self, job: Job, on_position: OnPosition) -> JobResult:
        """Run a job, and call `on_position` with the time in seconds up to which the video has been processed.

        Raises:
            VideoChatError: The job failed.
            JobDied: The process that ran it has ended. The next call starts another one.
        """

    def close(self) -> None:
        """Stop the current job as soon as possible, and release what the worker uses."""
