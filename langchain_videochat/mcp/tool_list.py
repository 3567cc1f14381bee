"""The list of the tools, read from a file: importing the tools takes seconds, and clients wait for the list."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from mcp import types

TOOLS = Path(__file__).parent / "tools.json"
"""Names, descriptions and arguments of all tools, with and without a folder: `python -m tests.mcp_tools` writes it."""

WRITING = {"index_video", "cut_clip", "write_report"}
"""Tools that write to the store or to files. None overwrites or deletes anything."""


def list_tools(*, has_folder: bool, has_model: bool) -> list[types.Tool]:
    """Return the tools of a server.

    Args:
        has_folder: Whether they may access files in a folder.
        has_model: Whether there is a model for the tool `ask_video`.

    Example:
        >>> [tool.name for tool in list_tools(has_folder=False, has_model=False)]
        ['list_videos', 'search_videos', 'video_chat_text', 'view_frames']
    """
    listed = _read()["with_folder" if has_folder else "without_folder"]
    return [_to_tool(one) for one in listed if has_model or one["name"] != "ask_video"]


@cache
def _read() -> dict[str, list[dict[str, Any]]]:
    tools: dict[str, list[dict[str, Any]]] = json.loads(TOOLS.read_text(encoding="utf-8"))
    return tools


def _to_tool(described: dict[str, Any]) -> types.Tool:
    name = described["name"]
    return types.Tool(
        name=name,
        title=name.replace("_", " ").capitalize(),
        description=described["description"],
        input_schema=described["parameters"],
        annotations=types.ToolAnnotations(read_only_hint=name not in WRITING, destructive_hint=False),
    )
