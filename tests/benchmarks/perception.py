"""The profile `standard`: what each model takes alone, and what they take together."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_videochat.media import VideoInfo, probe
from langchain_videochat.media.ffmpeg import executable
from langchain_videochat.perception import Perceiver, create_perceivers, keep_models, perceive
from langchain_videochat.perception.streams import open_feeds
from tests.benchmarks.media import cached, natural
from tests.benchmarks.real_models import standard_profile
from tests.benchmarks.report import Table, progress
from tests.benchmarks.timing import seconds

CLIP_SECONDS = 60


@dataclass(frozen=True)
class _Cost:
    """What some work takes."""

    wall: float
    """Seconds until it is done."""
    processor: float
    """Seconds of all cores together."""


def measure(scale: float) -> Table:
    """Perceive a clip with `standard`, its models in their real sizes with random weights."""
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
    table.cost("reading it for all", shared.wall, "reading it for each", sum(one.wall for one in reading), at_most=1)
    models = sum(one.processor - read.processor for one, read in zip(alone, reading, strict=True))
    cores = os.cpu_count() or 1
    bounds = {
        "the slowest alone": max(one.wall for one in alone),
        f"processor seconds of all stages / {cores} cores": (shared.processor + models) / cores,
    }
    slowest = max(bounds, key=lambda name: bounds[name])
    table.cost("**all together**", together.wall, slowest, bounds[slowest], at_most=1.15)
    table.cost("all together", together.wall, "one after the other", sum(one.wall for one in alone))
    table.notes = [
        "Random weights write captions of 50 tokens, the longest allowed; trained ones stop after about ten. The sound "
        "is of six sentences in 30 s. The models were loaded and had run before. Processor seconds of a stage are "
        "those of its run alone without reading, which counts once, for all.",
    ]
    return table


def _perceive(clip: Path, perceivers: list[Perceiver[Any]]) -> _Cost:
    progress(f"  {', '.join(type(one).__name__ for one in perceivers)}")
    return _cost(lambda: list(perceive(clip, perceivers)))


def _read(clip: Path, video: VideoInfo, perceivers: list[Perceiver[Any]]) -> _Cost:
    def read() -> None:
        for feed in open_feeds(clip, video, perceivers, 0.0, video.duration):
            for _ in feed.steps:
                pass

    return _cost(read)


def _cost(work: Any) -> _Cost:
    begin = time.process_time()
    wall = seconds(work)
    return _Cost(wall, time.process_time() - begin)


def _with_sound(video: Path) -> Path:
    """Add bursts of sound, with a pause every five seconds."""
    sound = "aevalsrc='0.3*sin(2*PI*440*t)*lt(mod(t,5),4.5)':s=16000"
    inputs = ["-i", str(video), "-f", "lavfi", "-i", sound]
    command = [executable(), "-nostdin", "-loglevel", "error", *inputs, "-c:v", "copy", "-shortest"]

    def build(target: Path) -> None:
        subprocess.run([*command, str(target)], check=True)

    return cached(f"{video.stem}-sound.mp4", build)
