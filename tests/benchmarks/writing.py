"""Latency of searches while three processes write to the same store without a pause."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import chromadb

from langchain_videochat import VideoTimelineStore
from tests.benchmarks.report import Table, progress
from tests.benchmarks.search import MOMENTS_PER_VIDEO, RandomEmbeddings, make_timeline, random_words
from tests.benchmarks.timing import busy_cpus, percentile_95, seconds
from tests.chroma_server import run_chroma_server

VIDEOS = 50
SEARCHES = 200
WRITERS = 3

PAUSE_SECONDS = 0.05
"""Seconds between two searches, at rest and while others write."""

MAX_RATIO = 2.0


def measure(scale: float) -> Table:
    """Search a store on a server and one in a directory, at rest and while others write."""
    table = Table("Search while three processes write: 95th percentile", "ms")
    videos, searches = max(2, round(VIDEOS * scale)), max(20, round(SEARCHES * scale))
    for place in ("a Chroma server", "a directory"):
        with TemporaryDirectory() as folder, _serving(place, Path(folder)) as where:
            _measure_store(table, place, where, videos, searches)
    table.notes = [
        f"{videos * MOMENTS_PER_VIDEO:,} moments at the start; {WRITERS} processes add videos of {MOMENTS_PER_VIDEO} "
        f"moments without a pause, or compute without writing, which keeps the CPUs as busy. {searches} queries of "
        f"eight words, {PAUSE_SECONDS * 1000:g} ms apart."
    ]
    return table


def _measure_store(table: Table, place: str, where: str, videos: int, searches: int) -> None:
    progress(f"  {place}")
    store = open_store(where)
    generator = random.Random(0)
    for number in range(videos):
        store.add(make_timeline(f"{number:016x}", MOMENTS_PER_VIDEO, generator))
    store.search("word1")
    at_rest = _search(store, searches)
    with busy_cpus(WRITERS):
        while_computing = _search(store, searches)
    with _writers(where):
        store.search("word1")  # after a pause, so that it updates the index itself
        while_writing = _search(store, searches)
    table.cost(f"search a store in {place}", while_writing, "at rest", at_rest, at_most=MAX_RATIO)
    table.cost(f"search a store in {place}", while_writing, "while others compute", while_computing)


def _search(store: VideoTimelineStore, searches: int) -> float:
    generator, times = random.Random(1), []
    for _ in range(searches):
        query = " ".join(random_words(generator, 8))
        times.append(1000 * seconds(lambda query=query: store.search(query)))  # type: ignore[misc]
        time.sleep(PAUSE_SECONDS)
    return percentile_95(times)


@contextmanager
def _serving(place: str, folder: Path) -> Iterator[str]:
    """Provide a directory, or the port of a server."""
    if place == "a directory":
        yield str(folder)
        return
    with run_chroma_server(folder) as (port, _):
        yield str(port)


@contextmanager
def _writers(where: str) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.benchmarks.writing", where]
    processes = [subprocess.Popen([*command, str(number)], stdout=subprocess.PIPE) for number in range(WRITERS)]
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()  # It has written its first video.
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def open_store(where: str) -> VideoTimelineStore:
    """Open the store at a port, or in a directory."""
    embedding = RandomEmbeddings()
    if where.isdigit():
        return VideoTimelineStore(client=chromadb.HttpClient(host="127.0.0.1", port=int(where)), embedding=embedding)
    return VideoTimelineStore(where, embedding=embedding)


def write_forever(where: str, name: str) -> None:
    """Add videos until the process is killed."""
    store, generator = open_store(where), random.Random(name)
    for number in range(sys.maxsize):
        store.add(make_timeline(f"{name}-{number}", MOMENTS_PER_VIDEO, generator))
        print(number, flush=True)


if __name__ == "__main__":
    write_forever(*sys.argv[1:])
