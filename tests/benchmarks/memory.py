"""The peak memory of indexing long videos; as a program, it indexes one file and prints its own peak in MiB."""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.report import Table, progress

TALK_SECONDS = 600
RATE = 5
TIMES = 12
"""How often the talk of ten minutes is repeated for two hours."""

LIMIT_MIB = 1536.0


def measure(scale: float) -> Table:
    """Index ten minutes and two hours in a process each."""
    # Imported here, as the measured program has no use for it.
    from langchain_videochat.media import probe
    from tests.benchmarks.media import repeated, talk

    short = talk(max(60, round(TALK_SECONDS * scale)), RATE)
    long = repeated(short, TIMES)
    short_peak, short_seconds = _index_apart(short)
    long_peak, long_seconds = _index_apart(long)
    what = f"a talk of {probe(long).duration:.0f} s"
    table = Table("Memory: peak of indexing with `lite`, in a new process with the embedding model", "MiB")
    table.cost(what, long_peak, f"the first {probe(short).duration:.0f} s of it", short_peak, at_most=1.1)
    table.cost(what, long_peak, "1.5 GiB", LIMIT_MIB, at_most=1)
    table.notes = [
        f"The talk is 720p at {RATE} frames a second, its first part {TIMES} times in a row. Seconds, with loading the "
        f"models: {long_seconds:.0f}, the first part {short_seconds:.0f}."
    ]
    return table


def _index_apart(video: Path) -> tuple[float, float]:
    progress(f"  indexing {video.name}")
    command = [sys.executable, "-m", __name__, str(video)]
    begin = time.perf_counter()
    peak = float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return peak, time.perf_counter() - begin


def peak_mib() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


if __name__ == "__main__":
    from langchain_videochat import VideoTimelineStore

    with tempfile.TemporaryDirectory() as folder:
        VideoTimelineStore(folder).index(Path(sys.argv[1]), profile="lite", show_progress=False)
        print(peak_mib())
