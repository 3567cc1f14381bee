"""Frame sampling, compared with the ffmpeg command and against other libraries."""

import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

from langchain_videochat.media import SamplingMode, probe, sample_frames
from langchain_videochat.media.ffmpeg import find_ffmpeg
from tests.benchmarks.media import natural, repeated
from tests.benchmarks.peers import Sampler, find_peers
from tests.benchmarks.report import Table
from tests.benchmarks.timing import best_of

ROUNDS = 2
CLIP_SECONDS = 60
FEW, MANY = 5, 60
"""Repetitions of the clip for the videos of five minutes and for the one of an hour."""


def measure(scale: float) -> Table:
    """Sample 720p30 H.264 at 1, 0.5 and 0.1 frames per second."""
    length = max(10, round(CLIP_SECONDS * scale / 10) * 10)
    regular, shifted, sparse = natural(length), natural(length, first_gop=1), natural(length, gop=10, first_gop=10)
    smooth = natural(length, first_gop=1, grain=0)
    peers, missing = find_peers()
    table = Table("Frames: sampling 720p30 H.264, best of two runs", "s")
    _every_second(table, repeated(regular, FEW), repeated(sparse, FEW), peers)
    _every_two_seconds(table, repeated(regular, FEW), repeated(shifted, FEW), repeated(smooth, FEW))
    _every_ten_seconds(table, repeated(shifted, MANY), peers)
    table.notes = [
        f"The videos repeat a rendered clip of about 8 Mbit/s by stream copy, for {length * FEW} s, or for "
        f"{length * MANY} s with a frame every 10 s. "
        "Keyframes are 2 s apart unless stated otherwise. Frames are sampled at whole seconds, or at even seconds "
        "for a frame every 2 s. With keyframes *on* these times, exact sampling decodes keyframes only; with "
        "keyframes *off* them, on odd seconds, it decodes half of each group of pictures.",
        "The ffmpeg commands write raw RGB to /dev/null, or nothing. Every run opens the file again and uses no "
        "caches of earlier runs.",
        *missing,
    ]
    return table


def _every_second(table: Table, regular: Path, sparse: Path, peers: dict[str, Sampler]) -> None:
    seconds = best_of(
        {
            "ffmpeg": partial(_ffmpeg, regular, "fps=1"),
            "exact": _checked(_exact, regular, 1),
            "ffmpeg, sparse": partial(_ffmpeg, sparse, "fps=1"),
            "exact, sparse": _checked(_exact, sparse, 1),
            **{name: _checked(peer, regular, 1) for name, peer in peers.items()},
        },
        ROUNDS,
    )
    command = "`ffmpeg -vf fps=1`"
    table.speed("exact, every second", seconds["exact"], command, seconds["ffmpeg"], at_least=0.95)
    sparse_ffmpeg = (f"{command}, the same", seconds["ffmpeg, sparse"])
    table.speed("exact, every second, keyframes 10 s apart", seconds["exact, sparse"], *sparse_ffmpeg, at_least=0.95)
    for name in peers:
        table.speed(f"{name}, every second", seconds[name], command, seconds["ffmpeg"])


def _every_two_seconds(table: Table, regular: Path, shifted: Path, smooth: Path) -> None:
    seconds = best_of(
        {
            "auto, off": _checked(_auto, shifted, 2),
            "exact, off": _checked(_exact, shifted, 2),
            "auto, smooth": _checked(_auto, smooth, 2),
            "exact, smooth": _checked(_exact, smooth, 2),
            "auto, on": _checked(_auto, regular, 2),
            "exact, on": _checked(_exact, regular, 2),
            "ffmpeg": partial(_ffmpeg, shifted, "fps=0.5"),
        },
        ROUNDS,
    )
    off, on = "auto, every 2 s, keyframes off", "auto, every 2 s, keyframes on"
    table.speed(off, seconds["auto, off"], "exact, the same", seconds["exact, off"], at_least=8)
    table.speed(off, seconds["auto, off"], "`ffmpeg -vf fps=0.5`", seconds["ffmpeg"])
    table.speed(f"{off}, 2 Mbit/s", seconds["auto, smooth"], "exact, the same", seconds["exact, smooth"])
    table.speed(on, seconds["auto, on"], "exact, the same", seconds["exact, on"])


def _every_ten_seconds(table: Table, video: Path, peers: dict[str, Sampler]) -> None:
    samplers: dict[str, Sampler] = {"auto": _auto, "exact": _exact}
    ours = best_of({name: _checked(sampler, video, 10) for name, sampler in samplers.items()}, ROUNDS)
    theirs = best_of({name: _checked(peer, video, 10) for name, peer in peers.items()}, 1)
    everything = best_of({"decoding everything": partial(_ffmpeg, video)}, 1)["decoding everything"]
    for name, duration in ours.items():
        what = f"{name}, every 10 s, keyframes off"
        table.speed(what, duration, "`ffmpeg -f null`: decoding everything", everything, at_least=5)
    for name, duration in theirs.items():
        table.speed(f"{name}, every 10 s", duration, "`ffmpeg -f null`: decoding everything", everything)


def _exact(path: Path, every: float) -> int:
    return _sample(path, every, "exact")


def _auto(path: Path, every: float) -> int:
    return _sample(path, every, "auto")


def _sample(path: Path, every: float, mode: SamplingMode) -> int:
    # The packet index is cached until the file changes.
    os.utime(path)
    return sum(len(batch.times) for batch in sample_frames(path, 1 / every, mode=mode))


def _checked(sampler: Sampler, path: Path, every: float) -> Callable[[], None]:
    expected = probe(path).duration / every

    def work() -> None:
        count = sampler(path, every)
        if abs(count - expected) > 2:
            raise RuntimeError(f"{sampler.__name__} read {count} frames of {path} instead of {expected:.0f}")

    return work


def _ffmpeg(path: Path, sampling: str | None = None) -> None:
    frames = ["-vf", sampling, "-f", "rawvideo", "-pix_fmt", "rgb24", os.devnull] if sampling else ["-f", "null", "-"]
    subprocess.run([find_ffmpeg(), "-nostdin", "-loglevel", "error", "-y", "-i", path, *frames], check=True)
