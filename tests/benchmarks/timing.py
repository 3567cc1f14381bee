"""Taking times."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.benchmarks.report import progress

Seconds = defaultdict[str, float]
"""The seconds that kinds of work have taken."""


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def rounds(works: Mapping[str, Callable[[], object]], count: int) -> dict[str, list[float]]:
    """Time each work `count` times, in turns, so that a busy minute of the machine falls on all of them."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(count):
        for name, work in works.items():
            progress(f"  {name} ({number + 1} of {count})")
            taken[name].append(seconds(work))
    return taken


def best_of(works: Mapping[str, Callable[[], object]], count: int) -> dict[str, float]:
    """Time each work in turns and take its best: what disturbs a run only ever makes it longer."""
    return {name: min(times) for name, times in rounds(works, count).items()}


def percentile_95(times: Sequence[float]) -> float:
    """The time that 95 of 100 stay under."""
    return sorted(times)[int(len(times) * 0.95)]


def watch(thing: Any, method: str, taken: Seconds, name: str) -> None:
    """Add the time of all calls of a method, whose result is something to iterate over, to `taken[name]`."""
    original = getattr(thing, method)

    def timed(*arguments: Any) -> list[Any]:
        begin = time.perf_counter()
        result = list(original(*arguments))
        taken[name] += time.perf_counter() - begin
        return result

    setattr(thing, method, timed)
