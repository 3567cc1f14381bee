"""Progress bars and callbacks of an indexing run."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Self

from langchain_videochat.media import VideoInfo
from langchain_videochat.store.indexing.events import Event, Finished, Progress
from langchain_videochat.store.run_records import RunRecord
from langchain_videochat.utils.progress import total_progress, video_progress

OnProgress = Callable[[str, str, float], None]
"""Called with a source, the current phase ("perceiving", "summarizing" or "embedding") and its progress, 0 to 1."""

MAX_BARS = 8
"""Maximum number of videos whose progress is shown."""


@dataclass
class _Phase:
    """The current phase of a video."""

    name: str
    video: VideoInfo
    bar: ExitStack
    show: Callable[[float], None]
    slot: int
    """The line of its bar, from 0."""

    segments: dict[int, float] = field(default_factory=dict)
    """Seconds that are done, by segment."""

    @property
    def position(self) -> float:
        """Seconds of the video that are done."""
        return min(sum(self.segments.values()), self.video.duration)


class ProgressDisplay:
    """Shows the progress of all videos of a run, records and reports it.

    Args:
        on_progress: Called with each change.
        record: The record of the run in the store.
        show: Whether to show progress bars.
        shows_total: Whether to show the number of finished videos, too.
    """

    def __init__(self, on_progress: OnProgress | None, record: RunRecord, *, show: bool, shows_total: bool) -> None:
        self._on_progress = on_progress
        self._record = record
        self._show = show
        self._phases: dict[str, _Phase] = {}
        self._first_line = int(show and shows_total)
        self._stack = ExitStack()
        self._count = self._stack.enter_context(total_progress(show=show and shows_total))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for source in list(self._phases):
            self._end(source)
        self._stack.close()

    def update(self, event: Event) -> None:
        """Show and report an event."""
        if isinstance(event, Progress):
            self._advance(event)
        elif isinstance(event, Finished):
            self._end(event.video.source)
            self._record.finished(event.video)
            self._count(event.video.duration if event.video.status == "indexed" else 0.0)

    def _advance(self, event: Progress) -> None:
        phase = self._phases.get(event.source)
        if phase is None or phase.name != event.phase:
            self._end(event.source)
            phase = self._phases[event.source] = self._begin(event)
        phase.segments[event.segment] = event.position
        phase.show(phase.position)
        if event.phase == "perceiving":
            self._record.progress(event.source, phase.position)
        if self._on_progress is not None:
            duration = phase.video.duration
            progress = phase.position / duration if duration else 1.0
            self._on_progress(event.source, event.phase, progress)

    def _begin(self, event: Progress) -> _Phase:
        if event.phase == "perceiving":
            self._record.started(event.source, event.video.duration, event.position)
        used = {one.slot for one in self._phases.values()}
        slot = next(number for number in range(len(used) + 1) if number not in used)
        bar = ExitStack()
        title = f"{event.video.title}: {event.phase}"
        show = self._show and slot < MAX_BARS
        line = self._first_line + slot
        advance = bar.enter_context(video_progress(title, event.video.duration, show=show, line=line))
        return _Phase(event.phase, event.video, bar, advance, slot)

    def _end(self, source: str) -> None:
        if (phase := self._phases.pop(source, None)) is not None:
            phase.bar.close()
