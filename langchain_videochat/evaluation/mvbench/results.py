"""What came out of an evaluation, task by task."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from langchain_videochat.errors import InputError
from langchain_videochat.evaluation.mvbench.answers import Answer
from langchain_videochat.evaluation.mvbench.dataset import Item

NAMED = 10
"""Videos that the table names of those that could not be watched."""


@dataclass(frozen=True)
class Missing:
    """A question that was not asked, as its video cannot be watched."""

    task: str
    number: int
    """Its place in the task's file, from 0."""

    video: str
    problem: str


@dataclass(frozen=True)
class TaskScore:
    """How a model did in a task."""

    task: str

    accuracy: float
    """Share of its questions that were answered right, 0 to 1; those that were not asked count as wrong."""

    chance: float
    """The accuracy of who chooses blindly."""

    count: int
    """Questions of the task."""

    unreadable: int
    """Answers that name no option, or several, and count as wrong."""

    missing: int
    """Questions that were not asked, as their videos cannot be watched."""


@dataclass(frozen=True)
class Report:
    """How a model did."""

    tasks: tuple[TaskScore, ...]

    missing: tuple[Missing, ...]
    """Which questions were not asked, and why."""

    answers: tuple[Answer, ...]
    """All others, in the order of the questions."""

    @property
    def mean(self) -> float:
        """Mean of the tasks' accuracies: the figure that is published of models."""
        return fmean(score.accuracy for score in self.tasks)

    @property
    def chance(self) -> float:
        """Mean of the tasks' chances."""
        return fmean(score.chance for score in self.tasks)

    def to_json(self) -> dict[str, Any]:
        """Give the figures, and what is missing, as a JSON object; the answers are in their own file."""
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
        heading = f"{'task':{width}}  accuracy  chance  questions  unreadable  missing"
        return "\n".join([heading, *(_row(score, width) for score in (*self.tasks, mean)), *self._name_missing()])

    def _name_missing(self) -> list[str]:
        if not self.missing:
            return []
        problems = [f"  {one.task}: {one.video}: {one.problem}" for one in self.missing]
        lines = list(dict.fromkeys(problems))  # a video may have several questions
        more = [f"  and {len(lines) - NAMED} more"] if len(lines) > NAMED else []
        return ["", "Missing questions count as wrong. Their videos cannot be watched:", *lines[:NAMED], *more]


def make_report(items: Sequence[Item], answers: Sequence[Answer], missing: Sequence[Missing]) -> Report:
    """Sum up the answers to some questions.

    Raises:
        InputError: There are no questions.
    """
    if not items:
        raise InputError("items", "there are no questions", "Give some, as read_items() does")
    tasks = dict.fromkeys(item.task for item in items)
    given = {(answer.task, answer.number): answer for answer in answers}
    in_order = [given[item.task, item.number] for item in items if (item.task, item.number) in given]
    return Report(
        tuple(
            _score(
                task,
                [item for item in items if item.task == task],
                [answer for answer in in_order if answer.task == task],
            )
            for task in tasks
        ),
        tuple(sorted(missing, key=lambda one: (list(tasks).index(one.task), one.number))),
        tuple(in_order),
    )


def _score(task: str, items: Sequence[Item], answers: Sequence[Answer]) -> TaskScore:
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
