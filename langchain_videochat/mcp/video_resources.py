"""Timelines of stored videos, clips and reports, as MCP resources."""

import base64
import mimetypes
import re
from pathlib import Path
from urllib.parse import parse_qsl

from mcp import MCPError, types

from langchain_videochat.errors import InputError, SourceError
from langchain_videochat.mcp.calls import Progress
from langchain_videochat.mcp.video_tools import VideoTools
from langchain_videochat.mcp.written_files import WrittenFiles
from langchain_videochat.utils.timecode import format_timecode
from langchain_videochat.utils.untrusted_text import mark_as_data

PAGE_SIZE = 100
"""Videos in one answer to `resources/list`."""

MAX_BYTES = 20_000_000
"""Bytes of a file that is sent to a client: it arrives in one message, a third larger."""

TIMELINE_TEMPLATE = "video://{video_id}/timeline{?start,end}"

_TIMELINE = re.compile(r"video://([^/?#]+)/timeline/?(?:\?([^#]*))?")


def list_templates() -> list[types.ResourceTemplate]:
    """Return the template of the addresses of timelines."""
    description = "What is seen, said and written on the screen in a video, or in part of it (seconds or mm:ss)"
    return [
        types.ResourceTemplate(
            uri_template=TIMELINE_TEMPLATE, name="timeline", description=description, mime_type="text/plain"
        )
    ]


class VideoResources:
    """The resources of a server.

    Args:
        tools: The tools, and the store that they work on.
        files: The clips and reports that the tools have written.
    """

    def __init__(self, tools: VideoTools, files: WrittenFiles) -> None:
        self._tools = tools
        self._files = files

    def list(self, cursor: str | None) -> types.ListResourcesResult:
        """List the timelines, newest video first.

        Args:
            cursor: The `next_cursor` of the page before; None for the first one.

        Raises:
            MCPError: The cursor is invalid.
            VideoChatError: The store cannot be read.
        """
        if cursor is not None and not re.fullmatch("[0-9]{1,9}", cursor):
            raise MCPError(types.INVALID_PARAMS, "Invalid cursor")
        first = int(cursor or 0)
        records = self._tools.store.videos()[::-1]
        resources = [
            types.Resource(
                uri=f"video://{one.video_id}/timeline",
                name=f"Timeline of {one.video_id} ({format_timecode(one.duration)})",
                description=mark_as_data(" ".join(one.title.split())),
                mime_type="text/plain",
            )
            for one in records[first : first + PAGE_SIZE]
        ]
        rest = str(first + PAGE_SIZE) if len(records) > first + PAGE_SIZE else None
        return types.ListResourcesResult(resources=resources, next_cursor=rest)

    def is_file(self, address: str) -> bool:
        """Return whether an address is that of a clip or a report."""
        return self._files.find(address) is not None

    def read(self, address: str, folders: tuple[Path, ...], progress: Progress) -> types.ReadResourceResult:
        """Read a timeline, clip or report.

        Args:
            address: Its address.
            folders: The folders that the client may access.
            progress: As in `VideoTools.call`.

        Raises:
            MCPError: There is no such timeline.
            InputError: There is no such resource, or it is too large.
            SourceError: The file is not in one of the folders, or was deleted.
        """
        if (path := self._files.find(address)) is not None:
            return _read_file(address, path, folders)
        if (parts := _TIMELINE.fullmatch(address)) is None:
            raise InputError(address[:200], "unknown resource", "Use video://VIDEO_ID/timeline, or a link from a tool")
        query = dict(parse_qsl(parts[2] or ""))
        times = {name: query[name] for name in ("start", "end") if name in query}
        message = self._tools.call("video_chat_text", {"video_id": parts[1], **times}, (), progress)
        text = str(message.text)
        if message.status == "error":
            raise MCPError(types.INVALID_PARAMS, text)
        return _to_resource(types.TextResourceContents(uri=address, text=text, mime_type="text/plain"))


def _read_file(address: str, path: Path, folders: tuple[Path, ...]) -> types.ReadResourceResult:
    from langchain_videochat.text.agent_files import AgentFiles

    if not folders:
        raise SourceError(path, "you cannot access any files", "Tell the user to start this server with --folder")
    with AgentFiles(folders[0], more_roots=folders[1:]).local_file(str(path)) as opened:
        size = opened.stat().st_size
        if size > MAX_BYTES:
            problem = f"has {size / 1e6:.0f} MB, more than the {MAX_BYTES / 1e6:.0f} MB that can be sent"
            raise InputError(path, problem, "Open the file itself")
        content = base64.b64encode(opened.read_bytes()).decode()
    kind = mimetypes.guess_type(path.name)[0]
    return _to_resource(types.BlobResourceContents(uri=address, blob=content, mime_type=kind))


def _to_resource(content: types.TextResourceContents | types.BlobResourceContents) -> types.ReadResourceResult:
    return types.ReadResourceResult(contents=[content])
