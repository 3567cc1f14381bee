"""Videos and images that messages show: what is asked for, and opening it."""

import base64
import mimetypes
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from langchain_videochat.embed.conversation import (
    NUM_FRAMES,
    Image,
    Stretch,
    Video,
    find_stretch,
    read_image,
    read_stretches,
)
from langchain_videochat.errors import InputError, VideoChatError
from langchain_videochat.media import local_file, local_path, probe
from langchain_videochat.media.sources import is_web_address

MAX_FRAMES = 512
"""Frames of one video in a prompt: those of 720p take 1.4 GB. A limit for slips, such as 60 `fps` of an hour."""

MAX_DATA_BYTES = 2**28
"""Bytes that a message may carry as base64: a quarter of a GiB. Larger files are better named than carried."""

DATA_ADDRESS = re.compile(r"data:([^;,]+)(?:;[^;,]*)*;base64,", re.IGNORECASE)
"""How an address begins that is followed by base64; its group is the MIME type."""


@dataclass(frozen=True)
class MediaRef:
    """A video or an image that a message shows, not yet opened."""

    kind: Literal["video", "image"]

    source: str
    """A path, or an `http:`, `https:`, `file:` or base64 `data:` address."""

    start: float | None = None
    """Seconds from the start of a video, at which what is shown of it begins."""

    end: float | None = None
    """Seconds at which it ends."""

    num_frames: int | None = None
    """How many frames are shown of a video; `NUM_FRAMES` if neither this nor `fps` is given."""

    fps: float | None = None
    """Instead of their number, how many a second."""

    allowed_hosts: tuple[str, ...] = field(default=(), repr=False)
    """Hosts that may be visited for it although they lie in a private network: no message can say so."""

    @property
    def is_local(self) -> bool:
        """Whether it is a file of this machine."""
        return not is_web_address(self.source) and not DATA_ADDRESS.match(self.source)


def read_visual(visual: MediaRef) -> Video | Image:
    """Open what a message shows. What is fetched or decoded for it lies on the disk only while it is read.

    Args:
        visual: Of an image, the first picture is taken.

    Raises:
        SourceError: There is no such file, or the address is refused or fails.
        MediaError: It cannot be read as what it is called.
        InputError: Its data is no base64 or too large, the video has no such stretch, or too many frames are asked for.
    """
    with opened(visual) as path:
        if visual.kind == "image":
            return read_image(path)
        stretch = find_stretch(probe(path).duration, visual.start, visual.end)
        return next(read_stretches(path, [stretch], count_frames(visual, stretch)))


def count_frames(video: MediaRef, stretch: Stretch) -> int:
    """Tell how many frames of a stretch of a video are to be shown.

    Raises:
        InputError: They are too many.
    """
    if video.fps is None:
        return NUM_FRAMES if video.num_frames is None else video.num_frames
    count = video.fps * (stretch.end - stretch.start)
    if count > MAX_FRAMES:
        advice = f"Ask for {MAX_FRAMES} at most: fewer a second, or of a shorter stretch"
        raise InputError("fps", f"{video.fps} a second are {count:,.0f} frames here", advice)
    return max(1, round(count))


@contextmanager
def opened(visual: MediaRef) -> Iterator[Path]:
    """Provide what a message shows as a file, for as long as the context lasts.

    Raises:
        SourceError: There is no such file, or the address is refused or fails.
        MediaError: The file is empty.
        InputError: The data is no base64 or too large.
    """
    data = DATA_ADDRESS.match(visual.source)
    if data is None:
        with local_file(visual.source, allowed_hosts=visual.allowed_hosts) as path:
            yield path
        return
    with tempfile.TemporaryDirectory(prefix="videochat-") as folder:
        path = Path(folder, "data" + (mimetypes.guess_extension(data[1].lower()) or ""))
        path.write_bytes(_decode(visual.source[data.end() :]))
        yield path


def _decode(data: str) -> bytes:
    if len(data) * 3 // 4 > MAX_DATA_BYTES:
        problem = f"it is larger than the limit of {MAX_DATA_BYTES / 2**20:,.0f} MiB"
        raise InputError("base64", problem, "Save it as a file and give that file's address")
    try:
        decoded = base64.b64decode(data, validate=True)
    except ValueError as error:
        advice = "Encode it with base64.b64encode, without blanks and line breaks"
        raise InputError("base64", f"it cannot be decoded ({error})", advice) from error
    if not decoded:
        raise InputError("base64", "there is nothing in it", "Give the bytes of a video or an image")
    return decoded


def file_state(source: str) -> tuple[str, int, int]:
    """Tell path, size in bytes and time of the last change in nanoseconds of a file; -1 and -1 if there is none."""
    try:
        path = local_path(source)
        state = path.stat()
    except (VideoChatError, OSError):
        return source, -1, -1
    return str(path), state.st_size, state.st_mtime_ns
