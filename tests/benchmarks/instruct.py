"""Making instruction data with a model that answers at once; as a program, it makes some and prints what it took."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.memory import peak_mib
from tests.benchmarks.report import Table, progress

ITEMS = 10_000
FEWER = 10
"""Part of the items of which the memory is compared."""

KINDS = 4
"""Items of a video: a description, and a conversation of each kind."""

A_SECOND = 200.0


def measure(scale: float) -> Table:
    """Make few items and many, in a process each."""
    videos = max(2 * FEWER, round(ITEMS * scale) // KINDS)
    with tempfile.TemporaryDirectory() as folder:
        _store(Path(folder), videos)
        few, few_seconds = _make_apart(Path(folder), videos // FEWER)
        many, many_seconds = _make_apart(Path(folder), videos)
    items, fewer = videos * KINDS, videos // FEWER * KINDS
    table = Table("Instruction data: from a store, with a model that answers at once", "s")
    table.speed(f"{items:,} items", many_seconds, f"{A_SECOND:.0f} items a second", items / A_SECOND, at_least=1)
    table.cost(f"peak memory of {items:,} items, in MiB", many, f"that of {fewer:,}", few, at_most=1.1)
    table.notes = [
        f"{KINDS} items of each video: a description with its correction, and three conversations; all gates, each "
        f"item written at once. {fewer:,} items take {few_seconds:.1f} s, with loading what tells languages apart."
    ]
    return table


def _store(folder: Path, videos: int) -> None:
    from langchain_videochat import VideoTimelineStore
    from tests.benchmarks.search import RandomEmbeddings
    from tests.instruct_data import make_videos

    progress(f"  storing {videos:,} timelines")
    store = VideoTimelineStore(folder / "store", embedding=RandomEmbeddings())
    for timeline in make_videos(videos):
        store.add(timeline)


def _make_apart(folder: Path, videos: int) -> tuple[float, float]:
    progress(f"  making {videos * KINDS:,} items")
    command = [sys.executable, "-m", __name__, str(folder), str(videos)]
    peak, seconds = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return peak, seconds


def _make(folder: Path, videos: int) -> float:
    from langchain_videochat import VideoTimelineStore
    from langchain_videochat.instruct import Plan, make_instructions
    from langchain_videochat.instruct.items import KINDS as ALL
    from langchain_videochat.instruct.timelines import StoredTimelines
    from tests.benchmarks.search import RandomEmbeddings
    from tests.instruct_data import WORDS, Writer

    store = VideoTimelineStore(folder / "store", embedding=RandomEmbeddings())
    timelines = StoredTimelines(store, [record.video_id for record in store.videos()][:videos])
    plan = Plan(ALL, words=WORDS)
    begin = time.perf_counter()
    report = make_instructions(Writer(), timelines, folder / f"made {videos}", plan, show_progress=False)
    seconds = time.perf_counter() - begin
    assert report.made.total() == videos * KINDS, report
    return seconds


if __name__ == "__main__":
    taken = _make(Path(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps([peak_mib(), taken]))
