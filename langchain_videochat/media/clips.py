"""Cutting a stretch out of a video, and a picture of one moment."""

import io
import math
import re
import tempfile
from pathlib import Path
from typing import Any

import ffmpeg

from langchain_videochat.errors import InputError, MediaError
from langchain_videochat.media.container import VIDEO_FORMATS, open_container, video_stream
from langchain_videochat.media.ffmpeg import input_file, place_sound, running, seek_options
from langchain_videochat.media.frames import sample_frames
from langchain_videochat.media.packets import index_packets
from langchain_videochat.media.sources import local_path
from langchain_videochat.utils.progress import video_progress

_H264 = {"vcodec": "libx264", "preset": "veryfast", "crf": 20, "pix_fmt": "yuv420p", "acodec": "aac"}
_VP9 = {"vcodec": "libvpx-vp9", "deadline": "realtime", "cpu-used": 8, "row-mt": 1, "crf": 32, "video_bitrate": 0}

ENCODINGS: dict[str, dict[str, Any]] = {
    ".mp4": {**_H264, "movflags": "+faststart"},
    ".mkv": _H264,
    ".webm": {**_VP9, "pix_fmt": "yuv420p", "acodec": "libopus"},
    ".gif": {},
}
"""Options of ffmpeg for each ending that a clip may have."""

_PREVIEW = {"crf": 28, "audio_bitrate": "64k"}
_PREVIEW_SIDE = 640

_WRITTEN = re.compile(rb"out_time_us=(\d+)\s*")
"""How ffmpeg tells the microseconds that it has written."""

# A steady rate fills the time of frames that are shown long; below this one a cut would be felt to be off.
_LEAST_RATE = 12.5
_LARGEST_RATE = 60
_GIF_RATE = 12.5
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
    """Write a stretch of a video as a file of its own.

    It is encoded anew, so that it begins with the frame on display at `start`, not at the key frame before it. The
    file appears under its name when it is complete.

    Args:
        source: A local file.
        start: Seconds from the first frame of the video.
        end: Seconds; the end of the video if later than that.
        output: The file to write: .mp4 or .mkv (H.264, AAC), .webm (VP9, Opus) or .gif (silent, at most 480 pixels).
        overwrite: Whether a file of that name is replaced.
        preview: Write a small .mp4 or .mkv: of 640 pixels at most, and coarser: 2 to 50 KB a second.
        show_progress: Show a progress bar.

    Returns:
        `output` as a path.

    Raises:
        SourceError: There is no such source.
        MediaError: The source cannot be decoded, or ffmpeg lacks the encoder.
        InputError: The times lie outside of the video, or `output` cannot be written.

    Example:
        >>> cut_clip("talk.mp4", 12.0, 15.5, "answer.mp4")  # doctest: +SKIP
        PosixPath('answer.mp4')
    """
    path, target = local_path(source), Path(output)
    _check_output(path, target, overwrite)
    if not 0 <= start < end < math.inf:
        raise InputError("start, end", f"{start} to {end} is no stretch of time", "Give seconds, start before end")
    index = index_packets(path)
    if start >= index.duration:
        raise InputError("start", f"{start} is after the end of the video at {index.duration:.3f}", "Give less")
    length = min(end, index.duration) - start
    try:
        # A hidden folder beside the output is on the same disk: the finished file is moved, not copied.
        folder = tempfile.TemporaryDirectory(prefix=".videochat-", dir=target.absolute().parent)
    except OSError as error:
        raise InputError(target, f"cannot be written ({error.strerror})", "Choose another folder") from error
    with folder:
        unfinished = Path(folder.name, "clip" + target.suffix.lower())
        command = _command(path, index.origin + start, length, unfinished, preview)
        with (
            video_progress(target.name, length, show=show_progress) as reach,
            running(command.global_args("-progress", "pipe:1"), path) as told,
        ):
            for line in told:
                if time := _WRITTEN.fullmatch(line):
                    reach(int(time[1]) / 1e6)
        unfinished.replace(target)
    return target


def thumbnail(source: str | Path, time: float, *, width: int = 320) -> bytes:
    """Take a picture of one moment.

    Args:
        source: A local file.
        time: Seconds from the first frame of the video.
        width: Pixels; a smaller video is not enlarged.

    Returns:
        A JPEG of the frame on display at `time`.

    Raises:
        SourceError: There is no such file.
        MediaError: The file has no video stream, or nothing of it can be decoded.
        InputError: The time lies outside of the video, or the width is not positive.
    """
    from PIL import Image

    path = local_path(source)
    if width < 1:
        raise InputError("width", f"{width} is no number of pixels", "Give 1 or more")
    duration = index_packets(path).duration
    if not 0 <= time <= duration:
        raise InputError("time", f"{time} is not within the video's {duration:.3f} seconds", "Give seconds")
    for batch in sample_frames(path, times=[time], mode="exact"):
        picture = Image.fromarray(batch.frames[0])
        height = max(1, round(picture.height * width / picture.width))
        if width < picture.width:
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        jpeg = io.BytesIO()
        picture.save(jpeg, "JPEG", quality=85)
        return jpeg.getvalue()
    raise MediaError(path, f"there is no picture at {time} seconds", "Choose another time")


def _check_output(path: Path, target: Path, overwrite: bool) -> None:
    if target.suffix.lower() not in ENCODINGS:
        raise InputError(target, "a clip of this kind is not written", f"Use one of {', '.join(ENCODINGS)}")
    if target.is_dir() or (target.exists() and target.samefile(path)):
        raise InputError(target, "is a folder or the video itself", "Choose another name")
    if target.exists() and not overwrite:
        raise InputError(target, "this file exists already", "Choose another name, or allow overwriting")


def _command(path: Path, begin: float, length: float, target: Path, preview: bool) -> Any:
    """Describe the cut at `begin` seconds on the file's own clock."""
    with open_container(path) as container:
        stream = video_stream(container, path)
        video, rate = stream.index, float(stream.guessed_rate or stream.average_rate or _LEAST_RATE)
        best = container.streams.best("audio")
        sound = best.index if best else None
    media = input_file(path, VIDEO_FORMATS, **seek_options(begin))
    silent = target.suffix == ".gif"
    rate = _GIF_RATE if silent else min(max(rate, _LEAST_RATE), _LARGEST_RATE)
    # Frames from before `begin` are let through: "fps" shows the last of them where the clip starts between two.
    picture = media[str(video)].filter("setpts", f"PTS-{begin:.6f}/TB").filter("fps", rate, start_time=0)
    picture = picture.filter("tpad", stop=-1, stop_mode="clone").filter("trim", end=f"{length:.6f}")
    if preview:
        picture = _within(picture, _PREVIEW_SIDE)
    streams = [_as_gif(picture) if silent else picture.filter("crop", "trunc(iw/2)*2", "trunc(ih/2)*2")]
    if sound is not None and not silent:
        streams.append(_sound(media[str(sound)], begin, length))
    options = {"map_metadata": -1, "map_chapters": -1, **ENCODINGS[target.suffix], **(_PREVIEW if preview else {})}
    return ffmpeg.output(*streams, f"file:{target}", **options)


def _sound(sound: Any, begin: float, length: float) -> Any:
    early_cut = sound.filter("atrim", start=f"{begin:.6f}")
    return place_sound(early_cut, begin).filter("apad").filter("atrim", end=f"{length:.6f}")


def _as_gif(picture: Any) -> Any:
    small = _within(picture, _GIF_SIDE)
    # One palette a frame: a palette for all would keep the whole clip in memory.
    copies = small.filter_multi_output("split")
    return ffmpeg.filter([copies[0], copies[1].filter("palettegen", stats_mode="single")], "paletteuse", new=1)


def _within(picture: Any, side: int) -> Any:
    """Scale down what is larger."""
    return picture.filter("scale", f"min(iw,{side})", f"min(ih,{side})", force_original_aspect_ratio="decrease")
