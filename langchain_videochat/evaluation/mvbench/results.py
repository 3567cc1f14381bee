"""Results of an evaluation, task by task."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from langchain_videochat.errors import InputError
from langchain_videochat.evaluation.mvbench.answer_file import BenchmarkAnswer
from langchain_videochat.evaluation.mvbench.dataset import BenchmarkItem

MAX_LISTED = 10
"""Missing videos that the table lists."""


@dataclass(frozen=True)
class MissingVideo:
    """A question that was not asked, because its video is missing or cannot be read."""

    task: str
    """Name of the task."""

    number: int
    """Index in the task's file, from 0."""

    video: str
    """Video as named in the benchmark."""

    problem: str
    """Why it cannot be read."""


@dataclass(frozen=True)
class TaskScore:
    """A model's score in a task."""

    task: str
    """Name of the task."""

    accuracy: float
    """Fraction of correct answers, 0 to 1; questions that were not asked count as wrong."""

    chance: float
    """Accuracy of random guessing."""

    count: int
    """Number of questions."""

    unreadable: int
    """Answers that name no option, or several; they count as wrong."""

    missing: int
    """Questions that were not asked, because their videos are missing or cannot be read."""


@dataclass(frozen=True)
class BenchmarkReport:
    """A model's scores. `str()` returns them as a table."""

    tasks: tuple[TaskScore, ...]
    """Scores, one per task."""

    missing: tuple[MissingVideo, ...]
    """Questions that were not asked."""

    answers: tuple[BenchmarkAnswer, ...]
    """Answers to all other questions, in order."""

    @property
    def mean(self) -> float:
        """Mean accuracy over tasks: the figure that is usually published."""
        return fmean(score.accuracy for score in self.tasks)

    @property
    def chance(self) -> float:
        """Mean accuracy of random guessing over tasks."""
        return fmean(score.chance for score in self.tasks)

    def to_json(self) -> dict[str, Any]:
        """Return scores and missing videos as a JSON object; answers are in their own file."""
        return {
            "mean": self.mean,
            "chance": self.chance,
            "tasks": [asdict(score) for score in self.tasks],
            "missing": [asdict(one) for one in self.missing],
        }

    def __str__(self) -> str:
        width = max(len("mean of 20 tasks"), *(len(score.task) for score in self.tasks))
        mean = TaskScore(
            f"mean of {len(self.tasks)} task{'s' * (len(self.tasks) > 1)}",
            self.mean,
            self.chance,
            sum(score.count for score in self.tasks),
            sum(score.unreadable for score in self.tasks),
            sum(score.missing for score in self.tasks),
        )
        header = f"{'task':{width}}  accuracy  chance  questions  unreadable  missing"
        return "\n".join([header, *(_row(score, width) for score in (*self.tasks, mean)), *self._list_missing()])

    def _list_missing(self) -> list[str]:
        if not self.missing:
            return []
        # Several questions may share a video.
        lines = list(dict.fromkeys(f"  {one.task}: {one.video}: {one.problem}" for one in self.missing))
        more = [f"  and {len(lines) - MAX_LISTED} more"] if len(lines) > MAX_LISTED else []
        return ["", "Questions about missing or unreadable videos count as wrong:", *lines[:MAX_LISTED], *more]


def build_report(
    items: Sequence[BenchmarkItem], answers: Sequence[BenchmarkAnswer], missing: Sequence[MissingVideo]
) -> BenchmarkReport:
    """Score the answers to questions.

    Raises:
        InputError: `items` is empty.
    """
    if not items:
        raise InputError("items", "must not be empty", "Give questions, for example from read_items()")
    tasks = list(dict.fromkeys(item.task for item in items))
    by_question = {(answer.task, answer.number): answer for answer in answers}
    in_order = [by_question[item.task, item.number] for item in items if (item.task, item.number) in by_question]
    return BenchmarkReport(
        tuple(
            _score(task, [item for item in items if item.task == task], [one for one in in_order if one.task == task])
            for task in tasks
        ),
        tuple(sorted(missing, key=lambda one: (tasks.index(one.task), one.number))),
        tuple(in_order),
    )


def _score(task: str, items: Sequence[BenchmarkItem], answers: Sequence[BenchmarkAnswer]) -> TaskScore:
    return TaskScore(
        task,
        accuracy=sum(answer.correct for answer in answers) / len(items),
        chance=fmean(1 / len(item.candidates) for item in items),
        count=len(items),
        unreadable=sum(answer.prediction is None for answer in answers),
        missing=len(items) - len(answers),
    )


def _row(score: TaskScore, width: int) -> str:
    return (
        f"{score.task:{width}}  {score.accuracy:7.1%}   {score.chance:6.1%}  "
        f"{score.count:9,}  {score.unreadable:10,}  {score.missing:7,}"
    )
