"""What the bundled model understands of clips that it has never seen, and how much of that hangs on their order."""

import tempfile
from pathlib import Path
from statistics import fmean

from langchain_videochat import VideoChatEmbed
from langchain_videochat.evaluation import Report, evaluate, read_items, write_benchmark
from langchain_videochat.evaluation.shapes import EVIDENCE, KINDS
from langchain_videochat.evaluation.shapes.questions import Kind
from tests.benchmarks.report import Figure, Table, progress
from tests.understanding import answer_in_words, rearrange, repeat, shuffle

QUESTIONS = 200
"""Of each kind."""

AIM, LEAST = 0.9, 0.75
"""Share of the answers in words that are to be right: of all kinds on average, and of each."""

Shares = dict[Kind, float]
"""Of right answers, by kind of question."""

_NEEDS = {"picture": "a picture", "frames": "several frames", "order": "their order"}


def measure(scale: float) -> Table:
    """Ask about test clips in words and with options, then about the same clips without their order."""
    llm = VideoChatEmbed(model="videochat-embed-tiny", max_tokens=80)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "clips")
        progress("  writing clips")
        write_benchmark(folder, max(4, round(QUESTIONS * scale)))
        progress("  asking in words")
        words = _named(answer_in_words(llm, read_items(folder)))
        report = _choose(llm, folder)
        chances = _named({score.task: score.chance for score in report.tasks})
        columns = {"with options": _shares(report)}
        for name, change in {"frames shuffled": shuffle, "one frame repeated": repeat}.items():
            columns[f"with options, {name}"] = _shares(_choose(llm, rearrange(folder, Path(scratch, name), change)))
    table = Table("Understanding Shapes in Motion: videochat-embed-tiny on test clips", "right")
    _add_means(table, "in words", words, chances, AIM)
    for kind in KINDS:
        _add_row(table, f"in words: {kind}", words[kind], chances[kind], LEAST)
    for name, shares in columns.items():
        _add_means(table, name, shares, chances)
    table.notes = [
        f"{round(QUESTIONS * scale)} questions of each kind, about clips in H.264 files; in words an answer is right "
        "word for word; chance is that of who chooses an option blindly."
    ]
    return table


def _choose(llm: VideoChatEmbed, folder: Path) -> Report:
    progress(f"  asking with options: {folder.name}")
    return evaluate(llm, read_items(folder), num_frames=8, free_answers=True, show_progress=False)


def _shares(report: Report) -> Shares:
    return _named({score.task: score.accuracy for score in report.tasks})


def _named(by_task: dict[str, float]) -> Shares:
    """Call tasks by the kinds of questions that they are of."""
    return {kind: by_task[kind.title()] for kind in KINDS}


def _add_means(table: Table, name: str, shares: Shares, chances: Shares, aim: float | None = None) -> None:
    """Add the mean of all kinds, and of those that need the same to be seen."""
    _add_row(table, f"**{name}**", fmean(shares.values()), fmean(chances.values()), aim)
    for evidence, needs in _NEEDS.items():
        kinds = [kind for kind in KINDS if EVIDENCE[kind] == evidence]
        share, chance = (fmean(each[kind] for kind in kinds) for each in (shares, chances))
        _add_row(table, f"{name}, what needs {needs}", share, chance, None)


def _add_row(table: Table, what: str, share: float, chance: float, aim: float | None) -> None:
    target, met = ("", None) if aim is None else (f"{aim:.0%}", share >= aim)
    table.figures.append(Figure(what, share, "chance", chance, share / chance, target, met))
