"""The command `videochat`."""

import json
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, cast

import typer
from rich.console import Console
from rich.table import Table

from langchain_videochat.cli import instruct, page
from langchain_videochat.cli.evaluate import mvbench
from langchain_videochat.cli.options import (
    DEFAULT_STORE,
    FAILED,
    JsonOption,
    ModelOption,
    ProfileOption,
    StoreOption,
    VideoArgument,
)
from langchain_videochat.cli.stores import find_video, open_store
from langchain_videochat.cli.train import train
from langchain_videochat.errors import InputError, VideoChatError
from langchain_videochat.utils.timecode import format_timecode, parse_timecode

if TYPE_CHECKING:
    from langchain_videochat.cli.conversation import Conversation
    from langchain_videochat.perception import Modality

P = ParamSpec("P")

INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Turn videos into timelines of text, and find the moment again.",
)
console = Console()
errors = Console(stderr=True)

FromOption = Annotated[str | None, typer.Option("--from", help="Begin at this time: seconds, mm:ss or h:mm:ss.")]
ToOption = Annotated[str | None, typer.Option("--to", help="End at this time.")]
AskedVideoOption = Annotated[str | None, typer.Option("--video", help="Ask about this video only.")]


def _command(function: Callable[P, None], group: typer.Typer = app) -> Callable[P, None]:
    """Register a command that ends with a message and an exit code where it fails, not with a traceback."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
        try:
            function(*args, **kwargs)
        except VideoChatError as error:
            _print_error(error)
            raise typer.Exit(FAILED) from None
        except KeyboardInterrupt:
            errors.print("Stopped.")
            sys.stdout.flush()
            # Models may be at work in other threads for half a minute more, and nothing that counts waits for them.
            os._exit(INTERRUPTED)

    return group.command()(run)


evaluations = typer.Typer(no_args_is_help=True, help="Measure how well a model understands videos.")
app.add_typer(evaluations, name="evaluate")
_command(mvbench, evaluations)

instructions = typer.Typer(no_args_is_help=True, help="Make instruction data of videos, to train on.")
app.add_typer(instructions, name="instruct")
_command(instruct.describe, instructions)
_command(instruct.converse, instructions)
_command(instruct.export, instructions)


@_command
def index(
    sources: Annotated[list[str], typer.Argument(help="Files, folders, glob patterns or web addresses.")],
    store: StoreOption = DEFAULT_STORE,
    profile: ProfileOption = "standard",
    as_json: JsonOption = False,
) -> None:
    """Write down what happens in videos, so that it can be found.

    A video that cannot be read is reported and passed over; one that is already there is skipped.

    Example: `videochat index talks/ --profile lite`
    """
    opened = open_store(store, create=True)
    try:
        report = opened.index(sources, profile=profile, on_error="skip", show_progress=not as_json)
    except KeyboardInterrupt:
        errors.print("What was finished is kept: indexing goes on from there when it is called again.")
        raise
    if as_json:
        _print_json([asdict(video) for video in report.videos])
    else:
        console.print(_plain(str(report)), soft_wrap=True)
    if report.failed:
        raise typer.Exit(FAILED)


@_command
def search(
    query: Annotated[str, typer.Argument(help="What to look for: words, a name, a number, a question.")],
    store: StoreOption = DEFAULT_STORE,
    k: Annotated[int, typer.Option("-k", min=1, help="How many moments to show.")] = 4,
    video: Annotated[str | None, typer.Option(help="Search in this video only.")] = None,
    start: FromOption = None,
    end: ToOption = None,
    modality: Annotated[
        list[str] | None, typer.Option(help="Only moments with this modality, as *screen_text*; may be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find moments by meaning and by exact words.

    Example: `videochat search "how much flour?" -k 2`
    """
    opened = open_store(store)
    found = opened.search(
        query,
        k,
        video_id=None if video is None else find_video(opened, video).video_id,
        start=_seconds(start),
        end=_seconds(end),
        modalities=cast("list[Modality]", modality) or None,
    )
    if as_json:
        _print_json([{"text": document.page_content, **document.metadata} for document in found])
        return
    for document in found:
        data = document.metadata
        times = f"{format_timecode(data['start'])}-{format_timecode(data['end'])}"
        console.print(
            f"[bold]{_plain(data['title'])}[/bold]  [cyan]{times}[/cyan]  [dim]{_plain(data['citation'])}[/dim]"
        )
        console.print(_plain("\n".join(f"  {line}" for line in document.page_content.splitlines()[1:])) + "\n")
    if not found:
        errors.print("Nothing found.")


@_command
def ask(
    question: Annotated[str, typer.Argument(help="What to ask about the videos.")],
    model: ModelOption,
    store: StoreOption = DEFAULT_STORE,
    video: AskedVideoOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a language model answer a question from the timelines, with the moments that the answer cites.

    Example: `videochat ask "How much flour do I need?" --model openai:gpt-5-mini`
    """
    from langchain_videochat.cli.conversation import show_answer

    parts = _converse(store, video, model).ask(question)
    if not as_json:
        show_answer(console, parts)
        return
    told = list(parts)
    citations = [asdict(citation) for part in told for citation in part.get("citations", [])]
    _print_json({"answer": "".join(part.get("answer", "") for part in told), "citations": citations})


@_command
def chat(model: ModelOption, store: StoreOption = DEFAULT_STORE, video: AskedVideoOption = None) -> None:
    """Ask one question after the other, each with those before it in mind, until Ctrl-C.

    Example: `videochat chat --model ollama:qwen3 --video talk.mp4`
    """
    from langchain_videochat.cli.conversation import show_answer

    conversation = _converse(store, video, model)
    console.print("Ask about the videos. Ctrl-C ends it.", style="dim")
    with suppress(EOFError, KeyboardInterrupt):
        while True:
            question = console.input("\n[bold]>[/bold] ").strip()
            try:
                if question:
                    show_answer(console, conversation.ask(question))
            except VideoChatError as error:
                _print_error(error)
    console.print("\nGoodbye.")


@_command
def timeline(
    video: VideoArgument,
    store: StoreOption = DEFAULT_STORE,
    start: FromOption = None,
    end: ToOption = None,
    webvtt: Annotated[bool, typer.Option("--webvtt", help="Print a WebVTT track, for players.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw it into this file instead: .png, .svg or .pdf. Needs the extra *app*.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print what was noticed in a video, with times, or draw it.

    Example: `videochat timeline talk.mp4 --from 1:30 --to 2:00`
    """
    opened = open_store(store)
    found = opened.timeline(find_video(opened, video).video_id, start=_seconds(start), end=_seconds(end))
    if plot is not None:
        from langchain_videochat.app import draw_timeline

        written = draw_timeline(found, plot, start=_seconds(start) or 0.0, end=_seconds(end))
        console.print(_plain(str(written)), soft_wrap=True)
        return
    text = found.to_json() if as_json else found.to_webvtt() if webvtt else found.to_prompt()
    typer.echo(text)


@_command
def videos(store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """List the videos of the store.

    Example: `videochat videos --json`
    """
    records = open_store(store).videos()
    if as_json:
        _print_json([asdict(record) for record in records])
        return
    table = Table("id", "title", "length", "moments", "profile", "source", box=None, header_style="bold")
    for record in records:
        table.add_row(
            record.video_id,
            _plain(record.title),
            format_timecode(record.duration),
            str(record.moments),
            record.profile,
            _plain(record.source),
        )
    console.print(table)


@_command
def remove(video: VideoArgument, store: StoreOption = DEFAULT_STORE) -> None:
    """Remove a video from the store; its file stays.

    Example: `videochat remove talk.mp4`
    """
    opened = open_store(store)
    record = find_video(opened, video)
    opened.remove(record.video_id)
    console.print(f"Removed {_plain(record.title)} ({record.video_id}).")


@_command
def clip(
    video: VideoArgument,
    start: Annotated[str, typer.Argument(help="Seconds, mm:ss or h:mm:ss.")],
    end: Annotated[str, typer.Argument(help="Seconds, mm:ss or h:mm:ss.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .mp4, .mkv, .webm or .gif.")],
    store: StoreOption = DEFAULT_STORE,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")] = False,
) -> None:
    """Cut a stretch out of a video.

    Example: `videochat clip talk.mp4 1:30 1:45 -o step2.mp4`
    """
    from langchain_videochat.media import cut_clip, local_file

    name = video if Path(video).is_file() else find_video(open_store(store), video).source
    with local_file(name) as path:
        written = cut_clip(path, parse_timecode(start), parse_timecode(end), output, overwrite=overwrite)
    console.print(_plain(str(written)), soft_wrap=True)


@_command
def convert(
    blip2: Annotated[str, typer.Option(help="BLIP-2's file; or a folder or an id of a BLIP-2 of transformers.")],
    language_model: Annotated[str, typer.Option(help="Folder or id of a causal language model of transformers.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write. It must not be there yet.")],
    eva: Annotated[str | None, typer.Option(help="EVA's file. Without it and --videochat, start anew.")] = None,
    videochat: Annotated[str | None, typer.Option(help="VideoChat's file, or a checkpoint of its training.")] = None,
    language_model_delta: Annotated[
        str | None, typer.Option(help="Folder or id of what is to be added to the language model, as for Vicuna v0.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="A number that the files do not tell, as *vision_heads=16*; may be repeated."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a model's folder of the original VideoChat's files, or of a BLIP-2 and a language model, to train it.

    Pickled files are read without running what is in them.

    Example: `videochat convert --eva eva_vit_g.pth --blip2 blip2_pretrained_flant5xxl.pth --videochat videochat_7b.pth
    --language-model llama-7b --language-model-delta lmsys/vicuna-7b-delta-v0 --output videochat-7b`
    """
    from langchain_videochat.embed import convert_checkpoint
    from langchain_videochat.embed.conversion.dimensions import check_settings

    overrides = dict(_setting(text) for text in settings or ())
    check_settings(overrides)  # before one of them is taken for another argument
    report = convert_checkpoint(
        eva=eva,
        blip2=blip2,
        videochat=videochat,
        language_model=language_model,
        language_model_delta=language_model_delta,
        output=output,
        show_progress=not as_json,
        **overrides,
    )
    if as_json:
        _print_json(asdict(report))
    else:
        console.print(_plain(str(report)), soft_wrap=True)


_command(train)
_command(page.app)
_command(page.report)


@_command
def doctor(
    profile: Annotated[str | None, typer.Option(help="Look for the models of this profile too.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch those models that are missing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell what this machine has, and how to get what it has not.

    Example: `videochat doctor --profile standard`
    """
    from langchain_videochat.cli.installation import examine, examine_models, fetch_models

    if download:
        fetch_models(profile or "standard")
    checks = [*examine(), *(examine_models(profile) if profile else ())]
    if as_json:
        _print_json([asdict(check) for check in checks])
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for check in checks:
        mark = "[green]✓[/green]" if check.ok else "[yellow]✗[/yellow]"
        table.add_row(mark, check.name, _plain(check.detail))
        if check.advice:
            table.add_row("", "", f"[dim]{_plain(check.advice)}[/dim]")
    console.print(table)


def _converse(folder: Path, video: str | None, model: str) -> "Conversation":
    from langchain_videochat.cli.conversation import Conversation

    store = open_store(folder)
    return Conversation(model, store, None if video is None else find_video(store, video).video_id)


def _seconds(time: str | None) -> float | None:
    return None if time is None else parse_timecode(time)


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError as error:
        raise InputError("--set", f"{text!r} gives no number", "Write it as vision_heads=16") from error


def _print_error(error: VideoChatError) -> None:
    errors.print(f"[red]error:[/red] {_plain(str(error))}", soft_wrap=True)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def _plain(text: str) -> str:
    """Keep text of videos and file names from being taken for markup."""
    from rich.markup import escape

    return escape(text)
