"""The questions of Video-MME (arXiv 2405.21075): 2,700 in 12 tasks, about videos of 11 seconds to an hour.

With subtitles, those displayed at the times of the sampled frames precede the question, as the benchmark's repository
demands (README of MME-Benchmarks/Video-MME, "Evaluation Pipeline").
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, TypeAdapter

from langchain_videochat.errors import SourceError
from langchain_videochat.evaluation.benchmarks.items import BenchmarkItem, select_items
from langchain_videochat.evaluation.benchmarks.prompts import VIDEO_MME
from langchain_videochat.evaluation.benchmarks.rows import LetteredRow, TaskName, VideoId, read_parquet_rows

VIDEO_FOLDERS = ("data", "videos", "video")
"""Folders that the archives are unpacked to."""

_SUFFIXES = (".mp4", ".MP4", ".mkv")

_DURATIONS = {"short": "short, < 2 min", "medium": "medium, 4-15 min", "long": "long, 30-60 min"}


class _Row(LetteredRow):
    video: VideoId = Field(alias="videoID")
    duration: Literal["short", "medium", "long"]
    task_type: TaskName


_ROWS = TypeAdapter(list[_Row])


def read_video_mme(
    data_dir: str | Path,
    tasks: Sequence[str] = (),
    limit: int | None = None,
    *,
    subtitles: str | Path | None = None,
) -> list[BenchmarkItem]:
    """Read the questions of Video-MME from `videomme/test-00000-of-00001.parquet`.

    Videos are named by their `videoID` and are in the folder `data`, to which the archives are unpacked, `videos` or
    `video`. A missing video is not an error: its item has no `path`.

    Args:
        data_dir: The folder of the dataset.
        tasks: Names of tasks, for example "Temporal Reasoning" or "temporal_reasoning"; all if empty.
        limit: Maximum number of questions per task; all if None.
        subtitles: Folder with the published subtitles, `VIDEO_ID.srt`; they are not used if None. 156 of the 900
            videos have none.

    Returns:
        The questions, sorted by task. Their `subset` is the duration of the video.

    Raises:
        SourceError: The file does not exist, or the folder has no subtitles.
        InputError: The file has another format, or a task is unknown.
        ModelUnavailableError: The extra `evaluation` is not installed.

    Example:
        Evaluate a model on one task:

            items = read_video_mme("Video-MME", ["Temporal Reasoning"])
            print(evaluate(VideoChatEmbed(model="videochat-7b"), items))
    """
    rows = read_parquet_rows(Path(data_dir, "videomme", "test-00000-of-00001.parquet"), _ROWS)
    files = {} if subtitles is None else _find_subtitles(Path(subtitles))
    items = [
        BenchmarkItem(
            row.task_type,
            number,
            row.video,
            find_video(Path(data_dir), row.video),
            row.question,
            tuple(row.options),
            row.correct,
            subset=_DURATIONS[row.duration],
            prompt=VIDEO_MME,
            subtitles=files.get(row.video),
        )
        for number, row in enumerate(rows)
    ]
    return select_items(items, tasks, limit)


def _find_subtitles(folder: Path) -> dict[str, Path]:
    """Return the subtitle files of a folder by video."""
    files = {path.stem: path for path in folder.glob("*.srt")}
    if not files:
        raise SourceError(folder, "contains no subtitles (files VIDEO_ID.srt)", "Give the folder that they are in")
    return files


def find_video(data_dir: Path, video_id: str) -> Path | None:
    """Return the path of a video of Video-MME or Video-MME v2, or None."""
    paths = (data_dir / folder / f"{video_id}{suffix}" for folder in VIDEO_FOLDERS for suffix in _SUFFIXES)
    return next((path for path in paths if path.is_file()), None)
