"""What the ffmpeg command presents: a reference for times and frames."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.media.ffmpeg import find_ffmpeg
from tests.numbered_video import read_number

SIDE = 120
"""Height of the pictures that ffmpeg returns."""


@dataclass(frozen=True, eq=False)
class Presentation:
    """The pictures of a video in order of presentation."""

    times: NDArray[np.float64]
    """Seconds on the player's clock."""

    pictures: NDArray[np.uint8]
    """Grey pictures, [N, H, W]."""

    @property
    def numbers(self) -> list[int]:
        """The number that each picture shows (see `make_numbered`)."""
        return [read_number(picture[..., None]) for picture in self.pictures]

    def number_at(self, time: float) -> int:
        """Return the number of the picture displayed at a time; of the first one before it appears."""
        position = int(np.searchsorted(self.times, time + 0.0005, side="right")) - 1
        return read_number(self.pictures[max(0, position)][..., None])


def present_pictures(path: Path, width: int = 160) -> Presentation:
    """Play the pictures of a file with ffmpeg."""
    output = _play(path, ["-map", "0:v:0", "-vf", f"showinfo,scale={width}:{SIDE}", "-fps_mode", "passthrough"],
                   ["-f", "rawvideo", "-pix_fmt", "gray"])  # fmt: skip
    times = [float(time) for time in re.findall(rb"pts_time:\s*([-\d.]+)", output.stderr)]
    pictures = np.frombuffer(output.stdout, dtype=np.uint8).reshape(-1, SIDE, width)
    return Presentation(np.array(times[: len(pictures)]), pictures)


def present_sound(path: Path, rate: int) -> NDArray[np.float32]:
    """Play the sound of a file with ffmpeg, with silence in gaps and before a late start."""
    filters = "aresample=async=1:min_hard_comp=0.01:first_pts=0"
    output = _play(path, ["-map", "0:a:0", "-af", filters, "-ac", "1", "-ar", str(rate)], ["-f", "f32le"])
    return np.frombuffer(output.stdout, dtype=np.float32)


def _play(path: Path, options: list[str], form: list[str]) -> subprocess.CompletedProcess[bytes]:
    # The second output makes ffmpeg count from the earliest stream, as players do, and not from the one that is read.
    command = [find_ffmpeg(), "-nostdin", "-i", str(path), *options, *form, "pipe:", "-map", "0", "-dn", "-sn"]
    return subprocess.run([*command, "-f", "null", "-"], check=True, capture_output=True)
