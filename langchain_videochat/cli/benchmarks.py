"""The command that evaluates a model on a benchmark: evaluate."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_videochat.cli.chat_models import open_chat_model
from langchain_videochat.cli.options import JsonOption
from langchain_videochat.cli.output import print_json
from langchain_videochat.errors import InputError

if TYPE_CHECKING:
    from langchain_videochat.evaluation import BenchmarkItem


class Benchmark(StrEnum):
    """A benchmark that has a reader."""

    MVBENCH = "mvbench"
    VIDEO_MME = "video-mme"
    VIDEO_MME_V2 = "video-mme-v2"
    LONG_VIDEO_BENCH = "long-video-bench"


def evaluate(
    benchmark: Annotated[Benchmark, typer.Argument(help="The benchmark.")],
    data_dir: Annotated[Path, typer.Argument(help="Folder that the benchmark was downloaded to, with its videos.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="Folder or hub id of a model for VideoChatEmbed, or a LangChain chat model that accepts videos, for "
            "example *google_genai:gemini-2.5-flash*. Default: that of VideoChatEmbed()."
        ),
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Evaluate this task only, for example *moving_direction*; repeatable.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of questions per task.")] = None,
    subtitles: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the subtitles of Video-MME (.srt) or Video-MME v2 (.jsonl). LongVideoBench's subtitles "
            "need no option: they are used if its folder contains *subtitles*."
        ),
    ] = None,
    num_frames: Annotated[int, typer.Option(min=1, help="Frames per video, for a model of VideoChatEmbed.")] = 16,
    free_answers: Annotated[
        bool,
        typer.Option("--free-answers", help="Don't restrict the answers of a model that supports structured output."),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="JSON Lines file for the answers; those already in it are kept."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a model on a video benchmark and print its accuracy.

    Questions whose video is missing or broken count as wrong and are listed. Interrupted runs resume when called with
    the same --output.

    Example: `videochat evaluate mvbench MVBench --model videochat-7b --output answers.jsonl`
    """
    from langchain_videochat import evaluation

    items = _read(benchmark, data_dir, task or (), limit, subtitles)
    try:
        report = evaluation.evaluate(
            open_chat_model(model),
            items,
            num_frames=num_frames,
            free_answers=free_answers,
            output=output,
            show_progress=not as_json,
        )
    except KeyboardInterrupt:
        if output is not None:
            typer.echo(f"The answers so far are saved in {output}: run the command again to resume.", err=True)
        raise
    if as_json:
        print_json(report.to_json())
    else:
        typer.echo(str(report))


def _read(
    benchmark: Benchmark, data_dir: Path, tasks: Sequence[str], limit: int | None, subtitles: Path | None
) -> "list[BenchmarkItem]":
    from langchain_videochat import evaluation

    match benchmark:
        case Benchmark.VIDEO_MME:
            return evaluation.read_video_mme(data_dir, tasks, limit, subtitles=subtitles)
        case Benchmark.VIDEO_MME_V2:
            return evaluation.read_video_mme_v2(data_dir, tasks, limit, subtitles=subtitles)
    if subtitles is not None:
        raise InputError("--subtitles", f"not an option of {benchmark}", "Use it for video-mme or video-mme-v2")
    read = evaluation.read_items if benchmark is Benchmark.MVBENCH else evaluation.read_long_video_bench
    return read(data_dir, tasks, limit)
