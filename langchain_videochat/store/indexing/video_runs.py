"""The videos of an indexing run, and their jobs."""

import time
from dataclasses import dataclass, field

from langchain_videochat.store.indexing.pending_video import PendingVideo
from langchain_videochat.store.indexing.writing import PerceivedVideo
from langchain_videochat.utils.tracing import StageTime
from langchain_videochat.workers.jobs import Inspection, Job


@dataclass(eq=False)
class VideoRun:
    """A source that is being indexed."""

    number: int
    """Its position among the sources, from 0."""

    source: str
    """Path or URL."""

    inspection: Inspection | None = None
    """What its file contains, when it was inspected."""

    worker: object = None
    """The worker that has downloaded it, if it is not a file."""

    pending: PendingVideo | None = None
    """Its segments, when it was planned."""

    perceived: PerceivedVideo | None = None
    """What is to be saved, when everything is perceived."""

    is_finished: bool = False
    """Whether its result was reported: what its other jobs return is ignored."""

    is_started: bool = False
    """Whether its perception has begun."""

    started: float = field(default_factory=time.time)
    """Unix time at which it was listed."""

    stages: list[StageTime] = field(default_factory=list)
    """How long each stage of its perception took."""

    @property
    def video_id(self) -> str:
        """Hash of its content; empty before it was inspected."""
        return "" if self.inspection is None else self.inspection.video_id


@dataclass(frozen=True, eq=False)
class Assignment:
    """An assigned job."""

    run: VideoRun
    job: Job
    tries: int = 1
    losses: int = 0
    """How often a machine was lost that ran it."""
