"""What the bundled model understands of clips that it has never seen, and how much of that hangs on their order."""

import tempfile
from pathlib import Path
from statistics import fmean

from langchain_videochat import VideoChatEmbed
from langchain_videochat.evaluation import write_benchmark
from langchain_videochat.evaluation.shapes import KINDS
from langchain_videochat.evaluation.shapes.question_generation import Kind
from tests.benchmarks.report import Figure, Table, progress
from tests.understanding import NEEDS, answer_in_words, average, choose_options, rearrange, repeat, shuffle

QUESTIONS = 200
"""Of each kind."""

AIM, LEAST = 0.9, 0.75
"""Share of the answers in words that are to be right: of all kinds on average, and of each."""

Shares = dict[Kind, float]
"""Of right answers, by kind of question."""


def measure(scale: float) -> Table:
    """Ask about test clips in words and with options, then about the same clips without their order."""
    llm = VideoChatEmbed(model="videochat-embed-tiny", max_tokens=80)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "clips")
        progress("  writing clips")
        write_benchmark(folder, max(4, round(QUESTIONS * scale)))
        progress("  asking in words")
        words = answer_in_words(llm, folder)
        progress("  asking with options")
        scores = choose_options(llm, folder)
        columns = {"with options": scores}
        for name, change in {"frames shuffled": shuffle, "one frame repeated": repeat}.items():
            progress(f"  asking with options, {name}")
            columns[f"with options, {name}"] = choose_options(llm, rearrange(folder, Path(scratch, name), change))
    chances = {kind: score.chance for kind, score in scores.items()}
    table = Table("Understanding Shapes in Motion: videochat-embed-tiny on test clips", "right")
    _add_means(table, "in words", words, chances, AIM)
    for kind in KINDS:
        _add_row(table, f"in words: {kind}", words[kind], chances[kind], LEAST)
    for name, scores in columns.items():
        _add_means(table, name, {kind: score.accuracy for kind, score in scores.items()}, chances)
    table.notes = [
        f"{round(QUESTIONS * scale)} questions of each kind, about clips in H.264 files; in words an answer is right "
        "word for word; chance is that of who chooses an option blindly."
    ]
    return table


def _add_means(table: Table, name: str, shares: Shares, chances: Shares, aim: float | None = None) -> None:
    """Add the mean of all kinds, and of those that need the same to be seen."""
    _add_row(table, f"**{name}**", fmean(shares.values()), fmean(chances.values()), aim)
    share, chance = average(shares), average(chances)
    for evidence, needs in NEEDS.items():
        _add_row(table, f"{name}, what needs {needs}", share[evidence], chance[evidence], None)


def _add_row(table: Table, what: str, share: float, chance: float, aim: float | None) -> None:
    target, met = ("", None) if aim is None else (f"{aim:.0%}", share >= aim)
    table.figures.append(Figure(what, share, "chance", chance, share / chance, target, met))
