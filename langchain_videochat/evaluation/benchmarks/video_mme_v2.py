"""The questions of Video-MME v2 (arXiv 2604.05015): 3,200 about 800 videos, scored in groups of four.

With subtitles, all words of the video precede the question, as in the benchmark's own `test_video_mme_v2.py` with
`--with-subtitle`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from langchain_videochat.errors import InputError
from langchain_videochat.evaluation.benchmarks.items import BenchmarkItem, check_subtitles, select_items
from langchain_videochat.evaluation.benchmarks.prompts import VIDEO_MME_V2
from langchain_videochat.evaluation.benchmarks.question_groups import (
    GROUP_SIZE,
    RELEVANCE,
    STRUCTURES,
    QuestionGroup,
)
from langchain_videochat.evaluation.benchmarks.rows import LetteredRow, TaskName, VideoId, read_parquet_rows
from langchain_videochat.evaluation.benchmarks.video_mme import find_video

_ADVICE = "Download the file again"


class _Row(LetteredRow):
    video_id: VideoId
    group_type: Literal["relevance", "logic"]
    group_structure: str
    # The last question of a group determines its category and level; those of others may be empty.
    level: Literal["1", "2", "3"] | None
    second_head: TaskName | None


_ROWS = TypeAdapter(list[_Row])


def read_video_mme_v2(
    data_dir: str | Path,
    tasks: Sequence[str] = (),
    limit: int | None = None,
    *,
    subtitles: str | Path | None = None,
) -> list[BenchmarkItem]:
    """Read the questions of Video-MME v2 from `test.parquet`.

    Videos are named by their `video_id` and are in the folder `videos`, `video` or `data`. A missing video is not an
    error: its item has no `path`.

    Args:
        data_dir: The folder of the dataset.
        tasks: Names of categories (`second_head`); all if empty.
        limit: Maximum number of questions per task, rounded up to whole groups of four; all if None.
        subtitles: Folder with the subtitles of each video, `VIDEO_ID.jsonl`; they are not used if None.

    Returns:
        The questions, sorted by task. Their `subset` is the level, and their `group` scores them with the other
        questions about the video.

    Raises:
        SourceError: The file or a subtitle file does not exist.
        InputError: The file has another format, or a task is unknown.
        ModelUnavailableError: The extra `evaluation` is not installed.

    Example:
        Evaluate a model on ten videos of each category:

            items = read_video_mme_v2("Video-MME-v2", limit=40)
            print(evaluate(VideoChatEmbed(model="videochat-7b"), items, num_frames=64))
    """
    path = Path(data_dir, "test.parquet")
    groups: dict[str, list[tuple[int, _Row]]] = {}
    for number, row in enumerate(read_parquet_rows(path, _ROWS)):
        groups.setdefault(row.video_id, []).append((number, row))
    folder = None if subtitles is None else Path(subtitles)
    items = [item for rows in groups.values() for item in _read_group(path, rows, folder)]
    whole_groups = None if limit is None else -(-limit // GROUP_SIZE) * GROUP_SIZE
    return check_subtitles(select_items(items, tasks, whole_groups))


def _read_group(path: Path, rows: Sequence[tuple[int, _Row]], subtitles: Path | None) -> list[BenchmarkItem]:
    last = rows[-1][1]
    structure = RELEVANCE if last.group_type == RELEVANCE else "".join(last.group_structure.split())
    if len(rows) != GROUP_SIZE:
        raise InputError(path, f"video {last.video_id} has {len(rows)} questions instead of {GROUP_SIZE}", _ADVICE)
    if structure not in STRUCTURES:
        raise InputError(path, f"video {last.video_id} has the unknown group_structure {structure[:80]!r}", _ADVICE)
    if not last.second_head:
        raise InputError(path, f"the last question about video {last.video_id} has no second_head", _ADVICE)
    return [
        BenchmarkItem(
            last.second_head,
            number,
            last.video_id,
            find_video(path.parent, last.video_id),
            row.question,
            tuple(row.options),
            row.correct,
            subset=last.level and f"level {last.level}",
            group=QuestionGroup(last.video_id, structure),
            prompt=VIDEO_MME_V2,
            subtitles=subtitles and subtitles / f"{last.video_id}.jsonl",
        )
        for number, row in rows
    ]
