"""Indexing with several workers: processes, Ray actors, the memory and the limits of the process that drives them."""

import heapq
import logging
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import psutil

from langchain_videochat import VideoTimelineStore
from tests.benchmarks.media import talk
from tests.benchmarks.report import Table, progress
from tests.benchmarks.search import RandomEmbeddings
from tests.subtitled_video import make_subtitled_video
from tests.worker_plugins import install_plugins, write_profile

WORKERS = 8
VIDEOS_PER_WORKER = 16
SECONDS = 4.0
"""How long a worker sleeps for each video: about as long as `lite` takes for three minutes."""

SHORT_VIDEOS = 1000

TALKS = 6
TALK_SECONDS = 300

MODELED_WORKERS = (1, 10, 100, 1000)


def measure(scale: float) -> Table:
    """Index videos with perceivers that sleep, and real ones."""
    table = Table("Indexing with several workers", "s")
    with TemporaryDirectory() as folder:
        _add_sleepers(table, Path(folder), max(2, round(VIDEOS_PER_WORKER * scale)))
        driver = _add_short_videos(table, Path(folder), max(40, round(SHORT_VIDEOS * scale)))
        _add_talks(table, Path(folder), max(2, round(TALKS * scale)))
    modeled = ", ".join(f"{workers:,}: {simulate(workers, driver).speedup:.1f}" for workers in MODELED_WORKERS)
    table.notes = [
        f"Workers sleep {SECONDS:g} s a video, so that {WORKERS} of them fit on two cores. Talks: 720p, "
        f"{TALK_SECONDS / 60:g} minutes, `lite`, one thread per process.",
        f"Simulated speed with segments of 30 s each, the measured {driver * 1000:.0f} ms of the driver per segment, "
        f"by number of workers: {modeled}.",
    ]
    return table


@dataclass(frozen=True)
class Run:
    """What indexing took."""

    seconds: float
    driver_seconds: float
    """CPU time of the process that drives it, per video."""

    memory: list[float]
    """Its resident memory in MiB after each video."""


def index(sources: list[str], profile: str | Path, **options: Any) -> Run:
    """Index videos into a new store."""
    store = VideoTimelineStore(embedding=RandomEmbeddings())
    process, memory = psutil.Process(), []
    begin, before = time.perf_counter(), process.cpu_times()
    for video in store.lazy_index(sources, profile=profile, on_error="raise", show_progress=False, **options):
        assert video.status == "indexed", video
        memory.append(process.memory_info().rss / 2**20)
    after = process.cpu_times()
    busy = after.user + after.system - before.user - before.system
    return Run(time.perf_counter() - begin, busy / len(sources), memory)


@dataclass(frozen=True)
class Simulation:
    """Indexing many segments of the same length."""

    speedup: float
    """How many times as fast it is as one worker."""


def simulate(workers: int, driver_seconds: float, segment_seconds: float = 30.0, segments: int = 20_000) -> Simulation:
    """Replay segments on workers which one driver supplies with work.

    Args:
        workers: Number of workers.
        driver_seconds: CPU time of the driver per segment.
        segment_seconds: Time of a worker per segment.
        segments: Number of segments.

    Example:
        >>> simulate(10, driver_seconds=0.001).speedup > 9.9
        True
        >>> round(simulate(1000, driver_seconds=0.1).speedup)
        300
    """
    free = [0.0] * workers
    supplied = 0.0
    for _ in range(segments):
        supplied = max(supplied, heapq.heappop(free)) + driver_seconds
        heapq.heappush(free, supplied + segment_seconds)
    return Simulation(segments * segment_seconds / max(free))


def _add_sleepers(table: Table, folder: Path, videos: int) -> None:
    plugins = install_plugins(folder / "plugins")
    sys.path.insert(0, str(plugins))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(plugins), os.environ.get("PYTHONPATH", "")])
    profile = write_profile(folder / "slow.yaml", sleeper=f"{{seconds: {SECONDS}}}")
    sources = _copies(folder / "sleep", WORKERS * videos)
    progress("  one worker, and eight")
    one = index(sources[:videos], profile, workers=1).seconds / videos
    processes = index(sources, profile, workers=WORKERS).seconds / len(sources)
    table.speed(f"{WORKERS} processes that sleep, per video", processes, "one", one, at_least=0.9 * WORKERS)
    with suppress(ImportError):
        import ray

        progress("  actors of Ray")
        ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        actors = index(sources, profile, workers=WORKERS, engine="ray").seconds / len(sources)
        cast("Any", ray).shutdown()
        table.cost(f"{WORKERS} actors of Ray, per video", actors, "processes", processes, at_most=1.05)


def _add_short_videos(table: Table, folder: Path, count: int) -> float:
    """Return the CPU time of the driver per video."""
    progress(f"  {count} short videos")
    run = index(_copies(folder / "short", count), write_profile(folder / "nothing.yaml"), workers=2)
    early, late = run.memory[count // 10], run.memory[-1]
    table.cost(f"memory of the driver in MiB after {count:,} short videos", late, f"after {count // 10}", early)
    return run.driver_seconds


def _add_talks(table: Table, folder: Path, count: int) -> None:
    progress("  talks with one worker, with two, and with two commands")
    (folder / "talks").mkdir()
    sources = [str(shutil.copy(talk(TALK_SECONDS), folder / "talks" / f"{number}.mp4")) for number in range(count)]
    for number, source in enumerate(sources):
        with open(source, "ab") as file:
            file.write(_padding(number))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

    def command(store: str, workers: int, videos: list[str]) -> subprocess.Popen[bytes]:
        options = ["--profile", "lite", "--workers", str(workers), "--store", str(folder / store), "--json"]
        program = [str(Path(sys.executable).with_name("videochat")), "index", *videos, *options]
        return subprocess.Popen(program, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def run(*started: subprocess.Popen[bytes]) -> float:
        begin = time.perf_counter()
        if sum(one.wait() for one in started):
            raise RuntimeError("a command failed")
        return time.perf_counter() - begin

    one = run(command("one", 1, sources))
    two = run(command("two", 2, sources))
    separate = run(command("first", 1, sources[::2]), command("second", 1, sources[1::2]))
    table.speed("two processes, real talks", two, "one", one, at_least=1.5)
    table.cost("two processes, real talks", two, "two commands", separate)


def _copies(folder: Path, count: int) -> list[str]:
    """Write videos that differ in a box that players skip."""
    content = make_subtitled_video(folder / "video.mp4", "This is a video", "and it is short").read_bytes()
    paths = [folder / f"{number:04}.mp4" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(content + _padding(number))
    return [str(path) for path in paths]


def _padding(number: int) -> bytes:
    return (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")
