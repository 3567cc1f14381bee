"""What a set of instruction data consists of, in figures."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal, get_args

from langchain_videochat.instruct.items import KINDS, Item, Kind
from langchain_videochat.instruct.wording import count_words

Split = Literal["train", "validation"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class KindFigures:
    """The items of one kind."""

    items: dict[Split, int]
    """How many there are in each split."""

    turns: float
    """Mean number of answers of an item; 1 of a description."""

    words: Counter[int]
    """How many answers have how many words; a description is one answer."""


@dataclass(frozen=True)
class ExportReport:
    """What was exported; printed, some lines."""

    output: Path
    """The folder."""

    kinds: dict[Kind, KindFigures]
    """Those kinds of which there are items."""

    videos: dict[Split, int]
    """How many videos each split is about."""

    languages: tuple[str, ...]
    """English names of the languages."""

    flagged: int
    """Items with something to know, as a question that one frame answers."""

    rejected: Counter[str]
    """Faults that were found, by gate; an item may have several."""

    rejected_items: int
    """Items that were left out."""

    def __str__(self) -> str:
        lines = [f"{self.output}: {self.flagged:,} items flagged, {self.rejected_items:,} left out"]
        for kind, figures in self.kinds.items():
            counts = ", ".join(f"{count:,} for {split}" for split, count in figures.items.items())
            words = fmean(figures.words.elements())
            lines.append(f"  {kind}: {counts}; {figures.turns:.1f} answers of {words:.0f} words")
        return "\n".join(lines)


def summarise(output: Path, splits: Mapping[Split, Sequence[Item]], rejected: Sequence[Item]) -> ExportReport:
    """Count what is exported."""
    items = [item for split in splits.values() for item in split]
    return ExportReport(
        output,
        {kind: _figures(kind, splits) for kind in KINDS if any(item.kind == kind for item in items)},
        {split: len({item.video_id for item in inside}) for split, inside in splits.items()},
        tuple(sorted({item.language for item in items})),
        sum(bool(item.flags) for item in items),
        count_faults(rejected),
        len(rejected),
    )


def count_faults(items: Iterable[Item]) -> Counter[str]:
    """Count the items that each gate did not let pass."""
    return Counter(gate for item in items for gate in {fault.gate for fault in item.faults})


def _figures(kind: Kind, splits: Mapping[Split, Sequence[Item]]) -> KindFigures:
    inside = {split: [item for item in items if item.kind == kind] for split, items in splits.items()}
    answers = [item.answers for items in inside.values() for item in items]
    words = Counter(count_words(answer) for told in answers for answer in told)
    return KindFigures({split: len(items) for split, items in inside.items()}, fmean(map(len, answers)), words)
