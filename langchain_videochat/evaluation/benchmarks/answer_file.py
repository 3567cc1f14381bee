"""The answer file: JSON Lines that are appended answer by answer, so that an interrupted evaluation resumes."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from langchain_videochat.errors import InputError
from langchain_videochat.evaluation.benchmarks.items import BenchmarkItem

_ADVICE = "Choose another file, or remove this one"


@dataclass(frozen=True)
class BenchmarkAnswer:
    """A model's answer to a question."""

    task: str
    """Name of the task."""

    number: int
    """Index of the question in the task's file, from 0."""

    video: str
    """Video as named in the benchmark."""

    question: str
    """The question."""

    candidates: tuple[str, ...]
    """Options to choose from."""

    answer: str
    """The correct candidate."""

    prediction: str | None
    """The chosen candidate; None if the text names no candidate, or several."""

    text: str
    """The model's output."""

    correct: bool
    """Whether the prediction is right."""

    seconds: float
    """Response time. Answers generated in one batch share it."""


class AnswerFile:
    """Answers on disk, after a first line with the settings of the evaluation.

    The file is created with the first answer.

    Args:
        path: An existing or a new answer file.
        settings: Everything else that influences the answers.

    Raises:
        InputError: The file has another format or other settings, or cannot be read.
    """

    def __init__(self, path: str | Path, settings: Mapping[str, Any]) -> None:
        self._path = Path(path)
        self._settings = json.loads(json.dumps(settings, default=str))
        self._answers: dict[tuple[str, int], BenchmarkAnswer] = {}
        if self._path.exists():
            self._read()

    def find(self, item: BenchmarkItem) -> BenchmarkAnswer | None:
        """Return the answer to a question, or None.

        Raises:
            InputError: The file has an answer to another question of the same number.
        """
        answer = self._answers.get((item.task, item.number))
        if answer is not None and _question_of(answer) != _question_of(item):
            problem = f"question {item.number} of {item.task} has changed since it was answered"
            raise InputError(self._path, problem, _ADVICE)
        return answer

    def append(self, answer: BenchmarkAnswer) -> None:
        """Write an answer immediately, in one piece.

        Raises:
            InputError: The file cannot be written.
        """
        header = "" if self._path.exists() else _line({"settings": self._settings})
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(header + _line(asdict(answer)))
        except OSError as error:
            problem = f"cannot be written ({error.strerror})"
            raise InputError(self._path, problem, "Free disk space, or choose a file in an existing folder") from error

    def _read(self) -> None:
        try:
            content = self._path.read_bytes()
            # A line without an end was interrupted while it was written.
            length = content.rfind(b"\n") + 1
            header, *lines = [json.loads(line) for line in content[:length].splitlines()]
            settings = header["settings"]
            answers = [BenchmarkAnswer(**line | {"candidates": tuple(line["candidates"])}) for line in lines]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(self._path, "not an answer file", _ADVICE) from error
        self._check(settings)
        if length < len(content):
            os.truncate(self._path, length)
        self._answers = {(answer.task, answer.number): answer for answer in answers}

    def _check(self, settings: Mapping[str, Any]) -> None:
        old, new = _flatten(settings), _flatten(self._settings)
        changes = [
            f"{name} was {old.get(name)!r}, now {new.get(name)!r}"
            for name in {**old, **new}
            if old.get(name) != new.get(name)
        ]
        if changes:
            raise InputError(self._path, f"its answers have other settings: {'; '.join(changes)}", _ADVICE)


def _question_of(record: BenchmarkItem | BenchmarkAnswer) -> tuple[str, str, tuple[str, ...], str]:
    return record.video, record.question, record.candidates, record.answer


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _flatten(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten settings that are dictionaries, to name changes precisely."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= {f"{name}.{inner}": each for inner, each in value.items()} if isinstance(value, dict) else {name: value}
    return flat
