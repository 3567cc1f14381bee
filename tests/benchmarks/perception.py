"""The profile `standard`: the time of each model alone, and of all models together."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.nn.modules.module import register_module_forward_hook

from langchain_videochat.media import VideoInfo, probe
from langchain_videochat.perception import Perceiver, create_perceivers, keep_models, perceive
from langchain_videochat.perception.streams import open_streams
from langchain_videochat.utils.interval import Interval
from tests.benchmarks.media import SCENE_SECONDS, film, still, with_sound
from tests.benchmarks.real_models import CAPTION_TOKENS, standard_profile
from tests.benchmarks.report import Table, progress
from tests.benchmarks.timing import seconds

SCENES = 6
STILL_SECONDS = 60

VISION_PARTS = {
    "SiglipVisionModel": "frames embedded",
    "SmolVLMVisionTransformer": "captions",
    "DFineModel": "frames searched for objects",
    "XCLIPMultiframeIntegrationTransformer": "clips classified",
}
"""What one forward pass of a part of a model means."""


@dataclass(frozen=True)
class _Cost:
    """Time that some work takes."""

    wall: float
    """Elapsed seconds."""
    cpu: float
    """CPU seconds of all cores together."""


def measure(scale: float) -> Table:
    """Perceive a film and a still video with `standard`: models of real size, all but Whisper with random weights."""
    clip = with_sound(film(max(1, round(SCENES * scale))))
    silent = with_sound(still(max(10, round(STILL_SECONDS * scale))), silent=True)
    video, profile = probe(clip), standard_profile()
    scenes = round(video.duration / SCENE_SECONDS)
    table = Table(f"Perception: {video.duration:.0f} s of 720p30 in {scenes} scenes with `standard`, real sizes", "s")
    with keep_models():
        progress("  warming up")
        list(perceive(clip, profile, end=4.0))
        names = [type(one).__name__ for one in create_perceivers(profile)]
        reading = [_read(clip, video, [one]) for one in create_perceivers(profile)]
        alone = [_perceive(clip, [one]) for one in create_perceivers(profile)]
        shared = _read(clip, video, create_perceivers(profile))
        with count_passes() as passes:
            together = _perceive(clip, create_perceivers(profile))
        with count_passes() as passes_of_still:
            nothing_moves = _perceive(silent, create_perceivers(profile))
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
    table.cost("all together", together.wall, slowest, bounds[slowest], at_most=1.15)
    table.cost("**all together**", together.wall, "playing it", video.duration, at_most=1.2)
    table.cost("**a still video**", nothing_moves.wall, "playing it", probe(silent).duration, at_most=0.5)
    for part, meaning in VISION_PARTS.items():
        at_most = 1.0 if part == "SiglipVisionModel" else None
        table.cost(f"{meaning}", passes[part], "seconds of video", video.duration, at_most=at_most)
        table.cost(f"{meaning}, still video", passes_of_still[part], "seconds of video", probe(silent).duration)
    table.notes = [
        f"Captions have {CAPTION_TOKENS} tokens, as those of trained weights; Whisper base has its own weights. The "
        f"sound has six sentences per 30 s. CPU seconds of all together: {together.cpu:.0f}. The models were loaded "
        "and warmed up. The CPU seconds of a stage are those of its run alone without reading, which is counted once. "
        "Shapes move in all scenes, and the camera pans in every second one.",
    ]
    return table


@contextmanager
def count_passes() -> Iterator[Counter[str]]:
    """Count the inputs that pass through each vision model."""
    counts: Counter[str] = Counter()

    def count(module: Any, _: Any, output: Any) -> None:
        name = type(module).__name__
        if name in VISION_PARTS:
            counts[name] += len(output[0])

    hook = register_module_forward_hook(count)
    try:
        yield counts
    finally:
        hook.remove()


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
