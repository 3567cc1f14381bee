"""The jobs of workers: inspecting a file, perceiving a segment of it, and summarizing what was perceived.

Jobs and their results can be pickled, and they use no store: they run in any process on any machine that has the files.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from langchain_videochat.errors import MediaError, ModelError, SourceError, VideoChatError
from langchain_videochat.media import VideoInfo, local_file, local_path, probe, video_id
from langchain_videochat.media.sources import is_remote_address
from langchain_videochat.media.subtitles.sidecar_fingerprint import sidecar_fingerprint
from langchain_videochat.perception import Profile, SegmentResult, keep_models
from langchain_videochat.timeline import Timeline
from langchain_videochat.workers.segments import SegmentTask, perform, summarize

OnPosition = Callable[[float], None]
"""Called with the time in seconds up to which a video has been processed. It raises KeyboardInterrupt to stop a job."""


@dataclass(frozen=True)
class FileState:
    """By what a change of a file is noticed."""

    size: int
    """Bytes."""

    mtime_ns: int
    """Time of its last change in nanoseconds."""

    @classmethod
    def of(cls, path: Path) -> "FileState":
        """Return the present state of a file."""
        status = path.stat()
        return cls(status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class Inspection:
    """What a file contains."""

    video: VideoInfo
    """Its metadata; `source` is the path or URL as given."""

    video_id: str
    """Hash of its content."""

    sidecars: str
    """Fingerprint of the subtitle files beside it."""

    state: FileState
    """The state of the file when it was read."""


@dataclass(frozen=True)
class InspectJob:
    """Inspects a file."""

    source: str
    """Path or URL."""

    known: tuple[str, FileState] | None = None
    """Hash of the content that it had in a state: in that state, the file need not be read."""

    def run(self, path: Path, _: OnPosition) -> Inspection:
        """Inspect the file at a local path."""
        state = FileState.of(path)
        identity = self.known[0] if self.known is not None and self.known[1] == state else video_id(path)
        video = replace(probe(path), source=self.source)
        return Inspection(video, identity, sidecar_fingerprint(path), state)


@dataclass(frozen=True)
class PerceiveJob:
    """Perceives a segment of a video."""

    source: str
    """Path or URL."""

    task: SegmentTask
    """The segment."""

    state: FileState | None
    """The state in which the file was inspected; None if it is downloaded."""

    def run(self, path: Path, on_position: OnPosition) -> SegmentResult:
        """Perceive the segment of the file at a local path.

        Raises:
            MediaError: The file has changed, so that segments of two videos would be mixed.
        """
        self._check(path)
        result = perform(replace(self.task, path=path), on_position)
        self._check(path)
        return result

    def _check(self, path: Path) -> None:
        if self.state is not None and FileState.of(path) != self.state:
            raise MediaError(self.source, "has changed while it was indexed", "Index it again")


@dataclass(frozen=True)
class SummarizeJob:
    """Runs the perceivers that take the observations of others."""

    source: str
    """Path or URL."""

    timeline: Timeline
    """The observations of all segments."""

    profile: Profile
    """The perceivers."""

    def run(self, _: Path, on_position: OnPosition) -> tuple[Timeline, list[str]]:
        """Return the timeline with summaries, and descriptions of the perceivers that failed."""
        return summarize(self.timeline, self.profile, on_position)


Job = InspectJob | PerceiveJob | SummarizeJob
JobResult = Inspection | SegmentResult | tuple[Timeline, list[str]]


class JobRunner:
    """Runs jobs one after another. It keeps the latest download: a video on the web has several jobs."""

    def __init__(self) -> None:
        self._source: str | None = None
        self._path = Path()
        self._file = ExitStack()

    def run(self, job: Job, on_position: OnPosition) -> JobResult:
        """Run a job.

        Args:
            job: The job.
            on_position: Called with the time in seconds up to which the video has been processed.

        Raises:
            VideoChatError: It failed. Errors of libraries are converted to an error about the source.
        """
        try:
            # The observations of a video are enough to summarize it.
            path = Path() if isinstance(job, SummarizeJob) else self._open(job.source)
            return job.run(path, on_position)
        except VideoChatError:
            raise
        except MemoryError as error:
            advice = "Index fewer videos at once, or use a smaller profile"
            raise MediaError(job.source, "out of memory", advice) from error
        except OSError as error:
            raise SourceError(job.source, f"cannot be read ({error})", "Check the file") from error
        except Exception as error:
            problem = f"perception failed ({type(error).__name__}: {error})"
            raise ModelError(job.source, problem, "Use another profile, or leave this video out") from error

    def close(self) -> None:
        """Delete the download."""
        self._source = None
        self._file.close()

    def _open(self, source: str) -> Path:
        if not is_remote_address(source):
            return local_path(source)
        if self._source != source:
            self.close()
            self._path = self._file.enter_context(local_file(source))
            self._source = source
        return self._path


@cache
def _process_runner() -> tuple[JobRunner, ExitStack]:
    """Return the runner of this process, and what keeps its models as long as the process lives."""
    models = ExitStack()
    models.enter_context(keep_models())
    return JobRunner(), models


def run_in_worker(source: str, job: Job, on_position: OnPosition) -> JobResult:
    """Run a job in a worker process, which keeps its models for the next one; see `JobRunner.run`."""
    runner, _ = _process_runner()
    return runner.run(job, on_position)
