"""Commands on the videos of a store: index, search, timeline, videos, remove, clip."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from langchain_videochat.cli.options import (
    DEFAULT_PROFILE,
    DEFAULT_STORE,
    FAILED,
    EmbeddingOption,
    ExplainedProfileOption,
    FromOption,
    JsonOption,
    RefreshOption,
    StoreOption,
    ToOption,
    VideoArgument,
    VisualEmbeddingOption,
    seconds,
)
from langchain_videochat.cli.output import console, errors, print_json
from langchain_videochat.cli.profiles import explain_default
from langchain_videochat.cli.stores import find_source, find_video, open_store
from langchain_videochat.utils.timecode import format_timecode, parse_timecode

TimeArgument = Annotated[str, typer.Argument(help="Seconds, mm:ss or h:mm:ss.")]


def index(
    sources: Annotated[list[str], typer.Argument(help="Files, folders, glob patterns or URLs.")],
    store: StoreOption = DEFAULT_STORE,
    profile: ExplainedProfileOption = None,
    embedding: EmbeddingOption = None,
    refresh: RefreshOption = False,
    assume_yes: Annotated[bool, typer.Option("--yes", help="Download missing models without asking.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Index videos so that they can be searched.

    Videos already in the store are skipped unless their subtitle files have changed, and interrupted runs resume.
    Unreadable videos are reported and skipped.

    Example: `videochat index talks/ --profile lite`
    """
    if profile is None:
        profile = DEFAULT_PROFILE
        explain_default(profile, _embedding_model(store, embedding), assume_yes=assume_yes)
    opened = open_store(store, embedding, create=True)
    try:
        report = opened.index(sources, profile=profile, refresh=refresh, on_error="skip", show_progress=not as_json)
    except KeyboardInterrupt:
        again = "again without --refresh" if refresh else "again"
        errors.print(f"Finished segments are saved: run the command {again} to resume.")
        raise
    if as_json:
        print_json([asdict(video) for video in report.videos])
    else:
        typer.echo(report)
    if report.failed:
        raise typer.Exit(FAILED)


def _embedding_model(store: Path, embedding: str | None) -> str | None:
    """Return the model that a store will be created with; None if the store exists and may have another one."""
    from langchain_videochat.store.embeddings import DEFAULT_MODEL, NAMES

    if embedding is None:
        return None if store.exists() else DEFAULT_MODEL
    return NAMES.get(embedding, embedding)


def search(
    query: Annotated[str | None, typer.Argument(help="Words, a name, a number or a question.")] = None,
    image: Annotated[Path | None, typer.Option(help="Find moments that look like this picture.")] = None,
    store: StoreOption = DEFAULT_STORE,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of moments to show.")] = 4,
    video: Annotated[str | None, typer.Option(help="Search this video only.")] = None,
    start: FromOption = None,
    end: ToOption = None,
    modality: Annotated[
        list[str] | None, typer.Option(help="Only moments with this modality, for example *screen_text*; repeatable.")
    ] = None,
    embedding: EmbeddingOption = None,
    visual_embedding: VisualEmbeddingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find moments by meaning, by words and by picture.

    Example: `videochat search "how much flour?" -k 2`, or `videochat search --image dough.jpg`
    """
    opened = open_store(store, embedding, visual_embedding=visual_embedding)
    found = opened.search(
        query,
        k,
        image=image,
        video_id=None if video is None else find_video(opened, video).video_id,
        start=seconds(start),
        end=seconds(end),
        modalities=modality or None,
    )
    if as_json:
        print_json([{"text": document.page_content, **document.metadata} for document in found])
        return
    for document in found:
        data = document.metadata
        times = f"{format_timecode(data['hit_start'])}-{format_timecode(data['hit_end'])}"
        console.print(
            f"[bold]{escape(data['title'])}[/bold]  [cyan]{times}[/cyan]  [dim]{escape(data['citation'])}[/dim]"
        )
        console.print(escape("\n".join(f"  {line}" for line in document.page_content.splitlines()[1:])) + "\n")
    if not found:
        errors.print("Nothing found.")


def timeline(
    video: VideoArgument,
    store: StoreOption = DEFAULT_STORE,
    start: FromOption = None,
    end: ToOption = None,
    webvtt: Annotated[bool, typer.Option("--webvtt", help="Print a WebVTT track.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw to this .png, .svg or .pdf file instead. Requires the extra *app*.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print or draw the timeline of a video.

    Example: `videochat timeline talk.mp4 --from 1:30 --to 2:00`
    """
    opened = open_store(store)
    found = opened.timeline(find_video(opened, video).video_id, start=seconds(start), end=seconds(end))
    if plot is not None:
        from langchain_videochat.app import draw_timeline

        typer.echo(draw_timeline(found, plot, start=seconds(start) or 0.0, end=seconds(end)))
        return
    typer.echo(found.to_json() if as_json else found.to_webvtt() if webvtt else found.to_prompt())


def videos(store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """List the videos in the store.

    Example: `videochat videos --json`
    """
    records = open_store(store).videos()
    if as_json:
        print_json([asdict(record) for record in records])
        return
    table = Table("id", "title", "duration", "moments", "profile", "source", box=None, header_style="bold")
    for record in records:
        table.add_row(
            record.video_id,
            escape(record.title),
            format_timecode(record.duration),
            str(record.moments),
            record.profile,
            escape(record.source),
        )
    console.print(table)


def remove(video: VideoArgument, store: StoreOption = DEFAULT_STORE) -> None:
    """Remove a video from the store; its file stays.

    Example: `videochat remove talk.mp4`
    """
    opened = open_store(store)
    record = find_video(opened, video)
    opened.remove(record.video_id)
    typer.echo(f"Removed {record.title} ({record.video_id}).")


def clip(
    video: VideoArgument,
    start: TimeArgument,
    end: TimeArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .mp4, .mkv, .webm or .gif.")],
    store: StoreOption = DEFAULT_STORE,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Cut a clip from a video.

    Example: `videochat clip talk.mp4 1:30 1:45 -o step2.mp4`
    """
    from langchain_videochat.media import cut_clip, local_file

    with local_file(find_source(video, store)) as path:
        typer.echo(cut_clip(path, parse_timecode(start), parse_timecode(end), output, overwrite=overwrite))
