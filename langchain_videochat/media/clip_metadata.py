"""Metadata of clips: the description and the chapters of the video, cut to an interval."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.container import InputContainer

from langchain_videochat.media.container import open_container
from langchain_videochat.media.index import MediaIndex
from langchain_videochat.media.info import MAX_TITLE_LENGTH
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.plain_text import plain_line

if TYPE_CHECKING:
    from av.container.core import Chapter

MAX_LENGTH = 1000
"""Maximum characters of a tag."""

_TAGS = ("title", "artist", "album", "date", "copyright", "comment", "description")
"""Tags that describe each part of a video as well. Others, such as a location or a time of recording, may be private or
wrong for a part."""

_MILLISECOND = Fraction(1, 1000)


def write_metadata(path: Path, index: MediaIndex, interval: Interval, target: Path) -> None:
    """Write the metadata of a clip, in FFmpeg's text format.

    Args:
        path: The video.
        index: Its index.
        interval: The interval; its start becomes time 0.
        target: The file to write.

    Raises:
        MediaError: The video cannot be opened.
    """
    with open_container(path) as source, av.open(target, "w", format="ffmetadata") as output:
        given = {name.lower(): plain_line(value, MAX_LENGTH) for name, value in source.metadata.items()}
        output.metadata.update({name: given[name] for name in _TAGS if given.get(name)})
        # Chapters have timestamps, which are times only if no parts were joined.
        output.set_chapters(list(_cut_chapters(source, interval, index.start_time)) if index.is_continuous else [])
        output.start_encoding()


def _cut_chapters(source: InputContainer, interval: Interval, start_time: float) -> "Iterator[Chapter]":
    for chapter in source.chapters():
        unit = float(chapter["time_base"] or 0)
        start = max(chapter["start"] * unit - start_time, interval.start) - interval.start
        end = min(chapter["end"] * unit - start_time, interval.end) - interval.start
        if start < end:
            yield {
                "id": chapter["id"],
                "start": round(start * 1000),
                "end": round(end * 1000),
                "time_base": _MILLISECOND,
                "metadata": {"title": plain_line(chapter["metadata"].get("title", ""), MAX_TITLE_LENGTH)},
            }
