"""Video-MME, Video-MME v2 and LongVideoBench in the formats in which they are published."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

Row = dict[str, Any]


def mme_row(number: int, video: str, **fields: Any) -> Row:
    """Return a row of Video-MME, with all columns of the published file."""
    return {
        "video_id": f"{number:03}",
        "duration": "short",
        "domain": "Knowledge",
        "sub_category": "Geography",
        "url": f"https://example.org/{video}",
        "videoID": video,
        "question_id": f"{number:03}-1",
        "task_type": "Counting Problem",
        "question": f"How many in {number}?",
        "options": ["A. One.", "B. Two.", "C. Three.", "D. Four."],
        "answer": "B",
        **fields,
    }


def mme_v2_group(video: str, **fields: Any) -> list[Row]:
    """Return four rows of Video-MME v2, with all columns of the published file."""
    row = {
        "video_id": video,
        "url": f"https://example.org/{video}",
        "group_type": "logic",
        "group_structure": "[1, [2, 3], 4]",
        "options": "A. Left.\nB. Right.\nC. Up.",
        "answer": "C",
        "level": "2",
        "second_head": "Order",
        "third_head": "Causality",
        **fields,
    }
    return [row | {"question_id": f"{video}-{n}", "question": f"Question {n} about {video}?"} for n in range(1, 5)]


def lvb_row(number: int, video: str, **fields: Any) -> Row:
    """Return a row of LongVideoBench, with all fields of the published file."""
    return {
        "video_id": video,
        "question": f"What happens in {number}?",
        "question_wo_referring_query": "What happens?",
        "candidates": ["He sits.", "He runs.", "He sleeps."],
        "correct_choice": 1,
        "position": [4030, 7571],
        "topic_category": "MR-Movie-Recaps",
        "question_category": "T2E",
        "level": "L1-Perception",
        "id": f"{video}_{number}",
        "video_path": f"{video}.mp4",
        "subtitle_path": f"{video}_en.json",
        "duration_group": 15,
        "starting_timestamp_for_subtitles": 0,
        "duration": 3.0,
        "view_count": 93803,
        **fields,
    }


def write_mme(folder: Path, rows: Sequence[Row]) -> Path:
    (folder / "videomme").mkdir(parents=True)
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), folder / "videomme" / "test-00000-of-00001.parquet")
    return folder


def write_mme_v2(folder: Path, rows: Sequence[Row]) -> Path:
    folder.mkdir(exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), folder / "test.parquet")
    return folder


def write_lvb(folder: Path, rows: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "lvb_val.json").write_text(json.dumps(rows))
    return folder
