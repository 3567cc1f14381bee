"""The profile `standard`: the time of each model alone, and of all models together."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_videochat.media import VideoInfo, probe
from langchain_videochat.media.ffmpeg import find_ffmpeg
from langchain_videochat.perception import Perceiver, create_perceivers, keep_models, perceive
from langchain_videochat.perception.streams import open_streams
from langchain_videochat.utils.interval import Interval
from tests.benchmarks.media import cached, natural
from tests.benchmarks.real_models import standard_profile
from tests.benchmarks.report import Table, progress
from tests.benchmarks.timing import seconds

CLIP_SECONDS = 60


@dataclass(frozen=True)
class _Cost:
    """Time that some work takes."""

    wall: float
    """Elapsed seconds."""
    cpu: float
    """CPU seconds of all cores together."""


def measure(scale: float) -> Table:
    """Perceive a clip with `standard`: models of real size with random weights."""
    clip = _with_sound(natural(max(10, round(CLIP_SECONDS * scale / 10) * 10)))
    video, profile = probe(clip), standard_profile()
    table = Table(f"Perception: {video.duration:.0f} s of 720p30 with `standard`, models of real size", "s")
    with keep_models():
        progress("  warming up")
        list(perceive(clip, profile, end=4.0))
        names = [type(one).__name__ for one in create_perceivers(profile)]
        reading = [_read(clip, video, [one]) for one in create_perceivers(profile)]
        alone = [_perceive(clip, [one]) for one in create_perceivers(profile)]
        shared = _read(clip, video, create_perceivers(profile))
        together = _perceive(clip, create_perceivers(profile))
    for name, one in zip(names, alone, strict=True):
        table.cost(f"{name} alone", one.wall, "playing it", video.duration)
    table.cost("reading once for all", shared.wall, "reading for each", sum(one.wall for one in reading), at_most=1)
    models = sum(one.cpu - read.cpu for one, read in zip(alone, reading, strict=True))
    cores = os.cpu_count() or 1
    bounds = {
        "the slowest alone": max(one.wall for one in alone),
        f"CPU seconds of all stages / {cores} cores": (shared.cpu + models) / cores,
    }
    slowest = max(bounds, key=lambda name: bounds[name])
    table.cost("**all together**", together.wall, slowest, bounds[slowest], at_most=1.15)
    table.cost("all together", together.wall, "one after the other", sum(one.wall for one in alone))
    table.notes = [
        "Random weights generate captions of 50 tokens, the maximum; trained weights stop after about ten. The audio "
        "has six sentences per 30 s. The models were loaded and warmed up. The CPU seconds of a stage are those of its "
        "run alone without reading, which is counted once.",
    ]
    return table


def _perceive(clip: Path, perceivers: list[Perceiver[Any, Any]]) -> _Cost:
    progress(f"  {', '.join(type(one).__name__ for one in perceivers)}")
    return _cost(lambda: list(perceive(clip, perceivers)))


def _read(clip: Path, video: VideoInfo, perceivers: list[Perceiver[Any, Any]]) -> _Cost:
    def read() -> None:
        for stream in open_streams(clip, video, perceivers, Interval(0.0, video.duration)):
            for _ in stream.chunks:
                pass

    return _cost(read)


def _cost(work: Any) -> _Cost:
    begin = time.process_time()
    wall = seconds(work)
    return _Cost(wall, time.process_time() - begin)


def _with_sound(video: Path) -> Path:
    """Add an audio track with a pause every five seconds."""
    sound = "aevalsrc='0.3*sin(2*PI*440*t)*lt(mod(t,5),4.5)':s=16000"
    inputs = ["-i", str(video), "-f", "lavfi", "-i", sound]
    command = [find_ffmpeg(), "-nostdin", "-loglevel", "error", *inputs, "-c:v", "copy", "-shortest"]

    def build(target: Path) -> None:
        subprocess.run([*command, str(target)], check=True)

    return cached(f"{video.stem}-sound.mp4", build)
