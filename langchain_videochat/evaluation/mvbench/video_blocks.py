"""The videos of MVBench as a chat model is shown them: files, animated GIFs, and folders of frames.

A folder of frames becomes one video, whose frames are its JPEGs as they are. 225 of 640 x 360 take 0.4 s; H.264 would
take 1.4 s, lose detail, and be read more slowly, as only some of its frames are key frames. Shown as several images,
they would be no video to a model: it could relate none to the others in time.
"""

import base64
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ffmpeg

from langchain_videochat.embed.conversation import Stretch, find_stretch
from langchain_videochat.errors import InputError, MediaError, SourceError
from langchain_videochat.evaluation.mvbench.dataset import Item
from langchain_videochat.media import cut_clip, probe
from langchain_videochat.media.ffmpeg import input_file, running

FRAMES_A_SECOND = 3
"""Of a folder of frames, in MVBench."""

_MIME_TYPES = {".mp4": "video/mp4", ".webm": "video/webm"}
"""Kinds of files that are sent as they are; all others become MP4."""

Block = dict[str, Any]


@contextmanager
def shown_by_address(item: Item, num_frames: int) -> Iterator[Block]:
    """Provide a content block for a model of this machine: the file's address, the stretch, the number of frames.

    Raises:
        SourceError: There is no such video.
        MediaError: It cannot be read, or has no such stretch.
    """
    with _playable(item) as path:
        stretch = _find_stretch(item, path)
        extras = {"start": stretch.start, "end": stretch.end, "num_frames": num_frames}
        yield {"type": "video", "url": path.as_uri(), "mime_type": "video/mp4", "extras": extras}


@contextmanager
def shown_by_data(item: Item) -> Iterator[Block]:
    """Provide a content block for a model elsewhere: nothing but what it is to see, as base64.

    Raises:
        SourceError: There is no such video.
        MediaError: It cannot be read, or has no such stretch.
    """
    with _playable(item) as path, tempfile.TemporaryDirectory(prefix="videochat-") as folder:
        stretch = _find_stretch(item, path)
        is_whole = item.start is None and item.end is None
        sent = path
        if not is_whole or path.suffix not in _MIME_TYPES:
            sent = cut_clip(path, stretch.start, stretch.end, Path(folder, "clip.mp4"))
        data = base64.b64encode(sent.read_bytes()).decode()
        yield {"type": "video", "base64": data, "mime_type": _MIME_TYPES[sent.suffix]}


@contextmanager
def _playable(item: Item) -> Iterator[Path]:
    """Provide a video as one file."""
    if item.path is None:
        advice = "Unpack MVBench's videos so that they lie as its own evaluation has them, below the folder video"
        raise SourceError(item.video, "there is no such video in its task's folder", advice)
    path = item.path.absolute()
    if not path.is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="videochat-") as folder:
        yield _join_frames(path, Path(folder))


def _join_frames(frames: Path, folder: Path) -> Path:
    """Write a folder of frames as a video: the first is shown at 0 s, the next a third of a second later."""
    paths = sorted(frames.glob("*.jpg"))
    if not paths or [path.name for path in paths] != [f"{number:05d}.jpg" for number in range(1, len(paths) + 1)]:
        raise MediaError(frames, "its frames are not 00001.jpg, 00002.jpg and so on", "Unpack it again")
    sequence, video = folder / "frames.mjpeg", folder / "frames.mov"
    with sequence.open("wb") as file:
        file.writelines(path.read_bytes() for path in paths)
    pictures = input_file(sequence, ("mjpeg",), format="mjpeg", framerate=FRAMES_A_SECOND)
    with running(ffmpeg.output(pictures, f"file:{video}", codec="copy"), frames):
        pass
    return video


def _find_stretch(item: Item, path: Path) -> Stretch:
    start = None if item.start is None else max(0.0, item.start)
    try:
        return find_stretch(probe(path).duration, start, item.end)
    except InputError as error:
        raise MediaError(item.path, error.problem, "Check that it is the video that the question is about") from error
