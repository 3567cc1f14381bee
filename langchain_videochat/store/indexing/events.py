"""What happens in an indexing run, for the thread that started it."""

from dataclasses import dataclass

from langchain_videochat.media import VideoInfo
from langchain_videochat.store.index_report import IndexedVideo

EARLIER = -1
"""Number that stands for all segments that an earlier run has perceived."""


@dataclass(frozen=True)
class Progress:
    """How far a video is."""

    source: str
    phase: str
    """"perceiving", "summarizing" or "embedding"."""

    segment: int
    """Number of the segment, or `EARLIER`; 0 if the phase has no segments."""

    position: float
    """Seconds of the segment, or of the whole video in other phases, that are done."""

    video: VideoInfo
    """The video."""


@dataclass(frozen=True)
class Finished:
    """A video is finished."""

    number: int
    """Its position among the sources, from 0."""

    video: IndexedVideo


@dataclass(frozen=True)
class Ended:
    """The run has ended."""

    error: BaseException | None = None
    """Why it was stopped, if it was."""


Event = Progress | Finished | Ended
