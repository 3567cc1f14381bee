"""MCP clients for tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcp import Client, types
from mcp.server import Server

from langchain_videochat.mcp import VideoTools, create_server
from langchain_videochat.store import VideoTimelineStore

MODES = ("legacy", "auto")
"""Protocols with and without a handshake: up to 2025-11-25, and since 2026-07-28."""


def serve(store: VideoTimelineStore, folder: Path | None = None, *, accepts_roots: bool = False) -> Server[Any]:
    """Create a server of a store, which indexes with the profile "lite"."""
    return create_server(VideoTools(lambda: store, profile="lite"), folder, accepts_roots=accepts_roots)


def connect(server: Server[Any], mode: str = "auto", roots: Sequence[Path] | None = None) -> Client:
    """Connect the official client to a server in this process.

    Args:
        server: The server.
        mode: One of `MODES`.
        roots: The folders that the client's user has opened; None for a client without roots.
    """

    async def list_roots(context: object) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[types.Root(uri=root.as_uri()) for root in roots or ()])  # type: ignore[arg-type]

    return Client(server, mode=mode, list_roots_callback=None if roots is None else list_roots)


async def call(client: Client, tool: str, **arguments: Any) -> str:
    """Call a tool and return its text."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    return text_of(result)


async def error_of(client: Client, tool: str, **arguments: Any) -> str:
    """Call a tool and return its error."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, text_of(result)
    return text_of(result)


def text_of(result: types.CallToolResult) -> str:
    """Return all that a client may pass to a language model as text."""
    parts = [part.model_copy(update={"data": ""}) if part.type == "image" else part for part in result.content]
    return "\n".join(part.text if isinstance(part, types.TextContent) else part.model_dump_json() for part in parts)
