"""The data card of an exported set: what is in it, in words, figures and a chart."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING

import yaml

from langchain_videochat.instruct.items import KINDS
from langchain_videochat.instruct.languages import language_code
from langchain_videochat.instruct.statistics import SPLITS, ExportReport, Split

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CARD = "README.md"
CHART = "chart.png"

COLORS: dict[Split, str] = {"train": "#33658a", "validation": "#f6ae2d"}
"""Also to be told apart in shades of grey."""

BAR = 0.6
"""Part of a row's height that its bar takes."""


def write_card(folder: Path, report: ExportReport) -> None:
    """Write the data card, whose head tells Hugging Face which file is which split."""
    head = yaml.safe_dump(_head(report), sort_keys=False, allow_unicode=True)
    text = "\n\n".join([f"---\n{head}---", *_paragraphs(report)])
    (folder / CARD).write_text(text + "\n", encoding="utf-8")


def draw_chart(folder: Path, report: ExportReport) -> None:
    """Draw how many items there are, how long their answers are, and what was left out."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    items, words, faults = figure.subplots(1, 3)
    _draw_items(items, report)
    _draw_words(words, report)
    _draw_faults(faults, report)
    # Without the version of matplotlib, the same data give the same file.
    figure.savefig(folder / CHART, dpi=120, metadata={"Software": None})


def _head(report: ExportReport) -> dict[str, object]:
    files = [{"split": split, "path": f"{split}.jsonl"} for split in SPLITS if report.videos[split]]
    return {
        "pretty_name": "Video instructions",
        "task_categories": ["video-text-to-text"],
        "language": sorted({language_code(language) for language in report.languages}),
        "configs": [{"config_name": "default", "data_files": files}],
    }


def _paragraphs(report: ExportReport) -> Iterable[str]:
    yield "# Video instructions"
    yield (
        "Descriptions of videos and conversations about them, written by a language model from what perception models "
        "noticed in the videos, in the manner of VideoChat (arXiv 2305.06355, 3.2.2). No person has checked them."
    )
    yield f"![Items, words of an answer, and what was left out]({CHART})"
    rows = [
        (kind, *(f"{figures.items[split]:,}" for split in SPLITS), f"{figures.turns:.1f}", *_spread(figures.words))
        for kind, figures in report.kinds.items()
    ]
    yield _table(("kind", *SPLITS, "answers an item", "words an answer: fewest", "median", "mean", "most"), rows)
    videos = ", ".join(f"{count:,} for {split}" for split, count in report.videos.items())
    yield f"Videos: {videos}; all that is about a video is in one split. Languages: {', '.join(report.languages)}."
    if report.flagged:
        yield f"{report.flagged:,} items have `flags`: by its words, a single frame may answer a question of theirs."
    if report.rejected_items:
        yield f"{report.rejected_items:,} items were left out. They are in `rejected.jsonl`, with the reasons:"
        yield _table(("gate", "items"), [(gate, f"{count:,}") for gate, count in report.rejected.most_common()])
    yield (
        "`captions.*.json` and `conversations.*.json` are for stages 1 and 2 of `videochat train`, `*.jsonl` for "
        "Hugging Face's `load_dataset`."
    )


def _spread(words: Counter[int]) -> tuple[str, ...]:
    lengths = sorted(words.elements())
    return tuple(f"{figure:.0f}" for figure in (lengths[0], median(lengths), fmean(lengths), lengths[-1]))


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---", *["---:"] * (len(heading) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _draw_items(axes: "Axes", report: ExportReport) -> None:
    kinds = list(report.kinds)
    left = [0] * len(kinds)
    for split, color in COLORS.items():
        counts = [report.kinds[kind].items[split] for kind in kinds]
        axes.barh(kinds, counts, BAR, left, color=color, label=split)
        left = [before + count for before, count in zip(left, counts, strict=True)]
    axes.set(title="Items", xlabel="number of items")
    axes.legend()
    _list_from_above(axes, len(kinds))


def _draw_words(axes: "Axes", report: ExportReport) -> None:
    lengths = [list(figures.words.elements()) for figures in report.kinds.values()]
    places = range(len(lengths))
    axes.boxplot(lengths, orientation="horizontal", positions=places, widths=BAR, whis=(0, 100))
    axes.set_yticks(places, list(report.kinds))
    axes.set(title="Words of an answer", xlabel="fewest, quartiles and most")
    axes.set_xlim(left=0)
    _list_from_above(axes, len(lengths))


def _draw_faults(axes: "Axes", report: ExportReport) -> None:
    faults = report.rejected.most_common()
    axes.barh([gate for gate, _ in faults], [count for _, count in faults], BAR, color="#9a031e")
    axes.set(title="Left out, by gate", xlabel="number of items")
    _list_from_above(axes, len(faults))


def _list_from_above(axes: "Axes", rows: int) -> None:
    """Put the first row on top, and keep few rows from filling the whole height."""
    from matplotlib.ticker import MaxNLocator

    axes.set_ylim(max(rows, len(KINDS)) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
