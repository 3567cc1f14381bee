"""Commands on the videos of a store: index, search, timeline, videos, remove, clip."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from langchain_videochat.cli.budget import MaxTokensOption, fit_moments, fit_timeline
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
from langchain_videochat.cli.output import console, errors, format_json, print_above_progress, print_json, print_result
from langchain_videochat.cli.profiles import explain_default
from langchain_videochat.cli.stores import find_source, find_video, is_on_server, open_store
from langchain_videochat.errors import InputError
from langchain_videochat.utils.timecode import format_seconds, format_timecode, parse_timecode

if TYPE_CHECKING:
    from langchain_core.documents import Document

    from langchain_videochat.store import VideoTimelineStore

TimeArgument = Annotated[str, typer.Argument(help="Seconds, mm:ss or h:mm:ss.")]


WorkersOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of worker processes, which share the cores and the memory of this machine; default: 1. With "
        "--ray: number of actors; default: as many as fit.",
    ),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Index on this Ray cluster; *auto* finds the one that this machine belongs to. Requires the extra *ray*.",
    ),
]
WatchOption = Annotated[
    bool, typer.Option("--watch", help="Then wait for new, changed and deleted videos in the folder, until Ctrl-C.")
]


def index(
    sources: Annotated[list[str], typer.Argument(help="Files, folders, glob patterns, manifests or addresses.")],
    store: StoreOption = DEFAULT_STORE,
    profile: ExplainedProfileOption = None,
    embedding: EmbeddingOption = None,
    refresh: RefreshOption = False,
    workers: WorkersOption = None,
    ray: RayOption = None,
    watch: WatchOption = False,
    assume_yes: Annotated[bool, typer.Option("--yes", help="Download missing models without asking.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Index videos so that they can be searched.

    Videos already in the store are skipped unless their subtitle files have changed, and interrupted runs resume.
    Unreadable videos are reported and skipped.

    Example: `videochat index talks/ --profile lite`
    """
    if watch and (len(sources) != 1 or as_json):
        problem = "cannot be combined with --json" if as_json else f"takes one folder, got {len(sources)} sources"
        raise InputError("--watch", problem, "Run one command per folder, without --json")
    if profile is None:
        profile = DEFAULT_PROFILE
        explain_default(profile, _embedding_model(store, embedding), assume_yes=assume_yes)
    if ray is not None:
        _connect(ray)
    opened, stop = open_store(store, embedding, create=True), Event()
    found = opened.lazy_index(
        _watch(opened, sources[0], stop) if watch else sources,
        profile=profile,
        refresh=refresh,
        show_progress=not as_json,
        workers=workers if ray is not None else workers or 1,
        engine="processes" if ray is None else "ray",
    )
    listed: list[dict[str, Any]] = []
    has_failed = False
    try:
        for video in found:
            has_failed |= video.status == "failed"
            if as_json:
                listed.append(asdict(video))
            else:
                print_above_progress(str(video))
    except KeyboardInterrupt:
        stop.set()
        again = "again without --refresh" if refresh else "again"
        errors.print(f"Finished segments are saved: run the command {again} to resume.")
        raise
    if as_json:
        print_json(listed)
    if has_failed:
        raise typer.Exit(FAILED)


def _connect(address: str) -> None:
    from langchain_videochat.workers.ray_cluster import connect

    connect(address)


def _watch(store: "VideoTimelineStore", folder: str, stop: Event) -> Iterator[str]:
    return store.watch_folder(folder, stop=stop, on_removed=lambda one: print_above_progress(f"removed {one.source}"))


def _embedding_model(store: str, embedding: str | None) -> str | None:
    """Return the model that a store will be created with; None if the store exists and may have another one."""
    from langchain_videochat.store.embeddings import DEFAULT_MODEL, NAMES

    if embedding is None:
        return None if is_on_server(store) or Path(store).exists() else DEFAULT_MODEL
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
    max_tokens: MaxTokensOption = None,
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
    shown: Sequence[Document] = found
    if max_tokens is not None:
        shown = fit_moments(found, max_tokens, _moments_json if as_json else _moments_text)
    if as_json:
        typer.echo(_moments_json(shown))
    for document in () if as_json else shown:
        _print_moment(document)
    if not found:
        errors.print("Nothing found.")
    if len(shown) < len(found):
        errors.print(f"{len(found) - len(shown)} of {len(found)} moments are left out: raise --max-tokens.")


def _moments_json(moments: "Sequence[Document]") -> str:
    return format_json([{"text": document.page_content, **document.metadata} for document in moments])


def _moments_text(moments: "Sequence[Document]") -> str:
    return "\n".join("  ".join(_describe(one)) for one in moments)


def _describe(moment: "Document") -> tuple[str, str, str, str]:
    """Return the title, times, citation and text of a moment."""
    data = moment.metadata
    times = f"{format_timecode(data['hit_start'])}-{format_timecode(data['hit_end'])}"
    text = "\n".join(f"  {line}" for line in moment.page_content.splitlines()[1:])
    return data["title"], times, data["citation"], f"{text}\n"


def _print_moment(moment: "Document") -> None:
    title, times, citation, text = map(escape, _describe(moment))
    console.print(f"[bold]{title}[/bold]  [cyan]{times}[/cyan]  [dim]{citation}[/dim]", soft_wrap=True)
    console.print(text)


def timeline(
    video: VideoArgument,
    store: StoreOption = DEFAULT_STORE,
    start: FromOption = None,
    end: ToOption = None,
    webvtt: Annotated[bool, typer.Option("--webvtt", help="Print a WebVTT track.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw to this .png, .svg or .pdf file instead. Requires the extra *app*.")
    ] = None,
    max_tokens: MaxTokensOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print or draw the timeline of a video.

    Example: `videochat timeline talk.mp4 --from 1:30 --to 2:00`
    """
    from langchain_videochat.timeline import Timeline

    opened = open_store(store)
    found = opened.timeline(find_video(opened, video).video_id, start=seconds(start), end=seconds(end))
    if plot is not None:
        from langchain_videochat.app import draw_timeline

        drawn = draw_timeline(found, plot, start=seconds(start) or 0.0, end=seconds(end))
        print_result({"path": drawn}, str(drawn), as_json)
        return
    serialize = Timeline.to_json if as_json else Timeline.to_webvtt if webvtt else Timeline.to_prompt
    rest = None
    if max_tokens is not None:
        found, rest = fit_timeline(found, seconds(start) or 0.0, max_tokens, serialize)
    typer.echo(serialize(found))
    if rest is not None:
        errors.print(f"The rest is cut off: continue with --from {format_seconds(rest)}.")


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


def remove(video: VideoArgument, store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """Remove a video from the store; its file stays.

    Example: `videochat remove talk.mp4`
    """
    opened = open_store(store)
    record = find_video(opened, video)
    opened.remove(record.video_id)
    removed = {"video_id": record.video_id, "title": record.title, "source": record.source}
    print_result(removed, f"Removed {record.title} ({record.video_id}).", as_json)


def clip(
    video: VideoArgument,
    start: TimeArgument,
    end: TimeArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .mp4, .mkv, .webm or .gif.")],
    store: StoreOption = DEFAULT_STORE,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Cut a clip from a video.

    Example: `videochat clip talk.mp4 1:30 1:45 -o step2.mp4`
    """
    from langchain_videochat.media import cut_clip, local_file

    with local_file(find_source(video, store)) as path:
        written = cut_clip(path, parse_timecode(start), parse_timecode(end), output, overwrite=overwrite)
    print_result({"path": written}, str(written), as_json)
