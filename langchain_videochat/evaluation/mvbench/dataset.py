"""The questions of MVBench and their videos, read from the benchmark's folder."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, Field, TypeAdapter, model_validator

from langchain_videochat.errors import SourceError
from langchain_videochat.evaluation.benchmarks.items import MAX_OPTIONS, BenchmarkItem, select_tasks
from langchain_videochat.evaluation.benchmarks.rows import read_json_rows
from langchain_videochat.evaluation.mvbench.tasks import TASKS, BenchmarkTask, find_task

_ADVICE = 'Write a list of {"video": ..., "question": ..., "candidates": [...], "answer": ...}'

ADDED_VIDEOS = "data0613"
"""Folder of the videos of STAR and CLEVRER that were added to the benchmark later."""


class _BenchmarkRow(BaseModel):
    """A question in a file of the benchmark. Other fields are ignored."""

    video: str = Field(min_length=1)
    question: str
    candidates: list[str] = Field(min_length=1, max_length=MAX_OPTIONS)
    answer: str
    start: float | None = None
    end: float | None = None

    @model_validator(mode="after")
    def _check_answer(self) -> "_BenchmarkRow":
        if self.answer not in self.candidates:
            raise ValueError(f"the answer {self.answer!r} is not one of the candidates")
        return self


_ROWS = TypeAdapter(list[_BenchmarkRow])


def read_items(data_dir: str | Path, tasks: Sequence[str] = (), limit: int | None = None) -> list[BenchmarkItem]:
    """Read the questions of a folder with the layout of MVBench.

    Each file `json/TASK.json` is a task: a list of `{"video", "question", "candidates", "answer"}`, optionally with
    `start` and `end` in seconds. Videos are in the task's folder below `video/`; those of custom tasks in `video/TASK`
    or in `video` itself. A missing video is not an error: its item has no `path`.

    Args:
        data_dir: The folder.
        tasks: Names of tasks, for example "Moving Direction" or "moving_direction"; all tasks if empty.
        limit: Maximum number of questions per task; all if None.

    Returns:
        The questions, task by task in the order of MVBench's table, then custom tasks by name.

    Raises:
        SourceError: The folder contains no tasks.
        InputError: A file has another format, a question has too many or no options, its answer is not one of them, or
            a task is unknown.
    """
    files = sorted(Path(data_dir, "json").glob("*.json"))
    if not files:
        advice = "Give the folder that contains MVBench's folders json and video"
        raise SourceError(data_dir, "contains no tasks (files json/TASK.json)", advice)
    found = [(find_task(path.stem), path) for path in files]
    found.sort(key=lambda one: TASKS.index(one[0]) if one[0] in TASKS else len(TASKS))
    selected = select_tasks(tasks, [task.name for task, _ in found])
    return [
        item
        for task, path in found
        if task.name in selected
        for item in islice(_read_task(task, path, Path(data_dir, "video")), limit)
    ]


def _read_task(task: BenchmarkTask, path: Path, videos: Path) -> Iterator[BenchmarkItem]:
    for number, row in enumerate(read_json_rows(path, _ROWS, _ADVICE)):
        yield BenchmarkItem(
            task.name,
            number,
            row.video,
            _find_video(videos, task, row.video),
            row.question,
            tuple(row.candidates),
            row.answer,
            row.start if task.has_bounds else None,
            row.end if task.has_bounds else None,
        )


def _find_video(videos: Path, task: BenchmarkTask, name: str) -> Path | None:
    if ".." in PurePosixPath(name).parts:
        return None
    name = name.lstrip("/")
    folders = (videos / task.folder, videos / ADDED_VIDEOS / task.folder, videos)
    return next((folder / name for folder in folders if (folder / name).exists()), None)
