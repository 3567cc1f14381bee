"""Results of tools as MCP content: text, images, and links to what was written."""

import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp import types

from langchain_videochat.mcp.written_files import WrittenFiles
from langchain_videochat.utils.untrusted_text import mark_as_data

if TYPE_CHECKING:
    from langchain_core.messages import ToolMessage

LINKS = {"cut_clip": "clip", "write_report": "report"}
"""Names of the links to what tools write. The name of the file may come from the title of a video."""


def to_result(message: "ToolMessage", files: WrittenFiles) -> types.CallToolResult:
    """Convert the result of a tool.

    The artifact is left out, because clients pass structured content on to language models, and its texts are not
    marked as data.

    Args:
        message: The result.
        files: Remembers the file that the tool has written, for the link to it.
    """
    content = message.content
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    converted: list[types.ContentBlock] = [_to_content(block) for block in blocks if isinstance(block, dict)]
    if message.status == "error":
        return types.CallToolResult(content=converted, is_error=True)
    return types.CallToolResult(content=[*converted, *_links(message, files)])


def error_result(text: str) -> types.CallToolResult:
    """Return an error for the language model."""
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=True)


def add_note(result: types.CallToolResult, indexing: dict[str, float]) -> types.CallToolResult:
    """Add to a result which files are being indexed: the video that the model looks for may be one of them."""
    if not indexing:
        return result
    lines = (f"{' '.join(source.split())}: {progress:.0%}" for source, progress in indexing.items())
    text = f"Being indexed now:\n{mark_as_data(chr(10).join(lines))}\nlist_videos returns a video when it is done."
    return result.model_copy(update={"content": [*result.content, types.TextContent(text=text)]})


def _to_content(block: dict[str, Any]) -> types.TextContent | types.ImageContent:
    if block["type"] == "image":
        return types.ImageContent(data=block["base64"], mime_type=block["mime_type"])
    return types.TextContent(text=block["text"])


def _links(message: "ToolMessage", files: WrittenFiles) -> list[types.ResourceLink]:
    name = LINKS.get(message.name or "")
    if name is None:
        return []
    path = Path(message.artifact["path"])
    link = types.ResourceLink(
        uri=files.add(message.artifact["video_id"], path),
        name=name,
        mime_type=mimetypes.guess_type(path.name)[0] or "application/octet-stream",
        size=path.stat().st_size,
        annotations=types.Annotations(audience=["user"]),
    )
    return [link]
