"""Timing."""

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tests.benchmarks.report import progress

Seconds = defaultdict[str, float]
"""Total seconds by kind of work."""


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def time_alternately(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Time each work once per round, so that other load on the machine affects all of them."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds):
        for name, work in works.items():
            progress(f"  {name} ({number + 1} of {rounds})")
            times[name].append(seconds(work))
    return times


def best_of(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the shortest time of each work: other load on the machine only ever adds time."""
    return {name: min(times) for name, times in time_alternately(works, rounds).items()}


def percentile_95(times: Sequence[float]) -> float:
    """Return the 95th percentile."""
    return sorted(times)[int(len(times) * 0.95)]


def time_method(owner: Any, method: str, totals: Seconds, name: str) -> None:
    """Patch a method that returns an iterable to add the time of its calls to `totals[name]`."""
    original = getattr(owner, method)

    def timed(*arguments: Any) -> list[Any]:
        start = time.perf_counter()
        result = list(original(*arguments))
        totals[name] += time.perf_counter() - start
        return result

    setattr(owner, method, timed)


@contextmanager
def busy_cpus(processes: int) -> Iterator[None]:
    """Keep the CPUs busy with some other processes."""
    command = [sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(command) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()
