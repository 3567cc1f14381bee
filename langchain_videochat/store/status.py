"""The status of a store: what it holds, what is being indexed, and what failed."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from chromadb import Collection

from langchain_videochat.store.catalogue import VideoRecord
from langchain_videochat.store.run_records import MAX_FAILURES, read_runs
from langchain_videochat.store.run_status import FailedSource, RunStatus

_MISSING_MODALITY = re.compile(r"(?:^|; )no (\w+) from \w+:")


@dataclass(frozen=True)
class StoreStatus:
    """The status of a store."""

    videos: int = 0
    """Number of videos."""

    seconds: float = 0.0
    """Length of all videos together in seconds."""

    observations: int = 0
    """Number of observations in all timelines."""

    moments: int = 0
    """Number of moments that search can return."""

    profiles: dict[str, int] = field(default_factory=dict)
    """Number of videos by the profile they were indexed with; "" for timelines that were added."""

    missing: dict[str, int] = field(default_factory=dict)
    """Number of videos by the modality that is missing because a perceiver failed. The next run tries again."""

    damaged: int = 0
    """Number of videos of which a part could not be read."""

    runs: tuple[RunStatus, ...] = ()
    """The latest indexing runs, the last one first."""

    @property
    def hours(self) -> float:
        """Length of all videos together in hours."""
        return self.seconds / 3600

    @property
    def failures(self) -> tuple[FailedSource, ...]:
        """The sources that the latest runs could not index, the last one first, at most 100."""
        found = [one for run in self.runs for one in reversed(run.failures)]
        return tuple(sorted(found, key=lambda one: one.time, reverse=True)[:MAX_FAILURES])

    @property
    def failures_by_kind(self) -> dict[str, int]:
        """Number of these sources by the class of the error."""
        return dict(Counter(one.kind or "unknown" for one in self.failures).most_common())


def read_status(records: Iterable[VideoRecord], pages: Collection) -> StoreStatus:
    """Return the status of a store.

    Args:
        records: The records of its videos.
        pages: The collection of pages, which also has the records of runs.
    """
    totals: Counter[str] = Counter()
    profiles: Counter[str] = Counter()
    missing: Counter[str] = Counter()
    seconds = 0.0
    for record in records:
        seconds += record.duration
        totals.update(videos=1, observations=record.observations, moments=record.moments)
        totals["damaged"] += bool(record.damage)
        profiles[record.profile] += 1
        missing.update(set(_MISSING_MODALITY.findall(record.failures)))
    return StoreStatus(
        videos=totals["videos"],
        seconds=seconds,
        observations=totals["observations"],
        moments=totals["moments"],
        profiles=dict(profiles.most_common()),
        missing=dict(missing.most_common()),
        damaged=totals["damaged"],
        runs=tuple(read_runs(pages)),
    )
