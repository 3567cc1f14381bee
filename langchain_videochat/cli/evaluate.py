"""The commands `evaluate ...`: a model is asked the questions of a benchmark."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_videochat.cli.options import JsonOption

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def mvbench(
    data_dir: Annotated[Path, typer.Argument(help="Folder with MVBench's folders *json* and *video*.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="A folder or an id of a VideoChat-Embed, or another model of LangChain that takes videos, as "
            "*google_genai:gemini-2.5-flash*; what VideoChatEmbed() takes if not given."
        ),
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Only this task, as *moving_direction*; may be repeated.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many questions of each task.")] = None,
    num_frames: Annotated[int, typer.Option(min=1, help="Frames that a VideoChat-Embed sees of each video.")] = 16,
    free_answers: Annotated[
        bool, typer.Option("--free-answers", help="Let a VideoChat-Embed write freely, not choose a letter in JSON.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File for the answers, a line of JSON each. Those in it are not repeated."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a model the questions of MVBench, and print how many it answers right.

    Questions whose video is missing or broken count as wrong, and are named. Called again with the same --output, it
    goes on where it was stopped.

    Example: `videochat evaluate mvbench MVBench --model videochat-7b --output answers.jsonl`
    """
    from langchain_videochat.evaluation.mvbench import evaluate, read_items

    items = read_items(data_dir, task or (), limit)
    try:
        report = evaluate(
            _load_chat_model(model),
            items,
            num_frames=num_frames,
            free_answers=free_answers,
            output=output,
            show_progress=not as_json,
        )
    except KeyboardInterrupt:
        if output is not None:
            typer.echo(f"What was answered is kept in {output}: call again, and it goes on from there.", err=True)
        raise
    typer.echo(json.dumps(report.to_json(), ensure_ascii=False, indent=2) if as_json else str(report))


def _load_chat_model(name: str | None) -> "BaseChatModel":
    """Make a VideoChatEmbed of a folder or an id, or what is called PROVIDER:MODEL by LangChain."""
    from langchain_videochat.embed import VideoChatEmbed
    from langchain_videochat.text.llms import is_provided, load_model

    return load_model(name) if name is not None and is_provided(name) else VideoChatEmbed(model=name)
