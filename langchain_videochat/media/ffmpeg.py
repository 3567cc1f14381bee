"""Running the ffmpeg program on local files: safe arguments, bounded logs, no process left behind."""

import re
import shutil
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import IO, Any

import ffmpeg

from langchain_videochat.errors import MediaError

_KEPT_LOG_LINES = 50

# Sound may be stored this much earlier or later in a file than the pictures that are shown with it.
_READ_AHEAD_SECONDS = 5.0

_PREFIX = re.compile(r"^(\[[^\]]*\]\s*)+")


def input_file(path: Path, formats: tuple[str, ...], **options: Any) -> Any:
    """Describe a local file as ffmpeg-python's input, so that ffmpeg opens this one file and no other.

    Its time stamps stay as they are in the file (`-copyts`), as PyAV shows them too.

    Args:
        path: An absolute path; whatever letters it holds, it cannot be taken for an option, address or pattern.
        formats: FFmpeg's names of the containers to allow.
        options: Further input options, without their dash.
    """
    return ffmpeg.input(
        f"file:{path}",
        protocol_whitelist="file,pipe",
        format_whitelist=",".join(formats),
        fflags="+genpts+discardcorrupt",
        copyts=None,
        **options,
    )


def seek_options(seconds: float) -> dict[str, Any]:
    """Input options that begin reading a little before a time on the file's own clock.

    Filters have to drop what comes too early: only they cut exactly, whatever the container.
    """
    seconds -= _READ_AHEAD_SECONDS
    return {"seek_timestamp": 1, "ss": f"{seconds:.6f}", "noaccurate_seek": None} if seconds > 0 else {}


def place_sound(sound: Any, begin: float) -> Any:
    """Let every sample of an audio stream stand at its time, with silence where there is none.

    Args:
        sound: ffmpeg-python's audio stream.
        begin: Seconds on the file's own clock that become 0; what comes earlier is dropped.
    """
    shifted = sound.filter("asetpts", f"PTS-{begin:.6f}/TB")
    # Gaps shorter than 10 ms are the rounding of containers that count in milliseconds.
    return shifted.filter("aresample", **{"async": 1, "min_hard_comp": 0.01, "first_pts": 0})


@contextmanager
def running(command: Any, subject: object) -> Iterator[IO[bytes]]:
    """Run an ffmpeg-python command for as long as the context lasts.

    Leaving early, also by an error or by closing a generator, ends the process.

    Args:
        command: ffmpeg-python's output node.
        subject: The file that an error is about.

    Yields:
        What ffmpeg writes to `pipe:`; what is left unread is dropped.

    Raises:
        MediaError: ffmpeg fails, or there is none.
    """
    command = command.global_args("-nostdin", "-hide_banner", "-loglevel", "error")
    log: deque[bytes] = deque(maxlen=_KEPT_LOG_LINES)
    with command.run_async(cmd=executable(), pipe_stdout=True, pipe_stderr=True) as process:
        # A pipe that nobody reads would stop ffmpeg once it is full.
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
        raise MediaError(subject, f"ffmpeg cannot read or convert it ({_reason(log)})", "Check that a player shows it")


def executable() -> str:
    """Find ffmpeg: the one on the PATH, else the one that comes with imageio-ffmpeg.

    Raises:
        MediaError: There is neither.
    """
    found = shutil.which("ffmpeg")
    if found:
        return found
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise MediaError("ffmpeg", "is not installed", "Install ffmpeg so that it is on the PATH") from error


def _reason(log: deque[bytes]) -> str:
    lines = (_PREFIX.sub("", line.decode("utf-8", "replace").strip()) for line in log)
    # Lines with an address repeat the file's full path.
    return next((line[:200] for line in lines if line and "file:" not in line), "it does not say why")
