"""Memory of this process."""

import gc
import threading
from types import TracebackType
from typing import Self

import psutil

SAMPLING_SECONDS = 0.02
"""Interval at which the memory is measured."""


class PeakMemory:
    """Measures by how much the resident memory of this process grows inside a `with` block.

    Memory that was freed before, and that the process has kept, is used again without growth.

    Example:
        >>> with PeakMemory() as memory:
        ...     content = b"x" * 400_000_000
        >>> memory.growth > 200_000_000
        True
    """

    growth = 0
    """Bytes by which it grew at most."""

    def __enter__(self) -> Self:
        gc.collect()
        self._process = psutil.Process()
        self._start = self._process.memory_info().rss
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._finished.set()
        self._thread.join()

    def _sample(self) -> None:
        is_finished = False
        while not is_finished:
            is_finished = self._finished.wait(SAMPLING_SECONDS)
            self.growth = max(self.growth, self._process.memory_info().rss - self._start)
