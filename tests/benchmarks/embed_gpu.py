"""What VideoChat-Embed costs as a whole on a graphics card, in 16, 8 and 4 bits."""

import gc
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from langchain_videochat.embed import Turn, Video, load_model
from tests.benchmarks.real_videochat import LLAMA, save_real
from tests.benchmarks.report import Table, progress
from tests.benchmarks.timing import seconds

FRAMES = 8
TOKENS = 32
PUBLISHED_GIB = {"7B": 20.0, "13B": 32.0}
"""What the original's README asks for, in 16 bits."""

WAYS: dict[str, Any] = {"bfloat16": None, "8 bits": 8, "4 bits": 4}


def measure(scale: float) -> Table:
    """Load each size in each way, and have it answer a question."""
    table = Table(f"VideoChat-Embed on a graphics card: {FRAMES} frames, {TOKENS} tokens, peak memory", "GiB")
    if not torch.cuda.is_available():
        table.notes = ["Not measured: there is no graphics card here."]
        return table
    for size in LLAMA:
        with tempfile.TemporaryDirectory() as folder:
            progress(f"  saving {size}")
            save_real(Path(folder), size, scale, "cuda")
            for way, bits in WAYS.items():
                progress(f"  {size} in {way}")
                _add(table, size, way, folder, bits)
    return table


def _add(table: Table, size: str, way: str, folder: str, bits: Any) -> None:
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    model, processor = load_model(folder, device="cuda", bits=bits)
    question = Turn("human", (Video(np.zeros((FRAMES, 360, 640, 3), np.uint8)), "What is happening here?"))

    def answer() -> None:
        inputs = processor([question], device=model.device, dtype=torch.bfloat16)
        model.generate(**inputs, max_new_tokens=TOKENS, min_new_tokens=TOKENS)
        torch.cuda.synchronize()

    answer()
    taken = min(seconds(answer) for _ in range(3))
    peak = torch.cuda.max_memory_allocated() / 2**30
    table.cost(f"{size} in {way}", peak, "the original in 16 bits, as published", PUBLISHED_GIB[size])
    table.notes.append(f"{size} in {way}: {taken:.2f} s.")
