"""Results of an evaluation, by task and by duration or level."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

from langchain_videochat.errors import InputError
from langchain_videochat.evaluation.benchmarks.answer_file import BenchmarkAnswer
from langchain_videochat.evaluation.benchmarks.items import BenchmarkItem
from langchain_videochat.evaluation.benchmarks.question_groups import QuestionGroup

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
    """A model's score in a task, or in another part of the benchmark."""

    task: str
    """Name of the task or the part."""

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

    group_score: float | None = None
    """Mean score of the groups of questions, 0 to 1; None if the benchmark scores each question by itself."""


@dataclass(frozen=True)
class BenchmarkReport:
    """A model's scores. `str()` returns them as a table."""

    tasks: tuple[TaskScore, ...]
    """Scores, one per task."""

    missing: tuple[MissingVideo, ...]
    """Questions that were not asked."""

    answers: tuple[BenchmarkAnswer, ...]
    """Answers to all other questions, in order."""

    overall: TaskScore
    """Score over all questions: the figure that is published for Video-MME and LongVideoBench."""

    subsets: tuple[TaskScore, ...] = ()
    """Scores by duration or level, for benchmarks that define them."""

    @property
    def mean(self) -> float:
        """Mean accuracy over tasks: the figure that is published for MVBench."""
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
            "overall": asdict(self.overall),
            "tasks": [asdict(score) for score in self.tasks],
            "subsets": [asdict(score) for score in self.subsets],
            "missing": [asdict(one) for one in self.missing],
        }

    def __str__(self) -> str:
        mean = replace(
            self.overall,
            task=f"mean of {len(self.tasks)} task{'s' * (len(self.tasks) > 1)}",
            accuracy=self.mean,
            chance=self.chance,
            group_score=None,
        )
        rows = [*self.tasks, mean, *([*self.subsets, self.overall] if self.subsets else [])]
        width = max(len("mean of 20 tasks"), *(len(row.task) for row in rows))
        header = f"{'task':{width}}  accuracy  chance  questions  unreadable  missing"
        if self.overall.group_score is not None:
            header += "  group score"
        return "\n".join([header, *(_row(score, width) for score in rows), *self._list_missing()])

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
    by_question = {(answer.task, answer.number): answer for answer in answers}
    in_order = [by_question[item.task, item.number] for item in items if (item.task, item.number) in by_question]
    tasks = list(dict.fromkeys(item.task for item in items))
    subsets = sorted({item.subset for item in items if item.subset is not None}, key=_numbers)
    return BenchmarkReport(
        tuple(_score(task, [item for item in items if item.task == task], by_question) for task in tasks),
        tuple(sorted(missing, key=lambda one: (tasks.index(one.task), one.number))),
        tuple(in_order),
        _score("all questions", items, by_question),
        tuple(_score(subset, [item for item in items if item.subset == subset], by_question) for subset in subsets),
    )


def _numbers(subset: str) -> list[int]:
    """Return the numbers in a name, by which durations and levels are sorted."""
    return [int(digits) for digits in re.findall(r"\d+", subset)]


def _score(name: str, items: Sequence[BenchmarkItem], answers: Mapping[tuple[str, int], BenchmarkAnswer]) -> TaskScore:
    given = [answers.get((item.task, item.number)) for item in items]
    is_correct = [answer is not None and answer.correct for answer in given]
    return TaskScore(
        name,
        accuracy=fmean(is_correct),
        chance=fmean(1 / len(item.candidates) for item in items),
        count=len(items),
        unreadable=sum(answer is not None and answer.prediction is None for answer in given),
        missing=given.count(None),
        group_score=_score_groups(items, is_correct),
    )


def _score_groups(items: Sequence[BenchmarkItem], is_correct: Sequence[bool]) -> float | None:
    groups: dict[QuestionGroup, list[bool]] = {}
    for item, correct in zip(items, is_correct, strict=True):
        if item.group is not None:
            groups.setdefault(item.group, []).append(correct)
    return fmean(group.score(answers) for group, answers in groups.items()) if groups else None


def _row(score: TaskScore, width: int) -> str:
    group_score = "" if score.group_score is None else f"  {score.group_score:11.1%}"
    return (
        f"{score.task:{width}}  {score.accuracy:7.1%}   {score.chance:6.1%}  "
        f"{score.count:9,}  {score.unreadable:10,}  {score.missing:7,}{group_score}"
    )
