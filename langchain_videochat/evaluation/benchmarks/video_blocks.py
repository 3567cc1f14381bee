"""Content blocks for the videos of benchmarks: files, animated GIFs, and folders of frames.

A folder of frames becomes a video that contains its JPEGs unchanged. This takes 0.4 s for 225 frames of 640 x 360.
H.264 would take 1.4 s, lose detail, and be slower to read, because few of its frames are keyframes. Separate image
blocks would lose the temporal relation of the frames.
"""

import base64
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ffmpeg

from langchain_videochat.errors import InputError, MediaError, SourceError
from langchain_videochat.evaluation.benchmarks.items import BenchmarkItem
from langchain_videochat.media import cut_clip, probe
from langchain_videochat.media.ffmpeg import ffmpeg_process, file_argument, input_file
from langchain_videochat.utils.interval import Interval

FRAME_RATE = 3
"""Frames per second of folders of frames in MVBench."""

MAX_BYTES = 64 * 2**20
"""Maximum size of a video that is sent, which base64 makes a third larger."""

_MIME_TYPES = {".mp4": "video/mp4", ".webm": "video/webm"}
"""File types that are sent unchanged; others are converted to MP4."""

Block = dict[str, Any]


@contextmanager
def url_block(item: BenchmarkItem, num_frames: int) -> Iterator[Block]:
    """Provide a content block for a model that samples frames itself: the file's URL, interval and number of frames.

    Raises:
        SourceError: The video is missing.
        MediaError: The video cannot be read, or the interval is not in it.
    """
    with _video_file(item) as path:
        interval = find_interval(item, path)
        extras = {"start": interval.start, "end": interval.end, "num_frames": num_frames}
        yield {"type": "video", "url": path.as_uri(), "mime_type": "video/mp4", "extras": extras}


@contextmanager
def base64_block(item: BenchmarkItem) -> Iterator[Block]:
    """Provide a content block for any other model: the relevant interval as base64.

    If it is too large, it is scaled down to 640 pixels.

    Raises:
        SourceError: The video is missing.
        MediaError: The video cannot be read or is too long to be sent, or the interval is not in it.
    """
    with _video_file(item) as path, tempfile.TemporaryDirectory(prefix="videochat-") as folder:
        interval = find_interval(item, path)
        is_whole = item.start is None and item.end is None
        file = path
        if not is_whole or path.suffix not in _MIME_TYPES:
            file = cut_clip(path, interval.start, interval.end, Path(folder, "clip.mp4"))
        if file.stat().st_size > MAX_BYTES:
            file = cut_clip(path, interval.start, interval.end, Path(folder, "small.mp4"), preview=True)
        if file.stat().st_size > MAX_BYTES:
            problem = f"more than {MAX_BYTES // 2**20} MiB, even at 640 pixels"
            raise MediaError(item.path, problem, "Evaluate a model that reads files, or leave out long videos")
        data = base64.b64encode(file.read_bytes()).decode()
        yield {"type": "video", "base64": data, "mime_type": _MIME_TYPES[file.suffix]}


@contextmanager
def _video_file(item: BenchmarkItem) -> Iterator[Path]:
    """Provide a video as a single file."""
    if item.path is None:
        advice = "Unpack the benchmark's videos in its folder, as its own evaluation code expects them"
        raise SourceError(item.video, "not in the benchmark's folder", advice)
    path = item.path.absolute()
    if not path.is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="videochat-") as folder:
        yield _join_frames(path, Path(folder))


def _join_frames(frames: Path, folder: Path) -> Path:
    """Write a folder of frames as a video: the first frame at 0 s, the next a third of a second later."""
    paths = sorted(frames.glob("*.jpg"))
    if not paths or [path.name for path in paths] != [f"{number:05d}.jpg" for number in range(1, len(paths) + 1)]:
        problem = "frames must be named 00001.jpg, 00002.jpg and so on, without gaps"
        raise MediaError(frames, problem, "Unpack the folder again")
    sequence, video = folder / "frames.mjpeg", folder / "frames.mov"
    with sequence.open("wb") as file:
        file.writelines(path.read_bytes() for path in paths)
    jpegs = input_file(sequence, ("mjpeg",), format="mjpeg", framerate=FRAME_RATE)
    with ffmpeg_process(ffmpeg.output(jpegs, file_argument(video), codec="copy"), frames):
        pass
    return video


def find_interval(item: BenchmarkItem, path: Path) -> Interval:
    """Return the interval of a question's video file.

    Raises:
        MediaError: The video cannot be read, or the interval is not in it.
    """
    start = None if item.start is None else max(0.0, item.start)
    try:
        return Interval.of(start, item.end).within(probe(path).duration)
    except InputError as error:
        problem = f"the question's interval is invalid ({error.subject}: {error.problem})"
        raise MediaError(item.path, problem, "Check that the file is the right video") from error
