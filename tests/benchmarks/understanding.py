"""Accuracy of the bundled model on unseen clips: by kind of question, with and without the order of their frames, in
conversations of various forms, and on various backgrounds."""

import tempfile
from pathlib import Path
from statistics import fmean

from langchain_videochat import VideoChatEmbed
from langchain_videochat.evaluation import write_benchmark
from langchain_videochat.evaluation.shapes import KINDS
from langchain_videochat.evaluation.shapes.question_generation import QuestionKind
from tests.benchmarks.report import Measurement, Table, progress
from tests.understanding import (
    BRIGHTNESSES,
    FORMS,
    NEEDS,
    answer_in_form,
    answer_in_words,
    average,
    choose_options,
    rearrange,
    repeat,
    shuffle,
    write_asked_clips,
)

QUESTIONS = 200
"""Questions of each kind, in conversations of each form, and on each background."""

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
        forms = _measure_forms(llm, Path(scratch), max(4, round(QUESTIONS * scale)))
    chances = {kind: score.chance for kind, score in scores.items()}
    table = Table("Understanding Shapes in Motion: videochat-embed-tiny on test clips", "correct")
    _add_means(table, "without options", words, chances, TARGET_MEAN)
    for kind in KINDS:
        _add_row(table, f"without options: {kind}", words[kind], chances[kind], TARGET_MIN)
    for name, scores in columns.items():
        _add_means(table, name, {kind: score.accuracy for kind, score in scores.items()}, chances)
    for name, (accuracy, chance) in forms.items():
        _add_row(table, f"without options: {name}", accuracy, chance, None)
    table.notes = [
        f"{round(QUESTIONS * scale)} questions of each kind, about clips in H.264 files; without options, an answer "
        "must match exactly; chance is the accuracy of random guessing among the options."
    ]
    return table


def _measure_forms(llm: VideoChatEmbed, folder: Path, count: int) -> dict[str, tuple[float, float]]:
    """Return accuracy and chance in conversations of each form, and on each background."""
    progress("  asking in conversations of various forms")
    clips = write_asked_clips(folder / "asked", count)
    chance = fmean(clip.question.chance for clip in clips)
    results = {form: (answer_in_form(llm, clips, form), chance) for form in FORMS}
    for brightness in BRIGHTNESSES:
        progress(f"  asking about clips on a background of brightness {brightness}")
        clips = write_asked_clips(folder / f"brightness {brightness}", count, brightness / 255)
        chance = fmean(clip.question.chance for clip in clips)
        name = f"on a background of brightness {brightness} of 255"
        results[name] = answer_in_form(llm, clips, "a video, then a question"), chance
    return results


def _add_means(table: Table, name: str, accuracies: Accuracies, chances: Accuracies, goal: float | None = None) -> None:
    """Add the mean of all kinds, and the means by evidence."""
    _add_row(table, f"**{name}**", fmean(accuracies.values()), fmean(chances.values()), goal)
    accuracy, chance = average(accuracies), average(chances)
    for evidence, needs in NEEDS.items():
        _add_row(table, f"{name}, requires {needs}", accuracy[evidence], chance[evidence], None)


def _add_row(table: Table, name: str, accuracy: float, chance: float, goal: float | None) -> None:
    target, met = ("", None) if goal is None else (f"{goal:.0%}", accuracy >= goal)
    table.measurements.append(Measurement(name, accuracy, "chance", chance, accuracy / chance, target, met))
