"""The profile `standard` on a GPU: the paper's figure for a clip of ten seconds."""

import torch

from langchain_videochat.media import probe
from langchain_videochat.perception import create_perceivers, keep_models, perceive
from tests.benchmarks.media import film, with_sound
from tests.benchmarks.perception import count_passes
from tests.benchmarks.real_models import CAPTION_TOKENS, standard_profile
from tests.benchmarks.report import Table, progress
from tests.benchmarks.timing import seconds

ROUNDS = 3

PUBLISHED_SECONDS = 2.0
"""Time that the paper states for a clip of ten seconds on one NVIDIA A10."""


def measure(scale: float) -> Table:
    """Perceive ten seconds with all models at once, as in section 3.1.1 of the paper."""
    table = Table("Perception on a GPU: 10 s of 720p30 with `standard`, real sizes, random weights", "s")
    if not torch.cuda.is_available():
        table.notes = ["Not measured: no GPU available."]
        return table
    clip, profile = with_sound(film(1)), standard_profile()
    with keep_models():
        progress("  loading the models")
        list(perceive(clip, profile))
        torch.cuda.reset_peak_memory_stats()
        with count_passes() as passes:
            duration = min(seconds(lambda: list(perceive(clip, profile))) for _ in range(max(1, round(ROUNDS * scale))))
    table.cost("all models", duration, "the paper's pipeline on an A10, as published", PUBLISHED_SECONDS, at_most=1)
    table.cost("all models", duration, "playing it", probe(clip).duration)
    peak = torch.cuda.max_memory_allocated() / 2**30
    names = ", ".join(type(one).__name__ for one in create_perceivers(profile))
    counted = ", ".join(f"{number} x {name}" for name, number in passes.items())
    table.notes = [
        f"{torch.cuda.get_device_name()}; peak GPU memory {peak:.1f} GiB. {names}. Captions have {CAPTION_TOKENS} "
        f"tokens. Forward passes of all rounds: {counted}.",
    ]
    return table
