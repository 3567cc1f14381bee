"""The report of an indexing run."""

import logging
from dataclasses import dataclass
from typing import Literal

from langchain_videochat.media.sources import safe_source
from langchain_videochat.store.catalogue import VideoRecord

_LOG = logging.getLogger(__name__)

Status = Literal["indexed", "skipped", "failed"]


@dataclass(frozen=True)
class IndexedVideo:
    """Result of indexing one source."""

    source: str
    """Path or URL."""

    status: Status
    """"indexed", "skipped" because it was already in the store, or "failed"."""

    video_id: str | None = None
    """Hash of the file's content; None if the file could not be read."""

    duration: float = 0.0
    """Length in seconds."""

    observations: int = 0
    """Number of observations in its timeline."""

    moments: int = 0
    """Number of moments that search can return."""

    decoded_fraction: float = 0.0
    """Fraction of the video's pictures that could be decoded, 0 to 1."""

    damage: str = ""
    """What could not be read of the file, see `langchain_videochat.media.Damage`; empty if it is intact."""

    failures: str = ""
    """Which perceivers failed, and why; the results of the others are stored."""

    error: str | None = None
    """Why indexing failed."""

    error_type: str = ""
    """Name of the class of that error, for example "MediaError"."""

    @classmethod
    def of(cls, record: VideoRecord, source: str, status: Status, *, ignores_sidecars: bool) -> "IndexedVideo":
        """Build the result for a video that is in the store.

        Args:
            record: The record of the video.
            source: The path or URL that was indexed.
            status: What was done.
            ignores_sidecars: Whether there are subtitle files beside `source` that the timeline was made without.
        """
        ignored = [describe_ignored_sidecars(record)] if ignores_sidecars else []
        return cls(
            source=source,
            status=status,
            video_id=record.video_id,
            duration=record.duration,
            observations=record.observations,
            moments=record.moments,
            decoded_fraction=record.decoded_fraction,
            damage="; ".join([record.damage, *ignored] if record.damage else ignored),
            failures=record.failures,
        )

    @classmethod
    def failed(cls, source: str, error: BaseException) -> "IndexedVideo":
        """Build the result for a source that cannot be indexed, and log the error."""
        source = safe_source(source)
        _LOG.warning("skipping %s: %s", source, error)
        kind = type(error).__name__
        return cls(source=source, status="failed", error=str(error) or kind, error_type=kind)

    def __str__(self) -> str:
        if self.error is not None:
            return f"{self.status} {self.source}: {self.error}"
        counts = f"{_count(self.observations, 'observation')} in {_count(self.moments, 'moment')}"
        decoded = "" if self.decoded_fraction > 0.999 else f", {self.decoded_fraction:.0%} decoded"  # noqa: PLR2004 - 3 decimals
        damage = f"; damaged: {self.damage}" if self.damage else ""
        failures = f"; {self.failures}" if self.failures else ""
        return f"{self.status} {self.source} ({self.video_id}): {counts}{decoded}{damage}{failures}"


def describe_ignored_sidecars(record: VideoRecord) -> str:
    """Describe the damage of a video beside which there are other subtitle files than its timeline was made with."""
    used = (one.address for one in record.sources if one.sidecars == record.sidecars)
    return f"the subtitle files beside it are ignored: its timeline was made from {next(used, record.source)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@dataclass(frozen=True)
class IndexReport:
    """Results of an indexing run; `str` returns one line per source."""

    videos: tuple[IndexedVideo, ...]
    """Results in the order of the sources."""

    @property
    def indexed(self) -> list[IndexedVideo]:
        """Videos that were indexed in this run."""
        return self._with_status("indexed")

    @property
    def skipped(self) -> list[IndexedVideo]:
        """Videos that were already in the store."""
        return self._with_status("skipped")

    @property
    def failed(self) -> list[IndexedVideo]:
        """Sources that could not be read."""
        return self._with_status("failed")

    def __str__(self) -> str:
        return "\n".join(str(video) for video in self.videos)

    def _with_status(self, status: Status) -> list[IndexedVideo]:
        return [video for video in self.videos if video.status == status]
