"""A video whose segments are being perceived."""

from dataclasses import replace

from langchain_videochat.perception import SegmentResult
from langchain_videochat.store.indexing.planning import VideoPlan
from langchain_videochat.store.indexing.writing import Draft, PerceivedVideo
from langchain_videochat.store.provenance import Provenance
from langchain_videochat.store.saving import NewVersion
from langchain_videochat.timeline import Timeline
from langchain_videochat.workers.jobs import Inspection, PerceiveJob
from langchain_videochat.workers.segments import segment_seconds


class PendingVideo:
    """Collects the results of the segments of a video.

    Args:
        inspection: What the file contains.
        plan: What is missing of the video.
        in_order: Whether each segment needs the states of the perceivers at the end of the previous one.
    """

    def __init__(self, inspection: Inspection, plan: VideoPlan, *, in_order: bool) -> None:
        self.plan = plan
        self._inspection = inspection
        self._in_order = in_order
        self._results = dict(plan.results)
        self._waiting = list(plan.tasks)
        self._missing = {task.number for task in plan.tasks}

    @property
    def is_complete(self) -> bool:
        """Whether all segments are perceived."""
        return not self._missing

    @property
    def earlier_seconds(self) -> float:
        """Length of the segments that an earlier run has perceived, in seconds."""
        begun = {task.number for task in self.plan.tasks}
        duration = self.plan.video.duration
        return sum(segment_seconds(number, duration) for number in self.plan.results if number not in begun)

    def next_jobs(self) -> list[PerceiveJob]:
        """Return the jobs that are ready, each once."""
        count = 1 if self._in_order else len(self._waiting)
        tasks, self._waiting = self._waiting[:count], self._waiting[count:]
        source, state = self.plan.video.source, self.plan.state
        return [PerceiveJob(source, replace(one, states=self._states(one.number)), state) for one in tasks]

    def add(self, number: int, result: SegmentResult) -> Draft | None:
        """Add the result of a segment.

        Returns:
            The draft to write; None if the segment is the only one, which is saved at once.
        """
        self._results[number] = result
        self._missing.discard(number)
        if len(self._results) == 1 and self.is_complete:
            return None
        return Draft(self.plan.video_id, number, result, self.plan.sidecars)

    def timeline(self) -> Timeline:
        """Return the observations of all segments."""
        observations = (one for result in self._ordered() for one in result.observations)
        return Timeline.of(self.plan.video, self.plan.video_id, observations)

    def perceived(self, profile: str, timeline: Timeline, failures: list[str]) -> PerceivedVideo:
        """Return the video to save.

        Args:
            profile: Name of the profile.
            timeline: The timeline, with summaries if there are any.
            failures: Descriptions of the perceivers that failed to summarize it.
        """
        ordered = self._ordered()
        damage = [one for result in ordered for one in result.damage]
        failures = [*(one for result in ordered for one in result.failures), *failures]
        provenance = Provenance.of(self.plan.video, profile, damage, failures, self.plan.sidecars)
        given = self._inspection
        return PerceivedVideo(given.video.source, given.sidecars, NewVersion(timeline, provenance))

    def _ordered(self) -> list[SegmentResult]:
        return [self._results[number] for number in sorted(self._results)]

    def _states(self, number: int) -> tuple[str | None, ...]:
        previous = self._results.get(number - 1)
        return () if previous is None else previous.states
