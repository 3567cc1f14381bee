"""Peak memory of indexing long videos. Run as a program, print that of one file and profile in MiB."""

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

LIMITS_GIB = {"lite": 1.5, "talk": 2.0}
"""Limits of the peak by profile. Whisper base has its own weights."""


def measure(scale: float) -> Table:
    """Index ten minutes and two hours of a talk with each profile, each in a new process."""
    # The measured program does not need these imports.
    from tests.benchmarks.media import repeated, talk, with_sound
    from tests.benchmarks.real_models import talk_profile

    short = with_sound(talk(max(60, round(TALK_SECONDS * scale)), RATE))
    long = repeated(short, REPETITIONS)
    table = Table("Memory: peak of indexing, in a new process with the embedding model", "MiB")
    for name, profile in {"lite": "lite", "talk": str(talk_profile())}.items():
        _add_profile(table, name, profile, short, long)
    table.notes.append(
        f"The talk is 720p at {RATE} frames per second, has a sentence every five seconds, and repeats its first part "
        f"{REPETITIONS} times. Times include loading the models."
    )
    return table


def _add_profile(table: Table, name: str, profile: str, short: Path, long: Path) -> None:
    from langchain_videochat.media import probe

    first, whole = (f"{probe(video).duration:.0f} s" for video in (short, long))
    short_peak, short_seconds = _index_in_new_process(short, profile)
    long_peak, long_seconds = _index_in_new_process(long, profile)
    limit = LIMITS_GIB[name]
    table.cost(f"`{name}`, {whole}", long_peak, f"the first {first}", short_peak, at_most=1.1)
    table.cost(f"`{name}`, {whole}", long_peak, f"{limit:g} GiB", limit * 1024, at_most=1)
    table.notes.append(f"`{name}` takes {long_seconds:.0f} s for {whole}, and {short_seconds:.0f} s for {first}.")


def _index_in_new_process(video: Path, profile: str) -> tuple[float, float]:
    progress(f"  indexing {video.name} with {profile}")
    command = [sys.executable, "-m", __name__, str(video), profile]
    start = time.perf_counter()
    peak = float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return peak, time.perf_counter() - start


def peak_mib() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


if __name__ == "__main__":
    from langchain_videochat import VideoTimelineStore

    with tempfile.TemporaryDirectory() as folder:
        VideoTimelineStore(folder).index(Path(sys.argv[1]), profile=sys.argv[2], show_progress=False)
        print(peak_mib())
