"""Export of finished items for training: in the formats of the paper's code, and as a Hugging Face dataset."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from langchain_videochat.errors import InputError
from langchain_videochat.instruct.data_card import draw_chart, write_card
from langchain_videochat.instruct.dataset_statistics import SPLITS, ExportReport, Split, summarize_dataset
from langchain_videochat.instruct.duplicates import mark_duplicates
from langchain_videochat.instruct.item_folder import REJECTED, load_items
from langchain_videochat.instruct.items import InstructionItem, QAPair
from langchain_videochat.utils.atomic import atomic_directory
from langchain_videochat.utils.optional_dependencies import require_extra

REQUESTS = (
    "Describe the video in detail.",
    "What happens in this video, from beginning to end?",
    "Tell me everything that you see in the video.",
    "Give a detailed account of this video.",
    "Walk me through the video, step by step.",
    "Could you describe at length what this video shows?",
    "What is there to see in the video? Leave nothing out.",
    "Write down in detail what goes on in this video.",
)
"""User turns before a description in stage 2, in English."""

VALIDATION = 0.1
"""Fraction of the videos in the validation split."""


def export(
    items: str | Path, output: str | Path, *, validation: float = VALIDATION, requests: Sequence[str] | None = None
) -> ExportReport:
    """Export accepted items as training files, without near-duplicates.

    For each split, the folder contains `captions.SPLIT.json` with the descriptions, for stage 1 of `videochat train`,
    `conversations.SPLIT.json` with all items, for stage 2, and `SPLIT.jsonl` for `load_dataset` of Hugging Face; also
    `rejected.jsonl` with the reasons, and a data card in `README.md`. The same items always result in the same files.
    All items of a video are in one split, and stay there when videos are added.

    Args:
        items: Folder written by `generate_instructions`.
        output: Folder to create.
        validation: Fraction of the videos in the validation split, 0 to 1.
        requests: User turns before descriptions, in the language of the descriptions. `REQUESTS` if None, which
            requires that all descriptions are in English.

    Raises:
        SourceError: The folder contains no items.
        InputError: An argument is invalid, `output` exists or cannot be written, or a file of items has another format.
        ModelUnavailableError: A package is not installed.

    Example:
        Export files, then train on them:

            print(export("made", "data"))
            DataFile(file="data/conversations.train.json")
    """
    folder = Path(output)
    if not 0 <= validation <= 1:
        raise InputError("validation", f"must be between 0 and 1, got {validation}", "Give a fraction of the videos")
    if folder.exists():
        raise InputError("output", f"{folder} already exists", "Choose another folder, or remove this one")
    require_extra("instruct", "instruction data")
    accepted, rejected = load_items(items)
    checked = list(mark_duplicates(accepted))
    kept = [item for item in checked if not item.failures]
    if not kept:
        raise InputError(items, "no item passed the gates", f"See the reasons in its {REJECTED}")
    rejected = sorted([*rejected, *(item for item in checked if item.failures)], key=lambda item: item.id)
    requests = _check_requests(requests, kept)
    splits = {split: [item for item in kept if split_of(item.video_id, validation) == split] for split in SPLITS}
    report = summarize_dataset(folder, splits, rejected)
    try:
        with atomic_directory(folder) as scratch:
            for split in SPLITS:
                _write_split(scratch, split, splits[split], requests)
            _write_lines(scratch / REJECTED, (item.model_dump(mode="json") for item in rejected))
            write_card(scratch, report)
            draw_chart(scratch, report)
    except OSError as error:
        problem = f"cannot be written ({error.strerror})"
        raise InputError(folder, problem, "Free disk space, or choose another folder") from error
    return report


def split_of(video_id: str, validation: float = VALIDATION) -> Split:
    """Return the split of a video: by a hash of its content, so that adding videos moves none.

    Example:
        >>> split_of("c0ffee", validation=0.0), split_of("c0ffee", validation=1.0)
        ('train', 'validation')
    """
    return "validation" if _hash(video_id) < validation * 2**64 else "train"


def _check_requests(requests: Sequence[str] | None, items: Iterable[InstructionItem]) -> Sequence[str]:
    others = {item.language for item in items if item.kind == "description" and item.language.casefold() != "english"}
    if requests is None and others:
        problem = f"the defaults are in English, but there are descriptions in {', '.join(sorted(others))}"
        raise InputError("requests", problem, "Give requests in that language")
    if requests is not None and not any(request.strip() for request in requests):
        raise InputError("requests", "must not be empty", "Give at least one")
    return requests or REQUESTS


def _write_split(folder: Path, split: Split, items: Sequence[InstructionItem], requests: Sequence[str]) -> None:
    captions = [{"video": item.video, "caption": item.text} for item in items if item.kind == "description"]
    conversations = [{"video": item.video, "QA": _pairs(item, requests)} for item in items]
    _write_json(folder / f"captions.{split}.json", captions)
    _write_json(folder / f"conversations.{split}.json", conversations)
    if items:  # load_dataset refuses a file without lines
        _write_lines(folder / f"{split}.jsonl", (_row(item, requests) for item in items))


def _row(item: InstructionItem, requests: Sequence[str]) -> dict[str, Any]:
    return {
        "id": item.id,
        "video_id": item.video_id,
        "video": item.video,
        "kind": item.kind,
        "language": item.language,
        "QA": _pairs(item, requests),
        "flags": "; ".join(item.flags),
    }


def _pairs(item: InstructionItem, requests: Sequence[str]) -> list[dict[str, str]]:
    pairs = item.pairs or [QAPair(q=requests[_hash(item.id) % len(requests)], a=item.text)]
    return [pair.model_dump() for pair in pairs]


def _hash(text: str) -> int:
    """Return a 64-bit hash that is the same in each process."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _write_json(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
