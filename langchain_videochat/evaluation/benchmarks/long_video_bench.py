"""The validation questions of LongVideoBench (arXiv 2407.15754): 1,337 in 17 tasks, about videos of up to an hour.

Many questions quote a subtitle to refer to a moment. The benchmark's own loader (`longvideobench_dataset.py`) selects
the subtitles that are displayed with a frame, counting each as displayed for at least a second, and puts them between
the frames. Here the frames are one video, so the same subtitles are listed before the question, with their times.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, TypeAdapter, model_validator

from langchain_videochat.evaluation.benchmarks.items import (
    MAX_OPTIONS,
    BenchmarkItem,
    check_subtitles,
    select_items,
)
from langchain_videochat.evaluation.benchmarks.prompts import LONG_VIDEO_BENCH
from langchain_videochat.evaluation.benchmarks.rows import TaskName, VideoPath, read_json_rows

_DURATIONS = {15: "8-15 s", 60: "15-60 s", 600: "180-600 s", 3600: "900-3600 s"}


class _Row(BaseModel):
    """A question. Other fields are ignored."""

    video_path: VideoPath
    question: str
    candidates: list[str] = Field(min_length=2, max_length=MAX_OPTIONS)
    correct_choice: int = Field(ge=0)
    question_category: TaskName
    duration_group: Literal[15, 60, 600, 3600]
    subtitle_path: VideoPath
    starting_timestamp_for_subtitles: float = Field(ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _check_choice(self) -> "_Row":
        if self.correct_choice >= len(self.candidates):
            raise ValueError(
                f"correct_choice is {self.correct_choice}, but there are {len(self.candidates)} candidates"
            )
        return self


_ROWS = TypeAdapter(list[_Row])


def read_long_video_bench(
    data_dir: str | Path, tasks: Sequence[str] = (), limit: int | None = None
) -> list[BenchmarkItem]:
    """Read the questions of LongVideoBench from `lvb_val.json`; the test questions have no public answers.

    Videos are in the folder `videos`. A missing video is not an error: its item has no `path`. Subtitles are used if
    they are unpacked to the folder `subtitles`.

    Args:
        data_dir: The folder of the dataset.
        tasks: Codes of tasks (`question_category`), for example "T2E"; all if empty.
        limit: Maximum number of questions per task; all if None.

    Returns:
        The questions, sorted by task. Their `subset` is the duration of the video.

    Raises:
        SourceError: The file does not exist, or the folder `subtitles` lacks a file.
        InputError: The file has another format, or a task is unknown.

    Example:
        Evaluate a model on ten questions of each task:

            items = read_long_video_bench("LongVideoBench", limit=10)
            print(evaluate(VideoChatEmbed(model="videochat-7b"), items, num_frames=64))
    """
    subtitles = Path(data_dir, "subtitles")
    has_subtitles = subtitles.is_dir()
    rows = read_json_rows(Path(data_dir, "lvb_val.json"), _ROWS, "Download the file again")
    items = [
        BenchmarkItem(
            row.question_category,
            number,
            row.video_path,
            path if (path := Path(data_dir, "videos", row.video_path)).is_file() else None,
            row.question,
            tuple(row.candidates),
            row.candidates[row.correct_choice],
            subset=_DURATIONS[row.duration_group],
            prompt=LONG_VIDEO_BENCH,
            subtitles=subtitles / row.subtitle_path if has_subtitles else None,
            subtitles_start=row.starting_timestamp_for_subtitles,
        )
        for number, row in enumerate(rows)
    ]
    return check_subtitles(select_items(items, tasks, limit))
