"""The commands `app` and `report`: timelines to look at."""

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_videochat.cli.options import DEFAULT_STORE, ProfileOption, StoreOption, VideoArgument
from langchain_videochat.cli.stores import find_video, open_store
from langchain_videochat.errors import InputError
from langchain_videochat.utils.optional_dependencies import require_extra

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from langchain_videochat.app.chat import Chat
    from langchain_videochat.app.collection import Collection

LOCAL_HOST = "127.0.0.1"

SECONDS_TO_END = 2
"""Seconds that an answer that is being written has, when the server is stopped."""


def app(
    folder: Annotated[
        Path, typer.Option(help="Videos are opened here and below only; what is sent is kept in its folder *uploads*.")
    ] = Path(),
    store: StoreOption = DEFAULT_STORE,
    model: Annotated[
        list[str] | None,
        typer.Option(
            envvar="VIDEOCHAT_MODEL",
            help="Who answers: a language model, as *ollama:qwen3*, or a VideoChat-Embed's folder; may be repeated.",
        ),
    ] = None,
    profile: ProfileOption = "standard",
    host: Annotated[
        str, typer.Option(help="Address to listen at. Others than this machine need a password.")
    ] = LOCAL_HOST,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes any that is free.")] = 7860,
    password: Annotated[
        str | None, typer.Option(envvar="VIDEOCHAT_PASSWORD", help="What the browser asks for, under any user's name.")
    ] = None,
    max_upload: Annotated[int, typer.Option(min=1, help="Megabytes of a video that is sent, at most.")] = 2000,
) -> None:
    """Open a page with a player, the timeline as lanes, search and chat. Needs the extra *app*.

    Example: `videochat app --folder talks --model ollama:qwen3`
    """
    require_extra("app", "the page")
    if host != LOCAL_HOST and not password:
        raise InputError("--host", f"{host} is reached by other machines", "Give a --password too")
    from langchain_videochat.app.collection import Collection
    from langchain_videochat.app.server import LOCAL, create_app
    from langchain_videochat.store import VideoTimelineStore

    collection = Collection(VideoTimelineStore(store), folder)
    chats = dict(_chats(model or (), collection))
    with _listening(host, port) as listener:
        page = create_app(
            collection,
            chats,
            profile=profile,
            password=password,
            hosts=LOCAL if host == LOCAL_HOST else ("*",),
            max_upload=max_upload * 1_000_000,
        )
        typer.echo(f"The page is at http://{host}:{listener.getsockname()[1]} until Ctrl-C.")
        _serve(page, listener)


def report(
    video: VideoArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write or replace.")] = Path("report.html"),
    store: StoreOption = DEFAULT_STORE,
    profile: ProfileOption = "standard",
) -> None:
    """Write a page about a video, to send to others: player, timeline, text and search in one file.

    A file that is not in the store yet is indexed first.

    Example: `videochat report talk.mp4 -o talk.html`
    """
    from langchain_videochat.app import write_report
    from langchain_videochat.media import video_id

    opened = open_store(store, create=True)
    # A file is known by its content, which takes a while to read.
    identity = video_id(video) if Path(video).is_file() else find_video(opened, video).video_id
    if identity not in {record.video_id for record in opened.videos()}:
        opened.index(video, profile=profile)
    typer.echo(write_report(opened.timeline(identity), output, show_progress=True))


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except OSError as error:
        problem = f"{port} at {host} cannot be listened at ({error.strerror})"
        raise InputError("--port", problem, "Choose another, or 0 for any that is free") from error


def _serve(page: "Starlette", listener: socket.socket) -> None:
    import uvicorn

    config = uvicorn.Config(page, log_level="warning", timeout_graceful_shutdown=SECONDS_TO_END, server_header=False)
    uvicorn.Server(config).run([listener])


def _chats(models: Iterable[str], collection: "Collection") -> "Iterable[tuple[str, Chat]]":
    """Make who answers of each name."""
    from langchain_videochat.app.chat import TimelineChat, WatchingChat
    from langchain_videochat.text.llms import is_provided, load_model

    for name in models:
        if is_provided(name):
            yield name, TimelineChat(load_model(name), collection.store)
        else:
            yield name, WatchingChat(name, collection)
