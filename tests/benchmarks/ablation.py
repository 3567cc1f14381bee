"""Ablation of the relation aggregators of videochat-embed-tiny: trained without them by the same recipe."""

import shutil
import tempfile
from pathlib import Path

from langchain_videochat import VideoChatEmbed
from langchain_videochat.evaluation import write_benchmark
from langchain_videochat.evaluation.shapes.recipe import Recipe, train_tiny
from tests.benchmarks.report import Measurement, Table, progress
from tests.understanding import NEEDS, average, choose_options

QUESTIONS = 60
"""Questions of each kind."""

SHORT = Recipe(clips=400, queries=(400,), stage1=25, stage2=100, varied=0)
"""Images and language are trained once in full, because they do not depend on relation aggregators."""

VARIANTS = {
    "local and global MHRA": {},
    "without local MHRA": {"local_mhra": False},
    "without GMHRA": {"gmhra": False},
    "without both": {"local_mhra": False, "gmhra": False},
}


def measure(scale: float) -> Table:
    """Train all variants, and evaluate them on the same test clips."""
    recipe = SHORT if scale == 1 else Recipe(1, (1,), 1, (1,), 1, 1, varied=0)
    table = Table("Ablation of videochat-embed-tiny, by a short recipe: questions with options", "correct")
    with tempfile.TemporaryDirectory() as scratch:
        clips = Path(scratch, "clips")
        write_benchmark(clips, max(4, round(QUESTIONS * scale)))
        for name, parts in VARIANTS.items():
            progress(f"  {name}")
            folder = Path(scratch, name)
            if shared := next(Path(scratch).glob("*/language"), None):
                shutil.copytree(shared, folder / "language")
                shutil.copytree(shared.parent / "pictures", folder / "pictures")
            add_rows(table, name, train_tiny(folder, recipe, **parts), clips)
    return table


def add_rows(table: Table, name: str, model: Path, clips: Path) -> None:
    """Add the accuracy of a model on questions that require one image, several frames, and their order."""
    scores = choose_options(VideoChatEmbed(model=str(model), max_tokens=80), clips)
    accuracies = average({kind: score.accuracy for kind, score in scores.items()})
    chances = average({kind: score.chance for kind, score in scores.items()})
    for evidence, needs in NEEDS.items():
        accuracy, chance = accuracies[evidence], chances[evidence]
        table.measurements.append(
            Measurement(f"{name}, requires {needs}", accuracy, "chance", chance, accuracy / chance)
        )
