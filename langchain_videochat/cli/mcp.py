"""Commands of the MCP server: mcp, mcp install."""

import difflib
import secrets
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from langchain_videochat.cli.chat_models import open_chat_model
from langchain_videochat.cli.options import (
    DEFAULT_PROFILE,
    DEFAULT_STORE,
    FAILED,
    EmbeddingOption,
    ProfileOption,
    StoreOption,
    VisualEmbeddingOption,
)
from langchain_videochat.cli.page import LOCAL_HOST, listen
from langchain_videochat.cli.stores import absolute_store, open_store
from langchain_videochat.errors import InputError
from langchain_videochat.mcp.install import CLIENTS, plan_change
from langchain_videochat.utils.optional_dependencies import require_extra

FolderOption = Annotated[
    Path | None,
    typer.Option(
        help="The only folder in which videos may be opened and clips saved. Default: the folders that the client has "
        "opened (its roots), or none with --http."
    ),
]
VideoModelOption = Annotated[
    str | None,
    typer.Option(
        help="Model with video input, which adds the tool *ask_video*: a LangChain chat model, or folder or hub id of "
        "a model for VideoChatEmbed.",
    ),
]


def serve(
    context: typer.Context,
    folder: FolderOption = None,
    store: StoreOption = DEFAULT_STORE,
    model: VideoModelOption = None,
    profile: ProfileOption = DEFAULT_PROFILE,
    embedding: EmbeddingOption = None,
    visual_embedding: VisualEmbeddingOption = None,
    allow_urls: Annotated[bool, typer.Option("--allow-urls", help="Let clients index videos from the web.")] = False,
    http: Annotated[
        bool, typer.Option("--http", help="Serve over HTTP instead of the standard input and output.")
    ] = False,
    host: Annotated[str, typer.Option(help="Address to listen on, with --http.")] = LOCAL_HOST,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = 7861,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="VIDEOCHAT_MCP_TOKEN", help="Token that HTTP clients must send. Default: a random one, printed."
        ),
    ] = None,
) -> None:
    """Serve tools that search, read, view and cut videos to an MCP client. Requires the extra *mcp*.

    Clients such as Claude Code run this command themselves; `videochat mcp install` adds it to their configuration.

    Example: `videochat mcp --folder talks --http`
    """
    if context.invoked_subcommand is not None:
        return
    require_extra("mcp", "the MCP server")
    permitted = None if folder is None else _existing(folder)
    from langchain_videochat.mcp.tool_server import create_server, serve_stdio
    from langchain_videochat.mcp.video_tools import VideoTools

    tools = VideoTools(
        partial(open_store, store, embedding, visual_embedding=visual_embedding, create=True),
        open_model=None if model is None else partial(open_chat_model, model),
        profile=profile,
        allow_urls=allow_urls,
    )
    server = create_server(tools, permitted, accepts_roots=not http)
    if not http:
        serve_stdio(server)
        return
    from langchain_videochat.app.connections import create_server as create_web_server
    from langchain_videochat.app.security import LOCAL_HOSTS
    from langchain_videochat.mcp.http_app import PATH, create_http_app

    secret = token or secrets.token_urlsafe()
    app = create_http_app(server, secret, LOCAL_HOSTS if host == LOCAL_HOST else ("*",))
    with listen(host, port) as listener:
        typer.echo(f"MCP server at http://{host}:{listener.getsockname()[1]}{PATH}. Press Ctrl-C to stop.")
        if token is None:
            typer.echo(f"Clients must send the header Authorization: Bearer {secret}")
        create_web_server(app).run([listener])


def install(
    client: Annotated[str, typer.Option(help=f"The client: {', '.join(CLIENTS)}.")],
    folder: FolderOption = None,
    store: StoreOption = DEFAULT_STORE,
    model: VideoModelOption = None,
    profile: ProfileOption = DEFAULT_PROFILE,
    name: Annotated[str, typer.Option(help="Name of the server in the client.")] = "videochat",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before writing.")] = False,
) -> None:
    """Add the server to the configuration of a client. Shows the change, and asks before writing.

    Claude Code and VS Code get it for the project in the current folder, the others for all projects.

    Example: `videochat mcp install --client claude-desktop --folder talks`
    """
    require_extra("mcp", "the MCP server")
    if client not in CLIENTS:
        raise InputError("--client", f"unknown client {client!r}", f"Choose {', '.join(CLIENTS)}")
    options = {"--folder": folder and _existing(folder), "--store": absolute_store(store), "--model": model}
    if profile != DEFAULT_PROFILE:
        options["--profile"] = Path(profile).absolute() if Path(profile).suffix else profile
    arguments = [str(part) for option, value in options.items() if value for part in (option, value)]
    change = plan_change(CLIENTS[client], name, [*_own_command(), "mcp", *arguments])
    if change.after == change.before:
        typer.echo(f"{change.path} already has it.")
        return
    lines = difflib.unified_diff(
        change.before.splitlines(), change.after.splitlines(), str(change.path), str(change.path), lineterm=""
    )
    typer.echo("\n".join(lines))
    if not yes and not typer.confirm("Write this?"):
        raise typer.Exit(FAILED)
    change.write()
    typer.echo(f"Restart {CLIENTS[client].title} to use the server.")


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise InputError("--folder", f"{folder} is not a folder", "Create it, or use another one")
    return folder.absolute()


def _own_command() -> list[str]:
    """Return the command that starts this program. Clients may have another PATH."""
    script = shutil.which("videochat", path=Path(sys.executable).parent)
    return [script] if script else [sys.executable, "-c", "from langchain_videochat.cli import app; app()"]
