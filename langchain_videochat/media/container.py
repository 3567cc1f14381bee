"""Opening video files safely: plain containers only, and no file beside the one that was asked for."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from langchain_videochat.errors import MediaError

if TYPE_CHECKING:
    from typing import IO

VIDEO_FORMATS = ("mov", "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "gif", "apng", "mxf", "rm", "ivf")
"""FFmpeg's names of the containers that are opened: those that hold their own data.

Playlists and scripts (HLS, DASH, concat, image sequences) make FFmpeg open other files and addresses.
"""

MAX_SIDE = 16_384
MAX_PIXELS = 2**26
"""Bounds of a frame in pixels: eight times 4K, beyond which a picture is taken for an attack on the memory."""


@contextmanager
def open_container(path: Path, formats: tuple[str, ...] = VIDEO_FORMATS) -> Iterator[InputContainer]:
    """Open one media file, refusing everything that would make FFmpeg open another.

    Args:
        path: A local file.
        formats: FFmpeg's names of the containers to allow.

    Raises:
        MediaError: The file is no container of these formats, or its head is damaged.
    """
    with open_as_file(path) as file:
        options = {
            "protocol_whitelist": "file",
            "format_whitelist": ",".join(formats),
            "fflags": "+genpts+discardcorrupt",
            # Finding out about a stream can mean to decode its first frame.
            "max_pixels": str(MAX_PIXELS),
        }
        try:
            container = av.open(file, "r", options=options, metadata_errors="replace")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise MediaError(path, "this cannot be read as a video", _advice(path)) from error
        with container:
            yield container


@contextmanager
def open_as_file(path: Path) -> "Iterator[IO[bytes]]":
    """Open a file for FFmpeg; an animated WebP, for which it has no reader, as a QuickTime film of its pictures."""
    with path.open("rb") as file:
        head = file.read(16)
        file.seek(0)
        if not (head.startswith(b"RIFF") and head[8:12] == b"WEBP"):
            yield file
            return
    with tempfile.TemporaryFile() as mov:
        _webp_to_mov(path, cast("IO[bytes]", mov))
        mov.seek(0)
        yield cast("IO[bytes]", mov)


def _webp_to_mov(path: Path, mov: "IO[bytes]") -> None:
    from PIL import Image, ImageSequence

    try:
        with Image.open(path, formats=["WEBP"]) as picture:
            check_size(path, *picture.size)
            if getattr(picture, "n_frames", 1) == 1:
                raise MediaError(path, "this is a still picture", "Give a video or an animated picture")
            with av.open(mov, "w", format="mov") as container:
                stream = container.add_stream("png", rate=1000, options={"compression_level": "1"})
                stream.width, stream.height, stream.pix_fmt = *picture.size, "rgb24"
                stream.codec_context.thread_count = 1  # more would hold back a picture each
                time = 0
                for image in ImageSequence.Iterator(picture):
                    frame = VideoFrame.from_ndarray(np.asarray(image.convert("RGB")), format="rgb24")
                    frame.pts = time
                    for packet in stream.encode(frame):
                        # At least a millisecond each, or two frames would share a time.
                        packet.duration = max(1, round(image.info["duration"]))
                        time += packet.duration
                        container.mux(packet)
    except Image.DecompressionBombError as error:
        raise MediaError(
            path, f"this WebP is over the limit of {MAX_PIXELS:,} pixels", "Scale it down first"
        ) from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise MediaError(path, "this animated WebP is damaged", "Save it again as a video") from error


def _advice(path: Path) -> str:
    if path.stat().st_size == 0:
        return "The file is empty: copy it again"
    return (
        "It may be incomplete or of another kind; a file that a player shows can be saved anew with "
        "`ffmpeg -i FILE -c copy NEW.mkv`; playlists and image sequences are not opened"
    )


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the first stream with moving pictures, ready to decode within our bounds.

    Raises:
        MediaError: There is none (cover art does not count), its codec is unknown, or its frames are too large.
    """
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic and stream.codec_context is not None:
            check_size(path, stream.codec_context.width, stream.codec_context.height)
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            return stream
    raise MediaError(path, "this file has no video stream", "Give a file with moving pictures")


def check_size(path: Path, width: int, height: int) -> None:
    """Refuse frames that would exhaust the memory.

    Raises:
        MediaError: A side is longer than `MAX_SIDE`, the frame has more than `MAX_PIXELS`, or it has none.
    """
    if min(width, height) < 1:
        problem = f"its pictures cannot be read, or they are over the limit of {MAX_PIXELS:,} pixels"
        raise MediaError(path, problem, "Export it again, or scale it down first")
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise MediaError(
            path,
            f"frames of {width} x {height} pixels are over the limit of {MAX_SIDE} a side and {MAX_PIXELS:,} in all",
            "Scale it down first",
        )
