"""The interface of workers."""

from typing import Protocol

from langchain_videochat.errors import MediaError
from langchain_videochat.workers.jobs import Job, JobResult, OnPosition


class JobDied(Exception):  # noqa: N818 - an event, which the schedule converts to an error after the last try
    """The process that ran a job has ended.

    Args:
        source: The source of the job.
        event: What happened to the process, for example "was killed or crashed".
        is_lost: Whether the machine was lost, so that the job is probably not to blame.
    """

    def __init__(self, source: str, event: str, *, is_lost: bool = False) -> None:
        super().__init__(source, event)
        advice = "The file may be damaged or need more memory: leave it out, or use a smaller profile"
        self.error = MediaError(source, f"the process that perceived it {event}, more than once", advice)
        """The error to report if this was the last try."""
        self.is_lost = is_lost


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
