"""The status of an indexing run, and its form in the database."""

import json
import logging
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from langchain_videochat.media.sources import safe_source

logger = logging.getLogger(__name__)

STOPPED_SECONDS = 60.0
"""Seconds without a write after which a run is shown as stopped."""

MAX_BYTES = 16 * 1024
"""Maximum size of a document in Chroma Cloud."""

_MAX_LENGTH = 200
"""Characters of a source or a reason."""

RunState = Literal["running", "finished", "failed", "interrupted", "stopped"]


@dataclass(frozen=True)
class RunningSource:
    """A source that is being indexed."""

    source: str
    """Path or URL."""

    position: float
    """Time in seconds up to which the video has been processed."""

    duration: float
    """Length of the video in seconds; 0 if it is not known yet."""


@dataclass(frozen=True)
class FailedSource:
    """A source that could not be indexed."""

    source: str
    """Path or URL."""

    kind: str
    """Class of the error, for example "MediaError"; empty if it is unknown."""

    reason: str
    """Why it could not be indexed."""

    time: str
    """When it failed: ISO 8601, UTC."""


@dataclass(frozen=True)
class RunStatus:
    """State of an indexing run."""

    run_id: str
    """Random id."""

    engine: str
    """What performs the work, for example "local" or "ray"."""

    workers: int
    """Number of workers."""

    host: str
    """Name of the machine that drives the run."""

    state: RunState
    """"stopped" if its record was not renewed for a minute: its process was killed, or its machine is off."""

    started: str
    """When it started: ISO 8601, UTC."""

    renewed: str
    """When the record was written last, which is when the run ended if it has: ISO 8601, UTC."""

    indexed: int = 0
    """Videos that were indexed."""

    skipped: int = 0
    """Videos that were in the store already."""

    failed: int = 0
    """Sources that could not be indexed."""

    seconds: float = 0.0
    """Seconds of video that were processed."""

    busy: float = 0.0
    """Seconds in which the run processed at least one video."""

    running: tuple[RunningSource, ...] = ()
    """Sources that are being indexed; empty if the run has ended."""

    failures: tuple[FailedSource, ...] = ()
    """The latest sources that could not be indexed, oldest first."""

    @property
    def throughput(self) -> float:
        """Hours of video that are processed in an hour, not counting the time in which nothing was to be done."""
        return self.seconds / self.busy if self.busy > 0 else 0.0


def dump_run(run: RunStatus) -> str:
    """Serialize a run to JSON that fits into a document; the oldest failures are left out."""
    while len((text := json.dumps(asdict(run), ensure_ascii=False)).encode()) > MAX_BYTES:
        if run.failures:
            run = replace(run, failures=run.failures[1 + len(run.failures) // 8 :])
        else:
            run = replace(run, running=run.running[: len(run.running) // 2])
    return text


def load_run(document: str) -> RunStatus | None:
    """Parse the output of `dump_run`; None if another version wrote it. A run that went silent becomes "stopped"."""
    from pydantic import TypeAdapter, ValidationError

    try:
        run = TypeAdapter(RunStatus).validate_json(document)
        age = datetime.now(UTC) - datetime.fromisoformat(run.renewed)
    except (ValidationError, ValueError) as error:
        logger.debug("a run was recorded by another version: %s", error)
        return None
    if run.state == "running" and age.total_seconds() > STOPPED_SECONDS:
        return replace(run, state="stopped", running=())
    return run


def now() -> str:
    """Return the current time: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def shorten(text: str) -> str:
    """Limit the length of a reason."""
    printable = text.encode(errors="backslashreplace").decode()
    return printable if len(printable) <= _MAX_LENGTH else f"{printable[: _MAX_LENGTH - 1]}…"


def shorten_source(source: str) -> str:
    """Shorten a source to its end, which has the name of the file."""
    safe = safe_source(source)
    return safe if len(safe) <= _MAX_LENGTH else f"…{safe[1 - _MAX_LENGTH :]}"
