"""Videos that messages bring along: content blocks, and a path in the result of a tool."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage

from langchain_videochat.media.sources import VIDEO_SUFFIXES

AMBIGUOUS_SUFFIXES = {".gif", ".webp", ".ts", ".mts"}
"""Suffixes that mostly belong to other files in the results of tools: pictures and TypeScript."""

NAMED_SUFFIXES = tuple(one for one in VIDEO_SUFFIXES if one not in AMBIGUOUS_SUFFIXES)
"""Suffixes of the paths that are taken for videos."""

MAX_TEXT_LENGTH = 100_000
"""Characters of a tool's result in which a path is looked for."""

MAX_NAMES = 100
"""Names in a tool's result that are looked up."""

_DATA_URL = re.compile(r"data:([^;,]*)[^,]*;base64,", re.IGNORECASE)
# Paths with blanks are quoted, or take a line of their own.
_NAMES = re.compile(r"\"([^\"\n]+)\"|'([^'\n]+)'|`([^`\n]+)`|(\S+)")


@dataclass(frozen=True)
class Attachment:
    """A video in a message: an address or data, or neither if the block is invalid."""

    source: str = ""
    """Path or URL."""

    data: str = ""
    """Content of the file in base64."""

    mime_type: str = ""
    """Type of the data, for example video/mp4."""

    filename: str = ""
    """Name of the file that the data come from."""


def attached_videos(message: BaseMessage) -> Iterator[tuple[str, Attachment]]:
    """Yield the videos in the content blocks of a message from the user or a tool, each with its key."""
    if isinstance(message, HumanMessage | ToolMessage) and not isinstance(message.content, str):
        for number, block in enumerate(message.content):
            if (attachment := read_attachment(block)) is not None:
                yield block_key(message, number), attachment


def named_videos(message: ToolMessage, resolve: Callable[[str], str | None]) -> Iterator[tuple[str, Attachment]]:
    """Yield the video whose path is in the result of a tool, with its key, if there is exactly one.

    Several paths are a listing: the agent decides which of these videos to open.

    Args:
        message: The result.
        resolve: Returns the source of the video that a path refers to, or None if there is none.
    """
    if message.status == "success":
        found = {source for name in _names(message.text) if (source := resolve(name)) is not None}
        if len(found) == 1:
            yield path_key(message), Attachment(source=found.pop())


def block_key(message: BaseMessage, number: int) -> str:
    """Return the key of the video in a content block of a message."""
    return f"{message.id}:{number}"


def path_key(message: BaseMessage) -> str:
    """Return the key of the video whose path is in the text of a message."""
    return f"{message.id}:path"


def message_id(key: str) -> str:
    """Return the id of the message that a key belongs to."""
    return key.rpartition(":")[0]


def is_named_as_video(name: str) -> bool:
    """Return whether a name ends like that of a video.

    Example:
        >>> is_named_as_video("Talk.MP4"), is_named_as_video("index.ts")
        (True, False)
    """
    return name.lower().endswith(NAMED_SUFFIXES)


def read_attachment(block: Any) -> Attachment | None:
    """Parse a content block in LangChain's format (v1 or v0), or that of OpenAI, Gemini or Qwen.

    Returns:
        The video; None if it is another block.

    Example:
        >>> read_attachment({"type": "video", "url": "file:///films/eggs.mp4"}).source
        'file:///films/eggs.mp4'
        >>> read_attachment({"type": "text", "text": "Which dish is this?"})
    """
    if not isinstance(block, Mapping):
        return None
    kind = str(block.get("type"))
    # OpenAI nests the fields, and some servers take the address itself in their place.
    inner = block.get("file" if kind == "file" else "video_url")
    fields = {**block, **(inner if isinstance(inner, Mapping) else {"url": inner} if inner else {})}
    address = next((str(fields[key]) for key in ("url", "file_uri", "video", "file_data") if fields.get(key)), "")
    data_url = _DATA_URL.match(address)
    mime_type = str(fields.get("mime_type") or (data_url[1] if data_url else "")).lower()
    if kind not in {"video", "video_url"} and not (kind in {"file", "media"} and mime_type.startswith("video/")):
        return None
    data = address[data_url.end() :] if data_url else str(fields.get("base64") or fields.get("data") or "")
    return Attachment("" if data_url else address, data, mime_type, _filename(fields))


def _filename(fields: Mapping[str, Any]) -> str:
    extras = fields.get("extras")
    return str(fields.get("filename") or (extras.get("filename") if isinstance(extras, Mapping) else None) or "")


def _names(text: str) -> Iterator[str]:
    lines = text[:MAX_TEXT_LENGTH].splitlines()
    words = (next(filter(None, match)) for line in lines for match in _NAMES.findall(line))
    names = (name.strip().rstrip(".,;:)]}") for names in (lines, words) for name in names)
    yield from islice(filter(is_named_as_video, names), MAX_NAMES)
