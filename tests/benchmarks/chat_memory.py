"""Peak memory of questions about long videos. As a program, answers one and prints its own peak in MiB."""

import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.benchmarks.memory import RATE, TALK_SECONDS, peak_mib
from tests.benchmarks.report import Table, progress

TIMES = 6
"""Repetitions of the talk of ten minutes, for an hour."""

SEGMENT_SECONDS = 60

MAX_VIDEO_TOKENS = 240
"""Four tokens per minute of an hour."""


def measure(scale: float) -> Table:
    """Measure questions about ten minutes and about an hour, each in its own process."""
    # Imported here because the measured process does not need it.
    from langchain_videochat.media import probe
    from tests.benchmarks.media import repeated, talk

    short = talk(max(60, round(TALK_SECONDS * scale)), RATE)
    long = repeated(short, TIMES)
    with tempfile.TemporaryDirectory() as folder:
        _save_apart(Path(folder))
        short_peak, short_tokens, short_seconds = _ask_apart(folder, short)
        long_peak, long_tokens, long_seconds = _ask_apart(folder, long)
    table = Table("Memory: peak of VideoChatEmbed answering one question, in a new process", "MiB")
    reference = f"the first {probe(short).duration:.0f} s of it"
    table.cost(f"a talk of {probe(long).duration:.0f} s", long_peak, reference, short_peak, at_most=1.2)
    table.notes = [
        f"A tiny model; 720p at {RATE} frames a second, in segments of {SEGMENT_SECONDS} s: {long_tokens} "
        f"visual tokens, the first part {short_tokens}. Seconds, with loading the model: {long_seconds:.0f}, the first "
        f"part {short_seconds:.0f}."
    ]
    return table


def _save_apart(folder: Path) -> None:
    # The peak memory of this process would count as that of the processes that it starts.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        pool.submit(_save, folder).result()


def _save(folder: Path) -> None:
    from tests.benchmarks.real_videochat import TINY, save_small

    save_small(folder, TINY)


def _ask_apart(folder: str, video: Path) -> tuple[float, str, float]:
    progress(f"  asking about {video.name}")
    command = [sys.executable, "-m", __name__, folder, str(video)]
    begin = time.perf_counter()
    peak, tokens = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return float(peak), tokens, time.perf_counter() - begin


def _ask(folder: str, video: Path) -> int:
    """Answer a question, and return the number of visual tokens."""
    from langchain_core.messages import HumanMessage

    from langchain_videochat import VideoChatEmbed

    block = {"type": "video", "url": video.as_uri(), "mime_type": "video/mp4"}
    question = HumanMessage([block, {"type": "text", "text": "What is happening here?"}])
    llm = VideoChatEmbed(
        model=folder,
        device="cpu",
        max_tokens=100,
        long_video="segments",
        segment_seconds=SEGMENT_SECONDS,
        max_video_tokens=MAX_VIDEO_TOKENS,
    )
    usage: Any = llm.invoke([question]).usage_metadata
    return int(usage["input_token_details"]["video"])


if __name__ == "__main__":
    visual_tokens = _ask(sys.argv[1], Path(sys.argv[2]))
    print(peak_mib(), visual_tokens)
