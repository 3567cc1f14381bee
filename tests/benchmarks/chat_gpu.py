"""VideoChatEmbed on a GPU, at full size."""

import tempfile
from pathlib import Path

import torch

from langchain_videochat import VideoChatEmbed
from tests.benchmarks.chat import TOKENS, add_batches, add_second_question
from tests.benchmarks.real_videochat import save_real
from tests.benchmarks.report import Table, progress


def measure(scale: float) -> Table:
    """Measure batches, and a second question about a video."""
    table = Table("VideoChatEmbed on a GPU: 7B, bfloat16, random weights", "s")
    if not torch.cuda.is_available():
        table.notes = ["Not measured: no GPU available."]
        return table
    with tempfile.TemporaryDirectory() as folder:
        progress("  saving the model")
        save_real(Path(folder), "7B", scale, "cuda")
        llm = VideoChatEmbed(model=folder, device="cuda", max_tokens=TOKENS)
        add_batches(table, llm, at_least=3)
        add_second_question(table, llm, scale)
    return table
