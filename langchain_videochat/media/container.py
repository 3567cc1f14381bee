"""Safe opening of video files: self-contained formats only, and no file other than the requested one."""

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
from langchain_videochat.media.mov_tables import check_tables

if TYPE_CHECKING:
    from typing import IO

VIDEO_FORMATS = ("mov", "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "gif", "apng", "mxf", "rm", "ivf")
"""FFmpeg's names of the accepted containers.

Playlists and scripts (HLS, DASH, concat, image sequences) are not among them, because they make FFmpeg open other files
and addresses; nor are raw streams, which have no timestamps.
"""

MEDIA_FORMATS = (*VIDEO_FORMATS, "wav", "mp3", "flac", "aac", "aiff")
"""FFmpeg's names of the accepted containers, including those without pictures."""

MAX_SIDE = 16_384
MAX_PIXELS = 2**26
"""Maximum size of a frame: eight times 4K. Larger pictures are treated as attempts to exhaust memory."""


@contextmanager
def open_container(path: Path, formats: tuple[str, ...] = VIDEO_FORMATS) -> Iterator[InputContainer]:
    """Open a media file, refusing any file that would make FFmpeg open another.

    Args:
        path: A local file.
        formats: FFmpeg's names of the accepted containers.

    Raises:
        MediaError: The file has none of these formats, or its header is damaged.
    """
    check_tables(path)
    with open_as_file(path) as file:
        options = {
            "protocol_whitelist": "file",
            "format_whitelist": ",".join(formats),
            "fflags": "+genpts",
            # Probing a stream can decode its first frame.
            "max_pixels": str(MAX_PIXELS),
        }
        try:
            container = av.open(file, "r", options=options, metadata_errors="replace")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise MediaError(path, "cannot be read as a video", _advice(path)) from error
        with container:
            yield container


@contextmanager
def open_as_file(path: Path) -> "Iterator[IO[bytes]]":
    """Open a file for FFmpeg.

    An animated WebP, for which PyAV's FFmpeg has no demuxer, is converted to a QuickTime file of PNG frames, so that no
    other code needs to know about WebP.
    """
    with path.open("rb") as file:
        header = file.read(16)
        file.seek(0)
        if not (header.startswith(b"RIFF") and header[8:12] == b"WEBP"):
            yield file
            return
    with tempfile.TemporaryFile() as mov:
        _webp_to_mov(path, cast("IO[bytes]", mov))
        mov.seek(0)
        yield cast("IO[bytes]", mov)


def _webp_to_mov(path: Path, mov: "IO[bytes]") -> None:
    from PIL import Image, ImageSequence

    try:
        with Image.open(path, formats=["WEBP"]) as webp:
            check_size(path, *webp.size)
            if getattr(webp, "n_frames", 1) == 1:
                raise MediaError(path, "this is a still picture", "Give a video or an animated picture")
            with av.open(mov, "w", format="mov") as container:
                stream = container.add_stream("png", rate=1000, options={"compression_level": "1"})
                stream.width, stream.height, stream.pix_fmt = *webp.size, "rgb24"
                stream.codec_context.thread_count = 1  # each further thread would delay the output by one frame
                time = 0
                for image in ImageSequence.Iterator(webp):
                    frame = VideoFrame.from_ndarray(np.asarray(image.convert("RGB")), format="rgb24")
                    frame.pts = time
                    for packet in stream.encode(frame):
                        # At least one millisecond, or two frames would share a timestamp.
                        packet.duration = max(1, round(image.info["duration"]))
                        time += packet.duration
                        container.mux(packet)
    except Image.DecompressionBombError as error:
        problem = f"this WebP is over the limit of {MAX_PIXELS:,} pixels"
        raise MediaError(path, problem, "Scale it down first") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise MediaError(path, "this animated WebP is damaged", "Save it again as a video") from error


def _advice(path: Path) -> str:
    if path.stat().st_size == 0:
        return "The file is empty: copy it again"
    return (
        "It may be incomplete or not a video. If a media player can play it, `ffmpeg -i FILE -c copy NEW.mkv` may "
        "repair it. Playlists and image sequences are not supported"
    )


def video_stream(container: InputContainer, path: Path, track: int) -> VideoStream:
    """Return a video stream, set up to decode frames within the size limits only.

    Raises:
        MediaError: Its frames are too large.
    """
    stream = cast("VideoStream", container.streams[track])
    check_size(path, stream.codec_context.width, stream.codec_context.height)
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    return stream


def check_size(path: Path, width: int, height: int) -> None:
    """Refuse frames that would exhaust memory.

    Raises:
        MediaError: A side is longer than `MAX_SIDE`, the frame has more than `MAX_PIXELS`, or it is empty.
    """
    if min(width, height) < 1:
        problem = f"its frames cannot be read, or they are over the limit of {MAX_PIXELS:,} pixels"
        raise MediaError(path, problem, "Export it again, or scale it down first")
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        limit = f"the limit of {MAX_SIDE} per side and {MAX_PIXELS:,} in total"
        raise MediaError(path, f"frames of {width} x {height} pixels are over {limit}", "Scale it down first")
