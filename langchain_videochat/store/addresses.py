"""The addresses of a video: files and web addresses that have its content."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field
from typing import Self

from langchain_videochat.errors import VideoChatError
from langchain_videochat.media import local_path
from langchain_videochat.media.sources import absolute_source, file_path, is_remote_address

MAX_SOURCES = 20
"""Sources that a record keeps: enough for all machines that share a store and all copies that people keep."""


@dataclass(frozen=True)
class VideoSource:
    """A file, or a web address, with the content of a video. It may be on another machine."""

    address: str
    """Absolute path or URL."""

    sidecars: str = ""
    """Fingerprint of the subtitle files beside it when it was last indexed; empty if there were none."""

    title: str = field(default="", compare=False)
    """The container's title, or the name of the file without its extension; empty if it was not read there."""

    @classmethod
    def of(cls, source: str, sidecars: str = "", title: str = "") -> Self:
        """Build one from a path or URL as the user gave it.

        Example:
            >>> VideoSource.of("https://example.org/eggs.mp4").address
            'https://example.org/eggs.mp4'
        """
        return cls(absolute_source(source), sidecars, title)


def choose_source(sources: Sequence[VideoSource], exists: Callable[[str], bool]) -> VideoSource:
    """Return the source that readers of a video get: the first that exists on this machine, else the latest.

    The first source is the file that the timeline was made from. Another copy takes its place only when it is gone, so
    that copies do not replace each other.

    Example:
        >>> moved = [VideoSource("/films/eggs.mp4"), VideoSource("/archive/eggs.mp4")]
        >>> choose_source(moved, lambda address: address.startswith("/archive")).address
        '/archive/eggs.mp4'
    """
    return next((one for one in sources if exists(one.address)), sources[-1])


def add_source(
    sources: Sequence[VideoSource], source: VideoSource, exists: Callable[[str], bool]
) -> tuple[VideoSource, ...]:
    """Return sources with one added, or updated if its address is among them.

    Without room, it replaces the oldest one that does not exist on this machine; if all exist, it is left out.

    Example:
        >>> one, other = VideoSource("/films/eggs.mp4"), VideoSource("/archive/eggs.mp4", sidecars="3f")
        >>> add_source([one], other, lambda _: True) == (one, other)
        True
    """
    if any(one.address == source.address for one in sources):
        return tuple(source if one.address == source.address else one for one in sources)
    kept = list(sources)
    if len(kept) >= MAX_SOURCES:
        missing = next((one for one in kept if not exists(one.address)), None)
        if missing is None:
            return tuple(kept)
        kept.remove(missing)
    return (*kept, source)


def put_first(sources: Sequence[VideoSource], first: VideoSource) -> tuple[VideoSource, ...]:
    """Return sources with one before all others: the file that a new timeline was made from.

    Without room, the oldest of the others is left out.

    Example:
        >>> one, other = VideoSource("/films/eggs.mp4"), VideoSource("/archive/eggs.mp4")
        >>> put_first([one, other], other) == (other, one)
        True
    """
    others = [one for one in sources if one.address != first.address]
    return first, *others[-(MAX_SOURCES - 1) :]


def dump_sources(sources: Sequence[VideoSource]) -> str:
    """Serialize sources to JSON, for Chroma and SQLite."""
    return json.dumps([astuple(one) for one in sources])


def load_sources(text: str) -> tuple[VideoSource, ...]:
    """Parse the output of `dump_sources`."""
    return tuple(VideoSource(*one) for one in json.loads(text))


def is_file_here(address: str) -> bool:
    """Return whether an address is a file on this machine."""
    try:
        local_path(address)
    except VideoChatError:
        return False
    return True


def is_deleted(address: str) -> bool:
    """Return whether a file is missing although its folder exists: it was not on another machine.

    Example:
        >>> is_deleted("no such file.mp4"), is_deleted("/no such folder/talk.mp4")
        (True, False)
    """
    if is_remote_address(address) or is_file_here(address):
        return False
    return os.path.isdir(os.path.dirname(os.path.abspath(file_path(address))))
