"""Commands that show timelines: app, report."""

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_videochat.cli.options import (
    DEFAULT_STORE,
    EmbeddingOption,
    JsonOption,
    ProfileOption,
    StoreOption,
    VideoArgument,
    VisualEmbeddingOption,
)
from langchain_videochat.cli.output import print_result
from langchain_videochat.cli.stores import find_video, open_store
from langchain_videochat.errors import InputError
from langchain_videochat.utils.optional_dependencies import require_extra

if TYPE_CHECKING:
    from langchain_videochat.app.chat import Chat
    from langchain_videochat.app.collection import Collection

LOCAL_HOST = "127.0.0.1"


def app(
    folder: Annotated[
        Path, typer.Option(help="Folder to serve videos from. Uploads are saved in its subfolder *uploads*.")
    ] = Path(),
    store: StoreOption = DEFAULT_STORE,
    model: Annotated[
        list[str] | None,
        typer.Option(
            envvar="VIDEOCHAT_MODEL",
            help="LangChain chat model, for example *ollama:qwen3*; or folder or hub id of a model for VideoChatEmbed, "
            "which processes the frames; repeatable.",
        ),
    ] = None,
    profile: ProfileOption = "standard",
    embedding: EmbeddingOption = None,
    visual_embedding: VisualEmbeddingOption = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Any address but the default requires a --password.")
    ] = LOCAL_HOST,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = 7860,
    password: Annotated[
        str | None, typer.Option(envvar="VIDEOCHAT_PASSWORD", help="HTTP password (any user name).")
    ] = None,
    max_upload: Annotated[int, typer.Option(min=1, help="Maximum size of an upload, in MB.")] = 2000,
) -> None:
    """Serve a web page with a player, timelines, search and chat. Requires the extra *app*.

    Example: `videochat app --folder talks --model ollama:qwen3`
    """
    require_extra("app", "the page")
    if host != LOCAL_HOST and not password:
        raise InputError("--host", f"other machines can reach {host}", "Set a --password too")
    from langchain_videochat.app.collection import Collection
    from langchain_videochat.app.connections import create_server
    from langchain_videochat.app.security import LOCAL_HOSTS
    from langchain_videochat.app.server import create_app

    opened = open_store(store, embedding, visual_embedding=visual_embedding, create=True)
    collection = Collection(opened, folder)
    chats = dict(_load_chats(model or (), collection))
    with listen(host, port) as listener:
        page = create_app(
            collection,
            chats,
            profile=profile,
            password=password,
            hosts=LOCAL_HOSTS if host == LOCAL_HOST else ("*",),
            max_upload=max_upload * 1_000_000,
        )
        typer.echo(f"Open http://{host}:{listener.getsockname()[1]} in a browser. Press Ctrl-C to stop.")
        create_server(page).run([listener])


def report(
    video: VideoArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write or overwrite.")] = Path("report.html"),
    store: StoreOption = DEFAULT_STORE,
    profile: ProfileOption = "standard",
    embedding: EmbeddingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a shareable report of a video: player, timeline, text and search in one HTML file.

    A file that is not in the store is indexed first.

    Example: `videochat report talk.mp4 -o talk.html`
    """
    from langchain_videochat.app import write_report
    from langchain_videochat.media import video_id

    opened = open_store(store, embedding, create=True)
    # The id of a file is a hash of its content: compute it once.
    identity = video_id(video) if Path(video).is_file() else find_video(opened, video).video_id
    if identity not in {record.video_id for record in opened.videos()}:
        opened.index(video, profile=profile, show_progress=not as_json)
    written = write_report(opened.timeline(identity), output, show_progress=not as_json)
    print_result({"path": written}, str(written), as_json)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        InputError: The address is not available.
    """
    try:
        return socket.create_server((host, port))
    except OSError as error:
        problem = f"cannot listen on {host}:{port} ({error.strerror})"
        raise InputError("--port", problem, "Choose another port, or 0 for any free one") from error


def _load_chats(names: Iterable[str], collection: "Collection") -> "Iterable[tuple[str, Chat]]":
    from langchain_videochat.app.chat import EmbedChat, TimelineChat
    from langchain_videochat.text.llms import has_provider, load_chat_model

    for name in names:
        if has_provider(name):
            yield name, TimelineChat(load_chat_model(name), collection.store)
        else:
            yield name, EmbedChat(name, collection)
