"""References to videos, images and audio in messages, and opening them as local files."""

import base64
import mimetypes
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from langchain_videochat.embed.conversation import NUM_FRAMES
from langchain_videochat.errors import InputError, VideoChatError
from langchain_videochat.media import local_file, local_path
from langchain_videochat.media.sources import is_web_address
from langchain_videochat.utils.interval import Interval

MAX_FRAMES = 512
"""Frames per video in a prompt (1.4 GB at 720p). Catches mistakes, such as 60 `fps` for an hour of video."""

MAX_DATA_BYTES = 2**28
"""Size limit of base64 data in a message (256 MiB). Larger files should be referenced by path."""

DATA_URL = re.compile(r"data:([^;,]+)(?:;[^;]*)*?;base64,", re.IGNORECASE)
"""Prefix of a base64 data URL. Group 1 is the MIME type."""

_STANDARD_ALPHABET = str.maketrans("-_", "+/")
"""Replaces the two characters of the URL-safe alphabet of base64."""


@dataclass(frozen=True)
class MediaRef:
    """A video, image or audio in a message, not yet opened."""

    kind: Literal["video", "image", "audio"]

    source: str
    """A path, or an `http:`, `https:`, `file:` or base64 `data:` URL."""

    interval: Interval = Interval()  # noqa: RUF009 - Interval is frozen
    """The part of a video or audio to process."""

    num_frames: int | None = None
    """Number of frames to sample from a video; `NUM_FRAMES` if neither this nor `fps` is given."""

    fps: float | None = None
    """Frames to sample per second, instead of `num_frames`."""

    allowed_hosts: tuple[str, ...] = field(default=(), repr=False)
    """Hosts in private networks that may be contacted. A setting of the model: a message must not grant access."""

    @property
    def is_local(self) -> bool:
        """Whether the source is a file on this machine."""
        return not is_web_address(self.source) and not DATA_URL.match(self.source)


def count_frames(video: MediaRef, segment: Interval) -> int:
    """Return the number of frames to sample from a segment of a video.

    Raises:
        InputError: `fps` yields more than `MAX_FRAMES`.
    """
    if video.fps is None:
        return NUM_FRAMES if video.num_frames is None else video.num_frames
    count = video.fps * segment.duration
    if count > MAX_FRAMES:
        problem = f"{video.fps} frames per second yield {count:,.0f} frames, more than the limit of {MAX_FRAMES}"
        raise InputError("fps", problem, "Lower fps, or give a shorter interval with start and end")
    return max(1, round(count))


@contextmanager
def opened(media: MediaRef) -> Iterator[Path]:
    """Provide a video, image or audio as a local file. Downloaded or decoded files are deleted when the context ends.

    Raises:
        SourceError: No such file, or the URL is refused or fails.
        MediaError: The file is empty.
        InputError: The base64 data is invalid or too large.
    """
    data = DATA_URL.match(media.source)
    if data is None:
        # Not from object stores: a message must not use the credentials of this machine.
        if not is_web_address(media.source):
            yield local_path(media.source)
            return
        with local_file(media.source, allowed_hosts=media.allowed_hosts) as path:
            yield path
        return
    with tempfile.TemporaryDirectory(prefix="videochat-") as folder:
        path = Path(folder, "data" + (mimetypes.guess_extension(data[1].lower()) or ""))
        path.write_bytes(_decode(media.source[data.end() :]))
        yield path


def file_state(source: str) -> tuple[str, int, int]:
    """Return path, size in bytes and modification time in nanoseconds of a file; -1 and -1 if it does not exist."""
    try:
        path = local_path(source)
        state = path.stat()
    except (VideoChatError, OSError):
        return source, -1, -1
    return str(path), state.st_size, state.st_mtime_ns


def _decode(data: str) -> bytes:
    """Decode base64 of either alphabet, with or without line breaks and padding."""
    if len(data) * 3 // 4 > MAX_DATA_BYTES:
        problem = f"the data exceeds the limit of {MAX_DATA_BYTES / 2**20:,.0f} MiB"
        raise InputError("base64", problem, "Save it as a file and give its path")
    digits = "".join(data.split()).rstrip("=").translate(_STANDARD_ALPHABET)
    try:
        decoded = base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError as error:
        raise InputError("base64", f"the data cannot be decoded ({error})", "Use base64.b64encode") from error
    if not decoded:
        raise InputError("base64", "the data is empty", "Give the bytes of a video or an image")
    return decoded
