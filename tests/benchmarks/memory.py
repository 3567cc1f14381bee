"""Peak memory of indexing long videos. Run as a program, index one file and print the peak memory in MiB."""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.report import Table, progress

TALK_SECONDS = 600
RATE = 5
REPETITIONS = 12
"""Repetitions of the talk of ten minutes that make two hours."""

LIMIT_MIB = 1536.0


def measure(scale: float) -> Table:
    """Index ten minutes and two hours of video, each in a new process."""
    # The measured program does not need these imports.
    from langchain_videochat.media import probe
    from tests.benchmarks.media import repeated, talk

    short = talk(max(60, round(TALK_SECONDS * scale)), RATE)
    long = repeated(short, REPETITIONS)
    short_peak, short_seconds = _index_in_new_process(short)
    long_peak, long_seconds = _index_in_new_process(long)
    name = f"a talk of {probe(long).duration:.0f} s"
    table = Table("Memory: peak of indexing with `lite`, in a new process with the embedding model", "MiB")
    table.cost(name, long_peak, f"the first {probe(short).duration:.0f} s of it", short_peak, at_most=1.1)
    table.cost(name, long_peak, "1.5 GiB", LIMIT_MIB, at_most=1)
    table.notes = [
        f"The talk is 720p at {RATE} frames per second and repeats its first part {REPETITIONS} times. Including "
        f"model loading, indexing takes {long_seconds:.0f} s, and {short_seconds:.0f} s for the first part."
    ]
    return table


def _index_in_new_process(video: Path) -> tuple[float, float]:
    progress(f"  indexing {video.name}")
    command = [sys.executable, "-m", __name__, str(video)]
    start = time.perf_counter()
    peak = float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return peak, time.perf_counter() - start


def peak_mib() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


if __name__ == "__main__":
    from langchain_videochat import VideoTimelineStore

    with tempfile.TemporaryDirectory() as folder:
        VideoTimelineStore(folder).index(Path(sys.argv[1]), profile="lite", show_progress=False)
        print(peak_mib())
