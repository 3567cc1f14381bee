"""The schedule of an indexing run: which job comes next, and which videos can be saved."""

import threading
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from queue import SimpleQueue
from typing import cast

from langchain_videochat.errors import (
    InputError,
    MediaError,
    ModelUnavailableError,
    StoreError,
    VideoChatError,
    WorkerError,
)
from langchain_videochat.media.sources import is_remote_address
from langchain_videochat.perception import Profile, SegmentResult
from langchain_videochat.perception.perceiver import ObservationInputs
from langchain_videochat.store.index_report import IndexedVideo
from langchain_videochat.store.indexing.events import EARLIER, Ended, Event, Finished, Progress
from langchain_videochat.store.indexing.pending_video import PendingVideo
from langchain_videochat.store.indexing.planning import Planner
from langchain_videochat.store.indexing.video_runs import Assignment, VideoRun
from langchain_videochat.store.indexing.writing import Draft
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.tracing import StageTime, emit_span
from langchain_videochat.workers.jobs import (
    FileState,
    Inspection,
    InspectJob,
    Job,
    JobResult,
    PerceiveJob,
    SummarizeJob,
)
from langchain_videochat.workers.segments import segment_seconds, segment_start

MAX_TRIES = 2
"""How often a job is tried whose process dies: it may have been killed for another reason than the file."""

MAX_SAVED_OBSERVATIONS = 5000
"""Maximum number of observations in videos that are saved together, unless one has more: it bounds the embeddings in
memory."""

MAX_LOSSES = 5
"""How often a job is tried whose machine is lost: it may be the job that exhausts its memory."""

MAX_SAVES = 16
"""Maximum number of videos that are saved together: their texts are embedded in the same batches."""


class Schedule:
    """Hands out jobs to workers, and perceived videos to writers. Safe for use from several threads.

    Args:
        planner: Decides what is to be done with each video.
        profile: The perceivers.
        max_videos: Maximum number of videos in progress. It bounds the results in memory, also when the store is slower
            than perception.
        stops_at_failure: Whether the first video that fails stops the run.
    """

    def __init__(self, planner: Planner, profile: Profile, max_videos: int, *, stops_at_failure: bool) -> None:
        perceivers = profile.create()
        self._planner = planner
        self._profile = profile
        self._max_videos = max_videos
        self._stops_at_failure = stops_at_failure
        self._in_order = any(one.is_sequential for one in perceivers)
        self._summarizes = any(isinstance(one.inputs, ObservationInputs) for one in perceivers)
        self._changed = threading.Condition()
        self._jobs: deque[Assignment] = deque()
        self._inspections: deque[Assignment] = deque()
        self._drafts: list[Draft] = []
        self._writing: Counter[str] = Counter()
        """Number of drafts that are being written, by the id of their video."""
        self._perceived: list[VideoRun] = []
        self._videos: set[VideoRun] = set()
        self._by_id: dict[str, VideoRun] = {}
        self._copies: dict[str, list[VideoRun]] = {}
        self._is_listed = False
        self.stopped = threading.Event()
        """Set when the run is stopped."""
        self.events: SimpleQueue[Event] = SimpleQueue()
        """What has happened, for the thread that started the run."""

    def add(self, number: int, source: str) -> None:
        """Add a source, as soon as there is room for another video."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._videos) < self._max_videos or self.stopped.is_set())
        if self.stopped.is_set():
            return
        known = self._planner.known(source)
        skipped = None if known is None else self._planner.skip_known(source, known[0])
        if skipped is not None:
            self.events.put(Finished(number, skipped))
            return
        run = VideoRun(number, source)
        with self._changed:
            self._videos.add(run)
        self._inspect(run, known)

    def end_sources(self) -> None:
        """Report that no more sources follow."""
        with self._changed:
            self._is_listed = True
            self._end_if_over()

    def next_job(self, worker: object) -> Assignment | None:
        """Wait for a job; return None when there are no more.

        Args:
            worker: The caller, which gets all jobs of the videos that it has downloaded.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting(worker) or self._is_over())
            assignment = self._waiting(worker)
            if self.stopped.is_set() or assignment is None:
                return None
            queue = self._jobs if assignment in self._jobs else self._inspections
            queue.remove(assignment)
            if is_remote_address(assignment.run.source):
                assignment.run.worker = worker
        self._report_start(assignment.run)
        return assignment

    def _waiting(self, worker: object) -> Assignment | None:
        """Return the next job for a worker; videos that were begun come first, because their results take memory."""
        every = chain(self._jobs, self._inspections)
        return next((one for one in every if one.run.worker in (None, worker)), None)

    def _report_start(self, run: VideoRun) -> None:
        """Report what earlier runs have perceived of a video, before its first job."""
        if run.pending is not None and not run.is_started:
            run.is_started = True
            self.report(run, "perceiving", run.pending.earlier_seconds, EARLIER)

    def done(self, assignment: Assignment, result: JobResult) -> None:
        """Accept the result of a job."""
        run, job = assignment.run, assignment.job
        if isinstance(job, InspectJob):
            self._plan(run, cast("Inspection", result))
        elif isinstance(job, PerceiveJob):
            self._add_segment(run, job.task.number, cast("SegmentResult", result))
        else:
            self._put_perceived(run, *cast("tuple[Timeline, list[str]]", result))

    def died(self, assignment: Assignment, error: VideoChatError, *, is_lost: bool) -> None:
        """Try a job again whose process has died.

        Args:
            assignment: The job.
            error: What is reported if that was its last try.
            is_lost: Whether a whole machine was lost, so that the job is probably not to blame.
        """
        tried = replace(assignment, tries=assignment.tries + (not is_lost), losses=assignment.losses + is_lost)
        if tried.tries > MAX_TRIES or tried.losses > MAX_LOSSES:
            self.failed(assignment.run, error)
            return
        with self._changed:
            if not assignment.run.is_finished:
                assignment.run.worker = None
                self._jobs.appendleft(tried)
                self._changed.notify_all()

    def failed(self, run: VideoRun, error: BaseException) -> None:
        """Report that a video failed. The run is stopped if all others would fail in the same way."""
        is_general = isinstance(error, StoreError | ModelUnavailableError | InputError | WorkerError)
        if is_general or self._stops_at_failure or not isinstance(error, VideoChatError | OSError):
            self.stop(error)
        else:
            self.finish(run, IndexedVideo.failed(run.source, error))

    def report(self, run: VideoRun, phase: str, position: float, segment: int = 0) -> None:
        """Report the progress of a video."""
        pending = cast("PendingVideo", run.pending)
        self.events.put(Progress(run.source, phase, segment, position, pending.plan.video))

    def report_job(self, assignment: Assignment, position: float) -> None:
        """Report that a job has processed a video up to a time in seconds."""
        if isinstance(assignment.job, PerceiveJob):
            number = assignment.job.task.number
            self.report(assignment.run, "perceiving", max(0.0, position - segment_start(number)), number)
        elif isinstance(assignment.job, SummarizeJob):
            self.report(assignment.run, "summarizing", position)

    def next_saves(self) -> tuple[list[Draft], list[VideoRun]] | None:
        """Wait for drafts to write and videos to save; return None when there are no more.

        Drafts are written even after the run was stopped. Those of a video are written before it is saved, which
        deletes them.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._drafts or self._savable() or self._is_over())
            runs = [] if self.stopped.is_set() else _limit(self._savable())
            for run in runs:
                self._perceived.remove(run)
            drafts, self._drafts = self._drafts, []
            self._writing.update(one.video_id for one in drafts)
            return (drafts, runs) if drafts or runs else None

    def take_drafts(self) -> list[Draft]:
        """Return the drafts that are still to be written, when all workers and writers have ended."""
        return self._drafts

    def wrote(self, drafts: Sequence[Draft]) -> None:
        """Report that drafts are written."""
        with self._changed:
            self._writing -= Counter(one.video_id for one in drafts)
            self._changed.notify_all()

    def _savable(self) -> list[VideoRun]:
        """Return the videos of which no other writer is writing a draft."""
        return [one for one in self._perceived if not self._writing[one.video_id]]

    def finish(
        self,
        run: VideoRun,
        video: IndexedVideo,
        stages: Iterable[StageTime] = (),
    ) -> None:
        """Report the result of a video.

        Args:
            run: The video.
            video: The result.
            stages: How long it took to save it.
        """
        copies: list[VideoRun] = []
        with self._changed:
            if run.is_finished:
                return
            run.is_finished = True
            self._videos.discard(run)
            self._jobs = deque(one for one in self._jobs if one.run is not run)
            if self._by_id.get(run.video_id) is run:
                del self._by_id[run.video_id]
                copies = self._copies.pop(run.video_id, [])
            self.events.put(Finished(run.number, video))
            self._end_if_over()
        every = [*run.stages, *stages]
        emit_span("index", run.started, every, source=video.source, status=video.status, duration=video.duration)
        for copy in copies:
            inspected = copy.inspection
            self._inspect(copy, None if inspected is None else (inspected.video_id, inspected.state))

    def stop(self, error: BaseException | None = None) -> None:
        """Stop the run; `error` is the reason."""
        with self._changed:
            if not self.stopped.is_set():
                self.stopped.set()
                self.events.put(Ended(error))
            self._changed.notify_all()

    def _is_over(self) -> bool:
        return self.stopped.is_set() or (self._is_listed and not self._videos)

    def _end_if_over(self) -> None:
        if self._is_over():
            self.events.put(Ended())
        self._changed.notify_all()

    def _inspect(self, run: VideoRun, known: tuple[str, FileState] | None) -> None:
        with self._changed:
            self._inspections.append(Assignment(run, InspectJob(run.source, known)))
            self._changed.notify_all()

    def _put_jobs(self, run: VideoRun, *jobs: Job) -> None:
        with self._changed:
            self._jobs += [Assignment(run, job) for job in jobs]
            self._changed.notify_all()

    def _plan(self, run: VideoRun, inspection: Inspection) -> None:
        with self._changed:
            run.inspection = inspection
            if self._by_id.setdefault(inspection.video_id, run) is not run:
                # A copy of a video in progress: it is planned when that one is finished.
                self._copies.setdefault(inspection.video_id, []).append(run)
                return
        plan = self._planner.plan(inspection)
        if isinstance(plan, IndexedVideo):
            self.finish(run, plan)
            return
        in_order = self._in_order or is_remote_address(run.source)
        run.pending = PendingVideo(inspection, plan, in_order=in_order)
        self._continue(run, run.pending, is_complete=run.pending.is_complete)

    def _add_segment(self, run: VideoRun, number: int, result: SegmentResult) -> None:
        pending = cast("PendingVideo", run.pending)
        self.report(run, "perceiving", segment_seconds(number, pending.plan.video.duration), number)
        with self._changed:
            if run.is_finished:
                return
            run.stages += result.stages
            draft = pending.add(number, result)
            is_complete = pending.is_complete
            if draft is not None:
                self._drafts.append(draft)
                self._changed.notify_all()
        self._continue(run, pending, is_complete=is_complete)

    def _continue(self, run: VideoRun, pending: PendingVideo, *, is_complete: bool) -> None:
        self._put_jobs(run, *pending.next_jobs())
        if not is_complete:
            return
        self._report_start(run)  # unless it had no jobs
        self.report(run, "summarizing", 0.0)
        timeline = pending.timeline()
        if self._summarizes:
            self._put_jobs(run, SummarizeJob(pending.plan.video.source, timeline, self._profile))
        else:
            self._put_perceived(run, timeline, [])

    def _put_perceived(self, run: VideoRun, timeline: Timeline, failures: list[str]) -> None:
        pending = cast("PendingVideo", run.pending)
        run.perceived = perceived = pending.perceived(self._profile.name, timeline, failures)
        if perceived.is_unreadable:
            self._planner.delete_drafts(timeline.video_id, timeline.video.duration)
            advice = "The file is damaged: export it again"
            self.failed(run, MediaError(run.source, "nothing of it can be decoded", advice))
            return
        self.report(run, "embedding", 0.0)
        with self._changed:
            self._perceived.append(run)
            self._changed.notify_all()


def _limit(runs: Sequence[VideoRun]) -> list[VideoRun]:
    """Return the first videos, as far as they may be saved together."""
    chosen: list[VideoRun] = []
    observations = 0
    for run in runs[:MAX_SAVES]:
        observations += len(run.perceived.version.timeline) if run.perceived is not None else 0
        if chosen and observations > MAX_SAVED_OBSERVATIONS:
            break
        chosen.append(run)
    return chosen
