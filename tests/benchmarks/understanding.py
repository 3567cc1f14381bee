"""Accuracy of the bundled model on unseen clips, with and without the order of their frames."""

import tempfile
from pathlib import Path
from statistics import fmean

from langchain_videochat import VideoChatEmbed
from langchain_videochat.evaluation import write_benchmark
from langchain_videochat.evaluation.shapes import KINDS
from langchain_videochat.evaluation.shapes.question_generation import QuestionKind
from tests.benchmarks.report import Measurement, Table, progress
from tests.understanding import NEEDS, answer_in_words, average, choose_options, rearrange, repeat, shuffle

QUESTIONS = 200
"""Questions of each kind."""

TARGET_MEAN, TARGET_MIN = 0.9, 0.75
"""Targets for the accuracy without options: the mean of all kinds, and the minimum."""

Accuracies = dict[QuestionKind, float]
"""Accuracy by kind of question."""


def measure(scale: float) -> Table:
    """Ask about test clips without and with options, then about the same clips without the order of frames."""
    llm = VideoChatEmbed(model="videochat-embed-tiny", max_tokens=80)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "clips")
        progress("  writing clips")
        write_benchmark(folder, max(4, round(QUESTIONS * scale)))
        progress("  asking without options")
        words = answer_in_words(llm, folder)
        progress("  asking with options")
        scores = choose_options(llm, folder)
        columns = {"with options": scores}
        for name, change in {"frames shuffled": shuffle, "one frame repeated": repeat}.items():
            progress(f"  asking with options, {name}")
            columns[f"with options, {name}"] = choose_options(llm, rearrange(folder, Path(scratch, name), change))
    chances = {kind: score.chance for kind, score in scores.items()}
    table = Table("Understanding Shapes in Motion: videochat-embed-tiny on test clips", "correct")
    _add_means(table, "without options", words, chances, TARGET_MEAN)
    for kind in KINDS:
        _add_row(table, f"without options: {kind}", words[kind], chances[kind], TARGET_MIN)
    for name, scores in columns.items():
        _add_means(table, name, {kind: score.accuracy for kind, score in scores.items()}, chances)
    table.notes = [
        f"{round(QUESTIONS * scale)} questions of each kind, about clips in H.264 files; without options, an answer "
        "must match exactly; chance is the accuracy of random guessing among the options."
    ]
    return table


def _add_means(table: Table, name: str, accuracies: Accuracies, chances: Accuracies, goal: float | None = None) -> None:
    """Add the mean of all kinds, and the means by evidence."""
    _add_row(table, f"**{name}**", fmean(accuracies.values()), fmean(chances.values()), goal)
    accuracy, chance = average(accuracies), average(chances)
    for evidence, needs in NEEDS.items():
        _add_row(table, f"{name}, requires {needs}", accuracy[evidence], chance[evidence], None)


def _add_row(table: Table, name: str, accuracy: float, chance: float, goal: float | None) -> None:
    target, met = ("", None) if goal is None else (f"{goal:.0%}", accuracy >= goal)
    table.measurements.append(Measurement(name, accuracy, "chance", chance, accuracy / chance, target, met))
