"""Statistics of an exported dataset."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal, get_args

from langchain_videochat.instruct.items import ITEM_KINDS, InstructionItem, ItemKind
from langchain_videochat.instruct.sentences import count_words

Split = Literal["train", "validation"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class KindStatistics:
    """Statistics of one kind of items."""

    items: dict[Split, int]
    """Number of items in each split."""

    turns: float
    """Mean number of answers per item; a description is one answer."""

    words: Counter[int]
    """Number of answers by number of words."""


@dataclass(frozen=True)
class ExportReport:
    """The contents of an exported dataset. `str()` summarizes them in a few lines."""

    output: Path
    """Folder of the dataset."""

    kinds: dict[ItemKind, KindStatistics]
    """Statistics of each kind that has items."""

    videos: dict[Split, int]
    """Number of videos in each split."""

    languages: tuple[str, ...]
    """English names of the languages."""

    flagged: int
    """Items that have flags, such as a question that one frame answers."""

    rejected: Counter[str]
    """Rejected items by gate. Several gates may reject the same item."""

    rejected_items: int
    """Number of items with at least one failed gate."""

    def __str__(self) -> str:
        lines = [f"{self.output}: {self.flagged:,} items flagged, {self.rejected_items:,} rejected"]
        for kind, statistics in self.kinds.items():
            counts = ", ".join(f"{count:,} for {split}" for split, count in statistics.items.items())
            words = fmean(statistics.words.elements())
            lines.append(f"  {kind}: {counts}; {statistics.turns:.1f} answers of {words:.0f} words")
        return "\n".join(lines)


def summarize_dataset(
    output: Path, splits: Mapping[Split, Sequence[InstructionItem]], rejected: Sequence[InstructionItem]
) -> ExportReport:
    """Return the statistics of a dataset."""
    items = [item for split in splits.values() for item in split]
    return ExportReport(
        output,
        {kind: _kind_statistics(kind, splits) for kind in ITEM_KINDS if any(item.kind == kind for item in items)},
        {split: len({item.video_id for item in members}) for split, members in splits.items()},
        tuple(sorted({item.language for item in items})),
        sum(bool(item.flags) for item in items),
        Counter(gate for item in rejected for gate in {failure.gate for failure in item.failures}),
        len(rejected),
    )


def _kind_statistics(kind: ItemKind, splits: Mapping[Split, Sequence[InstructionItem]]) -> KindStatistics:
    by_split = {split: [item for item in items if item.kind == kind] for split, items in splits.items()}
    answers = [item.answers for items in by_split.values() for item in items]
    words = Counter(count_words(answer) for of_item in answers for answer in of_item)
    return KindStatistics({split: len(items) for split, items in by_split.items()}, fmean(map(len, answers)), words)
