"""Running the ffmpeg program on local files: safe arguments, bounded logs, no process left behind."""

import os
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import IO, Any
from urllib.parse import quote, unquote_to_bytes

import ffmpeg

from langchain_videochat.errors import MediaError

_MAX_LOG_LINES = 50

# Maximum distance in a file between audio and video of the same time.
_MAX_INTERLEAVING_SECONDS = 5.0

_FILE = "file:"

_LOG_PREFIX = re.compile(r"^(\[[^\]]*\]\s*)+")


def file_argument(path: Path) -> str:
    """Return a local file in the form in which `ffmpeg_process` expects inputs and outputs.

    ffmpeg-python rejects names that are not UTF-8, so they are percent-encoded until ffmpeg is started.
    """
    return _FILE + quote(os.fsencode(path))


def input_file(path: Path, formats: tuple[str, ...], **options: Any) -> Any:
    """Return a local file as an ffmpeg-python input that makes ffmpeg open this file only.

    Timestamps stay as they are in the file (`-copyts`), and equal those of PyAV.

    Args:
        path: An absolute path. No file name is mistaken for an option, an address or a pattern.
        formats: FFmpeg's names of the accepted containers.
        options: Further input options, without their dash.
    """
    return ffmpeg.input(
        file_argument(path),
        protocol_whitelist="file,pipe",
        format_whitelist=",".join(formats),
        fflags="+genpts",
        copyts=None,
        **options,
    )


def seek_options(timestamp: float) -> dict[str, Any]:
    """Return input options that start reading a few seconds before a timestamp.

    Filters must trim what comes too early: only they are exact for every container.
    """
    timestamp -= _MAX_INTERLEAVING_SECONDS
    return {"seek_timestamp": 1, "ss": f"{timestamp:.6f}", "noaccurate_seek": None} if timestamp > 0 else {}


def align_audio(audio: Any, start: float) -> Any:
    """Align the samples of an audio stream with their timestamps, filling gaps with silence.

    Args:
        audio: An ffmpeg-python audio stream.
        start: Timestamp in seconds that becomes 0; earlier samples are dropped.
    """
    shifted = audio.filter("asetpts", f"PTS-{start:.6f}/TB")
    # Containers with millisecond timestamps cause gaps shorter than 10 ms by rounding.
    return shifted.filter("aresample", **{"async": 1, "min_hard_comp": 0.01, "first_pts": 0})


@contextmanager
def ffmpeg_process(command: Any, subject: object) -> Iterator[IO[bytes]]:
    """Run an ffmpeg-python command.

    The process is killed when the block is left early, for example by an error or because a generator is closed.

    Args:
        command: An ffmpeg-python output node, with files in the form of `file_argument`.
        subject: The file to name in error messages.

    Yields:
        The output of ffmpeg to `pipe:`. What remains unread at the end of the block is discarded.

    Raises:
        MediaError: ffmpeg fails or is not installed.
    """
    command = command.global_args("-nostdin", "-hide_banner", "-loglevel", "error")
    log: deque[bytes] = deque(maxlen=_MAX_LOG_LINES)
    arguments = [_decode_file(argument) for argument in command.compile(cmd=find_ffmpeg())]
    started: Any = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # noqa: S603
    with started as process:
        # ffmpeg would block on a full stderr pipe.
        reader = Thread(target=log.extend, args=(process.stderr,), daemon=True)
        reader.start()
        try:
            yield process.stdout
            while process.stdout.read(2**16):
                pass
            process.wait()
        finally:
            process.kill()
            reader.join()
    if process.returncode:
        raise MediaError(subject, f"ffmpeg cannot read or convert it ({_reason(log)})", "Check that it can be played")


def find_ffmpeg() -> str:
    """Return the path of ffmpeg: the program on the PATH, or else the one that imageio-ffmpeg provides.

    Raises:
        MediaError: Neither exists.
    """
    if found := shutil.which("ffmpeg"):
        return found
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise MediaError("ffmpeg", "is not installed", "Install ffmpeg and make sure that it is on the PATH") from error


def _decode_file(argument: str) -> str:
    return os.fsdecode(unquote_to_bytes(argument)) if argument.startswith(_FILE) else argument


def _reason(log: deque[bytes]) -> str:
    lines = (_LOG_PREFIX.sub("", line.decode("utf-8", "replace").strip()) for line in log)
    # Lines with an address repeat the full path of the file.
    return next((line[:200] for line in lines if line and "file:" not in line), "no reason given")
