"""GPU memory of VideoChat-Embed in 16, 8 and 4 bits."""

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
"""GPU memory that the original's README states, in 16 bits."""

QUANTIZATIONS: dict[str, Any] = {"bfloat16": None, "8 bits": 8, "4 bits": 4}


def measure(scale: float) -> Table:
    """Load each size with each quantization, and answer a question."""
    table = Table(f"VideoChat-Embed on a GPU: {FRAMES} frames, {TOKENS} tokens, peak memory", "GiB")
    if not torch.cuda.is_available():
        table.notes = ["Not measured: no GPU available."]
        return table
    for size in LLAMA:
        with tempfile.TemporaryDirectory() as folder:
            progress(f"  saving {size}")
            save_real(Path(folder), size, scale, "cuda")
            for name, bits in QUANTIZATIONS.items():
                progress(f"  {size} in {name}")
                _add(table, size, name, folder, bits)
    return table


def _add(table: Table, size: str, name: str, folder: str, bits: Any) -> None:
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
    duration = min(seconds(answer) for _ in range(3))
    peak = torch.cuda.max_memory_allocated() / 2**30
    table.cost(f"{size} in {name}", peak, "the original in 16 bits, as published", PUBLISHED_GIB[size])
    table.notes.append(f"{size} in {name}: {duration:.2f} s.")
