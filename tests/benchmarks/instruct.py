"""Generation of instruction data with a model that answers immediately. Run as a program, it measures one run."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.memory import peak_mib
from tests.benchmarks.report import Table, progress

ITEMS = 10_000
SMALL_RUN = 10
"""The small run, for comparing memory, has one in so many of the items."""

ITEMS_PER_VIDEO = 4
"""A description, and a conversation of each kind."""

TARGET_RATE = 200.0
"""Items per second."""


def measure(scale: float) -> Table:
    """Measure a small and a large run, each in its own process."""
    videos = max(2 * SMALL_RUN, round(ITEMS * scale) // ITEMS_PER_VIDEO)
    with tempfile.TemporaryDirectory() as folder:
        _store(Path(folder), videos)
        few, few_seconds = _measure_run(Path(folder), videos // SMALL_RUN)
        many, many_seconds = _measure_run(Path(folder), videos)
    items, few_items = videos * ITEMS_PER_VIDEO, videos // SMALL_RUN * ITEMS_PER_VIDEO
    table = Table("Instruction data: from a store, with a model that answers immediately", "s")
    table.speed(
        f"{items:,} items", many_seconds, f"{TARGET_RATE:.0f} items per second", items / TARGET_RATE, at_least=1
    )
    table.cost(f"peak memory of {items:,} items, in MiB", many, f"that of {few_items:,}", few, at_most=1.1)
    table.notes = [
        f"{ITEMS_PER_VIDEO} items per video: a description with its correction and three conversations; all gates, "
        f"items written one by one. {few_items:,} items take {few_seconds:.1f} s, loading included."
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


def _measure_run(folder: Path, videos: int) -> tuple[float, float]:
    progress(f"  generating {videos * ITEMS_PER_VIDEO:,} items")
    command = [sys.executable, "-m", __name__, str(folder), str(videos)]
    peak, seconds = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return peak, seconds


def _generate(folder: Path, videos: int) -> float:
    from langchain_videochat import VideoTimelineStore
    from langchain_videochat.instruct import InstructionPlan, generate_instructions
    from langchain_videochat.instruct.items import ITEM_KINDS
    from langchain_videochat.instruct.timelines import StoredTimelines
    from tests.benchmarks.search import RandomEmbeddings
    from tests.instruct_data import WORDS, Writer

    store = VideoTimelineStore(folder / "store", embedding=RandomEmbeddings())
    timelines = StoredTimelines(store, [record.video_id for record in store.videos()][:videos])
    plan = InstructionPlan(ITEM_KINDS, words=WORDS)
    begin = time.perf_counter()
    report = generate_instructions(Writer(), timelines, folder / f"made {videos}", plan, show_progress=False)
    seconds = time.perf_counter() - begin
    assert report.generated.total() == videos * ITEMS_PER_VIDEO, report
    return seconds


if __name__ == "__main__":
    taken = _generate(Path(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps([peak_mib(), taken]))
