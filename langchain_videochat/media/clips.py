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
import numpy as np

from langchain_videochat.errors import InputError, MediaError
from langchain_videochat.media.clip_additions import SUBTITLE_FORMATS, ClipAdditions
from langchain_videochat.media.container import VIDEO_FORMATS, open_container, video_stream
from langchain_videochat.media.ffmpeg import align_audio, ffmpeg_process, file_argument, input_file, seek_options
from langchain_videochat.media.frames import sample_frames
from langchain_videochat.media.index import MediaIndex, index_media
from langchain_videochat.media.info import StreamInfo
from langchain_videochat.media.intermediate import write_intermediate
from langchain_videochat.media.isolation import isolatable
from langchain_videochat.media.probe import probe
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
# The frame size of H.264 level 5.2: hardware decodes no larger ones, and encoding them takes gigabytes.
_MAX_PIXELS = 36_864 * 16**2

# ffmpeg holds the silence of a gap in memory.
_MAX_SILENT_SECONDS = 60.0

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
    file appears under its name when it is complete. Frames of more than 9.4 megapixels are scaled down to that size,
    the largest that players decode in hardware.

    Subtitle tracks, chapters, titles and languages are kept, except in a .gif. Text subtitles are converted if the
    format requires it; pictures that it cannot hold are left out, and logged: an .mp4 holds those of DVDs, an .mkv also
    those of Blu-rays and broadcasts, a .webm none.

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
    interval = _select(path, start, end)
    try:
        # A temporary folder beside the output is on the same disk, so that the finished file is moved, not copied.
        folder = tempfile.TemporaryDirectory(prefix=".videochat-", dir=target.absolute().parent)
    except OSError as error:
        raise InputError(target, f"cannot be written ({error.strerror})", "Choose another folder") from error
    with folder:
        unfinished = Path(folder.name, "clip" + target.suffix.lower())
        with video_progress(target.name, interval.duration, show=show_progress) as advance_to:
            _write(path, interval, unfinished, preview, advance_to)
        unfinished.replace(target)
    return target


def write_clip(source: str | Path, start: float, end: float, output: Path) -> None:
    """Write an interval of a video to an existing file, in place.

    This is `cut_clip` for an output that is a link to an open file, which renaming would replace.

    Args:
        source: A local file.
        start: Time in seconds.
        end: Seconds; the end of the video if later than that.
        output: The file. Its folder may be used for temporary files, which are not removed.

    Raises:
        SourceError: The source does not exist.
        MediaError: The source cannot be decoded, or ffmpeg lacks the encoder.
        InputError: The times are invalid or outside the video, or the suffix of `output` is unknown.
    """
    path = local_path(source)
    _check_output(path, output, overwrite=True)
    _write(path, _select(path, start, end), output, False, lambda _: None)


def _select(path: Path, start: float, end: float) -> Interval:
    if end == math.inf:
        raise InputError("end", "must be finite, got inf", "Give a time in seconds")
    return Interval.of(start, end).within(probe(path).duration)


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
    # Scaled down in two steps: the first, to at least twice the size, is fast and saves memory.
    for batch in sample_frames(path, times=[time], size=2 * width, mode="exact"):
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


@isolatable
def _write(path: Path, interval: Interval, target: Path, preview: bool, advance_to: Callable[[float], None]) -> None:
    # Not beside the output, which may have the same name.
    with tempfile.TemporaryDirectory(prefix=".videochat-", dir=target.parent) as folder:
        _write_with(Path(folder), path, interval, target, preview, advance_to)


def _write_with(
    folder: Path, path: Path, interval: Interval, target: Path, preview: bool, advance_to: Callable[[float], None]
) -> None:
    index = index_media(path)
    track = choose_video(path, index)
    suffix = target.suffix.lower()
    additions = ClipAdditions.prepare(path, index, interval, suffix, folder) if suffix in SUBTITLE_FORMATS else None
    size = _max_size(index.tracks[track])
    if index.is_continuous and size is None and not _has_long_silence(path, index, interval):
        try:
            return _encode(_command(path, index, interval, target, preview, additions), path, advance_to)
        except MediaError as error:
            logger.info("%s: ffmpeg cannot cut it: %s", path, error)
    # ffmpeg joins timestamps differently, fails if one of the streams is damaged, and holds several frames in memory.
    rate = min(max(index.streams[track].frame_rate or 0.0, _MIN_FRAME_RATE), _MAX_FRAME_RATE)
    file = folder / "intermediate.mkv"
    write_intermediate(path, interval, rate, file, has_audio=has_audio(index), size=size)
    whole = Interval(0.0, interval.duration)
    return _encode(_command(file, index_media(file), whole, target, preview, additions), path, advance_to)


def _max_size(video: StreamInfo) -> int | None:
    """Return the length to which the shorter side of large frames is scaled; None for others."""
    scale = math.sqrt(_MAX_PIXELS / max(1, video.width * video.height))
    return int(min(video.width, video.height) * scale) if scale < 1 else None


def _has_long_silence(path: Path, index: MediaIndex, interval: Interval) -> bool:
    if not has_audio(index):
        return False
    times = index.streams[choose_audio(path, index)].presented_times
    inside = times[(times >= interval.start) & (times < interval.end)]
    return bool(np.diff(inside, prepend=interval.start).max(initial=0.0) > _MAX_SILENT_SECONDS)


def _encode(command: Any, path: Path, advance_to: Callable[[float], None]) -> None:
    with ffmpeg_process(command.global_args("-progress", "pipe:1"), path) as progress:
        for line in progress:
            if written := _PROGRESS.fullmatch(line):
                advance_to(int(written[1]) / 1e6)


def _command(
    path: Path, index: MediaIndex, interval: Interval, target: Path, preview: bool, additions: ClipAdditions | None
) -> Any:
    video_track = choose_video(path, index)
    with open_container(path) as container:
        stream = video_stream(container, path, video_track)
        rate = float(stream.guessed_rate or stream.average_rate or _MIN_FRAME_RATE)
    start, duration = index.start_time + interval.start, interval.duration
    first_frame = index.start_time + index.streams[video_track].displayed_time(interval.start)
    media = input_file(path, VIDEO_FORMATS, **seek_options(min(start, first_frame)))
    suffix = target.suffix.lower()
    is_gif = suffix == ".gif"
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
        # Trimmed at both ends first: "aresample" holds the silence of a gap in memory, however long it is.
        sound = media[str(audio_track)].filter("atrim", start=f"{start:.6f}", end=f"{start + duration:.6f}")
        audio = align_audio(sound, start)
        streams.append(audio.filter("apad").filter("atrim", end=f"{duration:.6f}"))
    options = {**ENCODINGS[suffix], **(_PREVIEW if preview else {})}
    if additions is None:
        return ffmpeg.output(*streams, file_argument(target), map_metadata=-1, **options).overwrite_output()
    return additions.output(streams, target, options).overwrite_output()


def _to_gif(video: Any) -> Any:
    # One palette per frame: a palette for all frames would keep the whole clip in memory.
    copies = _scale_down(video, _GIF_SIDE).filter_multi_output("split")
    return ffmpeg.filter([copies[0], copies[1].filter("palettegen", stats_mode="single")], "paletteuse", new=1)


def _scale_down(video: Any, side: int) -> Any:
    return video.filter("scale", f"min(iw,{side})", f"min(ih,{side})", force_original_aspect_ratio="decrease")
