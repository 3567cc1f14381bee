"""From finished items to files that a model is trained on: in the formats of the paper's code, and as a data set."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from langchain_videochat.errors import InputError
from langchain_videochat.instruct.card import draw_chart, write_card
from langchain_videochat.instruct.duplicates import mark_duplicates
from langchain_videochat.instruct.item_folder import REJECTED, read_folder
from langchain_videochat.instruct.items import Item, Pair
from langchain_videochat.instruct.statistics import SPLITS, ExportReport, Split, summarise
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
"""What a human asks for before a description in stage 2, in English."""

VALIDATION = 0.1
"""Share of the videos that are kept for validation."""


def export(
    items: str | Path,
    output: str | Path,
    *,
    validation: float = VALIDATION,
    requests: Sequence[str] | None = None,
) -> ExportReport:
    """Write items as files to train on, without those that say nearly the same as others.

    The folder gets, for each split, `captions.SPLIT.json` with the descriptions, for stage 1 of `videochat train`,
    `conversations.SPLIT.json` with all items, for stage 2, and `SPLIT.jsonl` for Hugging Face's `load_dataset`; beside
    them `rejected.jsonl` with the reasons, and a data card in `README.md`. The same items always give the same files.
    All that is about a video is in one split, and stays there when others are added.

    Args:
        items: Folder that `make_instructions` wrote.
        output: Folder to write; it must not be there yet.
        validation: Share of the videos that are kept for validation, 0 to 1.
        requests: What is asked for before a description, in its language; `REQUESTS` if None, where all are in English.

    Raises:
        SourceError: There are no items.
        InputError: An argument makes no sense, the folder is there already or cannot be written, or a file of items is
            something else.
        ModelUnavailableError: A package is not installed.

    Example:
        Make files, then train on them:

            print(export("made", "data"))
            DataFile(file="data/conversations.train.json")
    """
    folder = Path(output)
    if not 0 <= validation <= 1:
        raise InputError("validation", f"{validation} is no share", "Give a number from 0 to 1")
    if folder.exists():
        raise InputError("output", f"{folder} is there already", "Name another folder, or remove this one")
    require_extra("instruct", "instruction data")
    accepted, rejected = read_folder(items)
    checked = list(mark_duplicates(accepted))
    kept = [item for item in checked if not item.faults]
    if not kept:
        raise InputError(items, "none of its items passed the gates", f"See the reasons in its {REJECTED}")
    rejected = sorted([*rejected, *(item for item in checked if item.faults)], key=lambda item: item.id)
    asked = _check_requests(requests, kept)
    splits = {split: [item for item in kept if split_of(item.video_id, validation) == split] for split in SPLITS}
    report = summarise(folder, splits, rejected)
    try:
        with atomic_directory(folder) as scratch:
            for split in SPLITS:
                _write_split(scratch, split, splits[split], asked)
            _write_lines(scratch / REJECTED, (item.model_dump(mode="json") for item in rejected))
            write_card(scratch, report)
            draw_chart(scratch, report)
    except OSError as error:
        raise InputError(folder, f"it cannot be written ({error.strerror})", "Make room, or name another") from error
    return report


def split_of(video_id: str, validation: float = VALIDATION) -> Split:
    """Tell to which split a video belongs.

    Example:
        >>> split_of("c0ffee", validation=0.0), split_of("c0ffee", validation=1.0)
        ('train', 'validation')
    """
    return "validation" if _hash(video_id) < validation * 2**64 else "train"


def _check_requests(requests: Sequence[str] | None, items: Iterable[Item]) -> Sequence[str]:
    others = {item.language for item in items if item.kind == "description" and item.language.casefold() != "english"}
    if requests is None and others:
        problem = f"there are descriptions in {', '.join(sorted(others))}, and the requests for them are in English"
        raise InputError("requests", problem, "Give some in that language")
    if requests is not None and not any(request.strip() for request in requests):
        raise InputError("requests", "there are none", "Give one at least")
    return requests or REQUESTS


def _write_split(folder: Path, split: Split, items: Sequence[Item], requests: Sequence[str]) -> None:
    captions = [{"video": item.video, "caption": item.text} for item in items if item.kind == "description"]
    conversations = [{"video": item.video, "QA": _pairs(item, requests)} for item in items]
    _write_json(folder / f"captions.{split}.json", captions)
    _write_json(folder / f"conversations.{split}.json", conversations)
    if items:  # load_dataset refuses a file without lines
        _write_lines(folder / f"{split}.jsonl", (_row(item, requests) for item in items))


def _row(item: Item, requests: Sequence[str]) -> dict[str, Any]:
    return {
        "id": item.id,
        "video_id": item.video_id,
        "video": item.video,
        "kind": item.kind,
        "language": item.language,
        "QA": _pairs(item, requests),
        "flags": "; ".join(item.flags),
    }


def _pairs(item: Item, requests: Sequence[str]) -> list[dict[str, str]]:
    pairs = item.pairs or [Pair(q=requests[_hash(item.id) % len(requests)], a=item.text)]
    return [pair.model_dump() for pair in pairs]


def _hash(text: str) -> int:
    """Give a number below 2 to the power of 64, the same in each process."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _write_json(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
