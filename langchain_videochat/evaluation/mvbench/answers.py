"""The file of answers: a line of JSON for each, so that an evaluation goes on where it was interrupted."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from langchain_videochat.errors import InputError
from langchain_videochat.evaluation.mvbench.dataset import Item

_ADVICE = "Name another file, or remove this one to begin anew"


@dataclass(frozen=True)
class Answer:
    """What a model answered to a question."""

    task: str
    """Name of the task."""

    number: int
    """The question's place in the task's file, from 0."""

    video: str
    question: str
    candidates: tuple[str, ...]
    answer: str
    """The candidate that is right."""

    prediction: str | None
    """The one that the model chose; None where it named none, or several."""

    text: str
    """What it wrote."""

    correct: bool

    seconds: float
    """From the question to the answer; those that are answered at the same time share them."""


class AnswerFile:
    """Answers on the disk. The first line of the file tells with which settings they were given.

    The file is made with the first answer.

    Args:
        path: A file of answers that is there, or the name of one that is to be made.
        settings: What else would change an answer.

    Raises:
        InputError: The file is something else, was made with other settings, or cannot be read.
    """

    def __init__(self, path: str | Path, settings: Mapping[str, Any]) -> None:
        self._path = Path(path)
        self._settings = json.loads(json.dumps(settings, default=str))
        self._answers: dict[tuple[str, int], Answer] = {}
        if self._path.exists():
            self._read()

    def find(self, item: Item) -> Answer | None:
        """Find the answer to a question.

        Raises:
            InputError: There is one to another question in its place.
        """
        answer = self._answers.get((item.task, item.number))
        if answer is not None and _asked(answer) != _asked(item):
            problem = f"question {item.number} of {item.task} was another when it was answered"
            raise InputError(self._path, problem, _ADVICE)
        return answer

    def append(self, answer: Answer) -> None:
        """Write an answer down, at once and as a whole.

        Raises:
            InputError: The file cannot be written.
        """
        heading = "" if self._path.exists() else _line({"settings": self._settings})
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(heading + _line(asdict(answer)))
        except OSError as error:
            problem = f"it cannot be written ({error.strerror})"
            raise InputError(self._path, problem, "Make room, or name a file in a folder that is there") from error

    def _read(self) -> None:
        try:
            content = self._path.read_bytes()
            # A line without an end was being written when the machine stopped.
            length = content.rfind(b"\n") + 1
            heading, *lines = [json.loads(line) for line in content[:length].splitlines()]
            settings = heading["settings"]
            answers = [Answer(**line | {"candidates": tuple(line["candidates"])}) for line in lines]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(self._path, "this is no file of answers", _ADVICE) from error
        self._check(settings)
        if length < len(content):
            os.truncate(self._path, length)
        self._answers = {(answer.task, answer.number): answer for answer in answers}

    def _check(self, settings: Mapping[str, Any]) -> None:
        was, is_now = _flat(settings), _flat(self._settings)
        changed = [
            f"{name} was {was.get(name)!r} and is {is_now.get(name)!r}"
            for name in {**was, **is_now}
            if was.get(name) != is_now.get(name)
        ]
        if changed:
            raise InputError(self._path, f"its answers were given otherwise: {'; '.join(changed)}", _ADVICE)


def _asked(record: Item | Answer) -> tuple[str, str, tuple[str, ...], str]:
    return record.video, record.question, record.candidates, record.answer


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Bring settings within settings to one level."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= {f"{name}.{inner}": each for inner, each in value.items()} if isinstance(value, dict) else {name: value}
    return flat
