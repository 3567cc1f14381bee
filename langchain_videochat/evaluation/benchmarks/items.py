"""Questions of benchmarks, and their selection by task."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

from langchain_videochat.errors import InputError, SourceError
from langchain_videochat.evaluation.benchmarks.prompts import MVBENCH, PromptFormat
from langchain_videochat.evaluation.benchmarks.question_groups import QuestionGroup

MAX_OPTIONS = 26
"""Number of letters in the alphabet."""


@dataclass(frozen=True)
class BenchmarkItem:
    """A multiple-choice question about a video."""

    task: str
    """Task of the benchmark."""

    number: int
    """Index in the benchmark's file, from 0."""

    video: str
    """Name of the video in the benchmark's file."""

    path: Path | None
    """A video file, an animated GIF, or a folder of frames at 3 fps; None if the video is missing."""

    question: str
    """The question."""

    candidates: tuple[str, ...]
    """Options to choose from."""

    answer: str
    """The correct candidate."""

    start: float | None = None
    """Start of the relevant interval in seconds; the start of the video if None."""

    end: float | None = None
    """End of the relevant interval in seconds; the end of the video if None."""

    subset: str | None = None
    """Duration or level of difficulty, for benchmarks that report scores for each."""

    group: QuestionGroup | None = None
    """Questions that are scored together with this one."""

    prompt: PromptFormat = MVBENCH
    """The wording of the question."""

    subtitles: Path | None = None
    """File with the video's subtitles: .srt, .json as in LongVideoBench, or .jsonl as in Video-MME v2."""

    subtitles_start: float = 0.0
    """Time in that file at which the video starts, in seconds."""


def task_stem(name: str) -> str:
    """Return the name of a task as in files and on the command line.

    Example:
        >>> task_stem("Fine-grained Pose")
        'fine_grained_pose'
    """
    return name.lower().replace(" ", "_").replace("-", "_")


def select_tasks(names: Sequence[str], known: Collection[str]) -> set[str]:
    """Return the tasks with the given names; all known tasks if no name is given.

    Raises:
        InputError: A task is unknown.

    Example:
        >>> select_tasks(["fine_grained_pose"], ["Fine-grained Pose", "Action Count"])
        {'Fine-grained Pose'}
    """
    tasks = {task_stem(task): task for task in known}
    for name in names:
        if task_stem(name) not in tasks:
            raise InputError("task", f"unknown task {name!r}", f"Choose from {', '.join(tasks.values())}")
    return {tasks[task_stem(name)] for name in names} if names else set(known)


def check_subtitles(items: list[BenchmarkItem]) -> list[BenchmarkItem]:
    """Return items after checking that their subtitle files exist.

    Raises:
        SourceError: A file does not exist.
    """
    for item in items:
        if item.subtitles is not None and not item.subtitles.is_file():
            raise SourceError(item.subtitles, "no such file", "Unpack the benchmark's subtitles again")
    return items


def select_items(items: Iterable[BenchmarkItem], tasks: Sequence[str], limit: int | None) -> list[BenchmarkItem]:
    """Return the items of some tasks, sorted by task.

    Args:
        items: Questions in the order of the benchmark's file.
        tasks: Names of tasks; all if empty.
        limit: Maximum number of questions per task; all if None.

    Raises:
        InputError: A task is unknown.
    """
    by_task = sorted(items, key=lambda item: item.task)
    selected = select_tasks(tasks, dict.fromkeys(item.task for item in by_task))
    return [
        item
        for task, group in groupby(by_task, key=lambda item: item.task)
        if task in selected
        for item in islice(group, limit)
    ]
