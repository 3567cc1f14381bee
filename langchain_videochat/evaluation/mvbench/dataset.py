"""The questions of MVBench, read from the benchmark's folder, and the videos that they are about."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, model_validator

from langchain_videochat.errors import InputError, SourceError
from langchain_videochat.evaluation.mvbench.tasks import TASKS, Task, task_of

LATER_VIDEOS = "data0613"
"""Folder of the videos of STAR and CLEVRER that were added to the benchmark afterwards."""

MOST_OPTIONS = 26
"""As many as there are letters."""


@dataclass(frozen=True)
class Item:
    """One question about a video, and the options of which one is right."""

    task: str
    """Name of its task."""

    number: int
    """Its place in the task's file, from 0."""

    video: str
    """Name of the video, as the file has it."""

    path: Path | None
    """A video file, an animated GIF, or a folder of frames at 3 a second; None where there is none."""

    question: str

    candidates: tuple[str, ...]
    """The options."""

    answer: str
    """The one that is right."""

    start: float | None = None
    """Seconds at which what it is about begins; at the start of the video if None."""

    end: float | None = None
    """Seconds at which that ends."""


class _Row(BaseModel):
    """A question as the benchmark's files have it; what else stands there is of no use here."""

    video: str = Field(min_length=1)
    question: str
    candidates: list[str] = Field(min_length=1, max_length=MOST_OPTIONS)
    answer: str
    start: float | None = None
    end: float | None = None

    @model_validator(mode="after")
    def _check_answer(self) -> "_Row":
        if self.answer not in self.candidates:
            raise ValueError(f"the answer {self.answer!r} is none of the candidates")
        return self


_ROWS = TypeAdapter(list[_Row])


def read_items(data_dir: str | Path, tasks: Sequence[str] = (), limit: int | None = None) -> list[Item]:
    """Read the questions of a folder that is laid out as MVBench is.

    Each file `json/TASK.json` is a task: a list of `{"video", "question", "candidates", "answer"}`, some with `start`
    and `end` in seconds. Its videos lie in the task's folder below `video/`; those of a task that is not MVBench's in
    `video/TASK`, or in `video` itself. A video that is not there is no error: its item has no `path`.

    Args:
        data_dir: The folder.
        tasks: Names of tasks, as "Moving Direction" or "moving_direction"; all that are there if empty.
        limit: How many questions of each task, from its first; all if None.

    Returns:
        The questions, task by task in the order of MVBench's table, the others after them by name.

    Raises:
        SourceError: The folder has no such files.
        InputError: A file is no such list, a question has no options or too many, its answer is none of them, or there
            is no task of a name.
    """
    files = sorted(Path(data_dir, "json").glob("*.json"))
    if not files:
        problem = "there is no task in it: no file json/TASK.json"
        raise SourceError(data_dir, problem, "Give the folder that has MVBench's folders json and video")
    found = [(task_of(path.stem), path) for path in files]
    found.sort(key=lambda one: TASKS.index(one[0]) if one[0] in TASKS else len(TASKS))
    chosen = {_find_task(name, [task for task, _ in found]) for name in tasks}
    return [
        item
        for task, path in found
        if task in chosen or not tasks
        for item in islice(_read_task(task, path, Path(data_dir, "video")), limit)
    ]


def _find_task(name: str, tasks: Sequence[Task]) -> Task:
    for task in tasks:
        if name.lower() in (task.name.lower(), task.stem):
            return task
    names = ", ".join(task.name for task in tasks)
    raise InputError("task", f"{name!r} is none of those in the folder", f"Take some of {names}")


def _read_task(task: Task, path: Path, videos: Path) -> Iterator[Item]:
    advice = 'Write a list of {"video": ..., "question": ..., "candidates": [...], "answer": ...}'
    try:
        rows = _ROWS.validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"[{part!r}]" for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(path, f"at {place or 'its beginning'}: {message}", advice) from error
    for number, row in enumerate(rows):
        yield Item(
            task.name,
            number,
            row.video,
            _find_video(videos, task, row.video),
            row.question,
            tuple(row.candidates),
            row.answer,
            row.start if task.is_bounded else None,
            row.end if task.is_bounded else None,
        )


def _find_video(videos: Path, task: Task, name: str) -> Path | None:
    if ".." in PurePosixPath(name).parts:
        return None
    name = name.lstrip("/")
    places = (videos / task.folder, videos / LATER_VIDEOS / task.folder, videos)
    return next((place / name for place in places if (place / name).exists()), None)
