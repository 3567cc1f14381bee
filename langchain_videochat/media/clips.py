"""Clips and thumbnails."""

import io
import logging
import math
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ffmpeg

from langchain_videochat.errors import InputError, MediaError
from langchain_videochat.media.container import VIDEO_FORMATS, open_container, video_stream
from langchain_videochat.media.ffmpeg import align_audio, ffmpeg_process, input_file, seek_options
from langchain_videochat.media.frames import sample_frames
from langchain_videochat.media.index import MediaIndex, index_media
from langchain_videochat.media.intermediate import write_intermediate
from langchain_videochat.media.isolation import isolatable
from langchain_videochat.media.sources import local_path
from langchain_videochat.media.tracks import choose_audio, choose_video, has_audio
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.progress import video_progress

logger = logging.getLogger(__name__)

_H264 = {"vcodec": "libx264", "preset": "veryfast", "crf": 20, "pix_fmt": "yuv420p", "acodec": "aac"}
_VP9 = {"vcodec": "libvpx-vp9", "deadline": "realtime", "cpu-used": 8, "row-mt": 1, "crf": 32, "video_bitrate": 0}

ENCODINGS: dict[str, dict[str, Any]] = {
    ".mp4": {**_H264, "movflags": "+faststart"},
    ".mkv": _H264,
    ".webm": {**_VP9, "pix_fmt": "yuv420p", "acodec": "libopus"},
    ".gif": {},
}
"""ffmpeg options for each supported suffix of a clip."""

_PREVIEW = {"crf": 28, "audio_bitrate": "64k"}
_PREVIEW_SIDE = 640

_PROGRESS = re.compile(rb"out_time_us=(\d+)\s*")
"""ffmpeg's report of the microseconds written so far."""

# Clips have a constant frame rate, so that a frame shown for long is repeated. At a lower rate than the minimum, cuts
# would be visibly late.
_MIN_FRAME_RATE = 12.5
_MAX_FRAME_RATE = 60
_GIF_FRAME_RATE = 12.5
_GIF_SIDE = 480


def cut_clip(
    source: str | Path,
    start: float,
    end: float,
    output: str | Path,
    *,
    overwrite: bool = False,
    preview: bool = False,
    show_progress: bool = False,
) -> Path:
    """Write an interval of a video to a file.

    The clip is encoded again, so that it starts with the frame displayed at `start`, not at the keyframe before it. The
    file appears under its name when it is complete.

    Args:
        source: A local file.
        start: Time in seconds.
        end: Seconds; the end of the video if later than that.
        output: The file to write: .mp4 or .mkv (H.264, AAC), .webm (VP9, Opus) or .gif (silent, at most 480 pixels).
        overwrite: Whether to replace an existing file.
        preview: Whether to write a smaller .mp4 or .mkv, of at most 640 pixels and 2 to 50 KB per second.
        show_progress: Whether to show a progress bar.

    Returns:
        `output` as a path.

    Raises:
        SourceError: The source does not exist.
        MediaError: The source cannot be decoded, or ffmpeg lacks the encoder.
        InputError: The times are invalid or outside the video, or `output` cannot be written.

    Example:
        >>> cut_clip("talk.mp4", 12.0, 15.5, "answer.mp4")  # doctest: +SKIP
        PosixPath('answer.mp4')
    """
    path, target = local_path(source), Path(output)
    _check_output(path, target, overwrite)
    if end == math.inf:
        raise InputError("end", "must be finite, got inf", "Give a time in seconds")
    index = index_media(path)
    interval = Interval.of(start, end).within(index.duration)
    try:
        # A temporary folder beside the output is on the same disk, so that the finished file is moved, not copied.
        folder = tempfile.TemporaryDirectory(prefix=".videochat-", dir=target.absolute().parent)
    except OSError as error:
        raise InputError(target, f"cannot be written ({error.strerror})", "Choose another folder") from error
    with folder:
        unfinished = Path(folder.name, "clip" + target.suffix.lower())
        with video_progress(target.name, interval.duration, show=show_progress) as advance_to:
            _write(path, index, interval, unfinished, preview, advance_to)
        unfinished.replace(target)
    return target


@isolatable
def thumbnail(source: str | Path, time: float, *, width: int = 320) -> bytes:
    """Return the frame displayed at a time as a JPEG.

    Args:
        source: A local file.
        time: Time in seconds.
        width: Width in pixels; a smaller frame is not enlarged.

    Raises:
        SourceError: The file does not exist.
        MediaError: The file has no video stream, or the frame cannot be decoded.
        InputError: The time is outside the video, or the width is not positive.
    """
    from PIL import Image

    path = local_path(source)
    if width < 1:
        raise InputError("width", f"must be positive, got {width}", "Give a number of pixels")
    duration = index_media(path).duration
    if not 0 <= time <= duration:
        raise InputError("time", f"must be between 0 and {duration:.3f}, got {time}", "Give a time in seconds")
    for batch in sample_frames(path, times=[time], mode="exact"):
        picture = Image.fromarray(batch.frames[0])
        picture.thumbnail((width, picture.height), Image.Resampling.LANCZOS)
        jpeg = io.BytesIO()
        picture.save(jpeg, "JPEG", quality=85)
        return jpeg.getvalue()
    raise MediaError(path, f"there is no frame at {time} seconds", "Choose another time")


def _check_output(path: Path, target: Path, overwrite: bool) -> None:
    if target.suffix.lower() not in ENCODINGS:
        raise InputError(target, "unsupported clip format", f"Use one of {', '.join(ENCODINGS)}")
    if target.is_dir() or (target.exists() and target.samefile(path)):
        raise InputError(target, "is a folder or the video itself", "Choose another name")
    if target.exists() and not overwrite:
        raise InputError(target, "this file already exists", "Choose another name, or allow overwriting")


def _write(
    path: Path, index: MediaIndex, interval: Interval, target: Path, preview: bool, advance_to: Callable[[float], None]
) -> None:
    if index.is_continuous:
        try:
            return _encode(_command(path, index, interval, target, preview), path, advance_to)
        except MediaError as error:
            logger.info("%s: ffmpeg cannot cut it: %s", path, error)
    # ffmpeg joins timestamps differently, and fails if one of the streams is damaged.
    rate = min(index.streams[choose_video(path, index)].frame_rate or _MIN_FRAME_RATE, _MAX_FRAME_RATE)
    file = target.with_name("intermediate.mkv")
    write_intermediate(path, interval, rate, file, has_audio=has_audio(index))
    whole = Interval(0.0, interval.duration)
    return _encode(_command(file, index_media(file), whole, target, preview), path, advance_to)


def _encode(command: Any, path: Path, advance_to: Callable[[float], None]) -> None:
    with ffmpeg_process(command.global_args("-progress", "pipe:1"), path) as progress:
        for line in progress:
            if written := _PROGRESS.fullmatch(line):
                advance_to(int(written[1]) / 1e6)


def _command(path: Path, index: MediaIndex, interval: Interval, target: Path, preview: bool) -> Any:
    video_track = choose_video(path, index)
    with open_container(path) as container:
        stream = video_stream(container, path, video_track)
        rate = float(stream.guessed_rate or stream.average_rate or _MIN_FRAME_RATE)
    start, duration = index.start_time + interval.start, interval.duration
    first_frame = index.start_time + index.streams[video_track].displayed_time(interval.start)
    media = input_file(path, VIDEO_FORMATS, **seek_options(min(start, first_frame)))
    is_gif = target.suffix == ".gif"
    rate = _GIF_FRAME_RATE if is_gif else min(max(rate, _MIN_FRAME_RATE), _MAX_FRAME_RATE)
    # Frames from before the start are kept up to here: "fps" shows the last of them until the next one appears.
    video = media[str(video_track)].filter("setpts", f"max(PTS-{start:.6f}/TB,0)")
    # If the pictures have ended by then, one more lets "fps" show the last.
    video = video.filter("tpad", stop=1, stop_mode="clone").filter("fps", rate, start_time=0)
    video = video.filter("tpad", stop=-1, stop_mode="clone").filter("trim", end=f"{duration:.6f}")
    if preview:
        video = _scale_down(video, _PREVIEW_SIDE)
    streams = [_to_gif(video) if is_gif else video.filter("crop", "trunc(iw/2)*2", "trunc(ih/2)*2")]
    if has_audio(index) and not is_gif:
        audio_track = choose_audio(path, index)
        audio = align_audio(media[str(audio_track)].filter("atrim", start=f"{start:.6f}"), start)
        streams.append(audio.filter("apad").filter("atrim", end=f"{duration:.6f}"))
    options = {"map_metadata": -1, "map_chapters": -1, **ENCODINGS[target.suffix], **(_PREVIEW if preview else {})}
    return ffmpeg.output(*streams, f"file:{target}", **options)


def _to_gif(video: Any) -> Any:
    # One palette per frame: a palette for all frames would keep the whole clip in memory.
    copies = _scale_down(video, _GIF_SIDE).filter_multi_output("split")
    return ffmpeg.filter([copies[0], copies[1].filter("palettegen", stats_mode="single")], "paletteuse", new=1)


def _scale_down(video: Any, side: int) -> Any:
    return video.filter("scale", f"min(iw,{side})", f"min(ih,{side})", force_original_aspect_ratio="decrease")
