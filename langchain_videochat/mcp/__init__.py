"""An MCP server of the agents' tools, for Claude Code, Codex, IDEs and other clients (Model Context Protocol)."""

from typing import TYPE_CHECKING

from langchain_videochat.utils.lazy import lazy_exports

if TYPE_CHECKING:
    from langchain_videochat.mcp.http_app import create_http_app
    from langchain_videochat.mcp.tool_server import create_server
    from langchain_videochat.mcp.video_tools import VideoTools

__all__ = ["VideoTools", "create_http_app", "create_server"]

_EXPORTS = {
    "http_app": ("create_http_app",),
    "tool_server": ("create_server",),
    "video_tools": ("VideoTools",),
}

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
