"""Perceivers running in separate threads."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from math import inf
from typing import Any

from langchain_videochat.media import OnDamage
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.perceiver import AnyPerceiver
from langchain_videochat.utils.concurrency import Worker
from langchain_videochat.utils.tracing import Stopwatch

QUEUE_SIZE = 2
"""Batches that may wait for a perceiver: enough to keep it busy, and a bound on the frames in memory."""

OnError = Callable[[AnyPerceiver, Exception], None]


class PerceiverWorker:
    """Runs a perceiver in another thread.

    Args:
        perceiver: The perceiver.
        start: Start of the segment in seconds.
        on_error: Called when the perceiver fails; it then receives nothing more.
        on_damage: Called for each damage that the perceiver finds.
    """

    def __init__(self, perceiver: AnyPerceiver, start: float, on_error: OnError, on_damage: OnDamage) -> None:
        self.perceiver = perceiver
        self.reached = start
        """Time in seconds up to which the video has been processed."""
        self.watermark = start
        """Time in seconds before which no further Observation will start."""
        self.stopwatch = Stopwatch(f"perceive {type(perceiver).__name__}")
        """Measures the time in which the perceiver runs."""
        self._on_error = on_error
        self._on_damage = on_damage
        # Created here: two threads that access a cached property for the first time could create two lists.
        self._damage = perceiver.damage
        self._failed = False
        self._worker = Worker[tuple[list[Observation], float, float]](close=lambda: None)
        self._pending = 0

    def submit(self, batch: Any, reached: float) -> None:
        """Submit the next batch; None if there is nothing for the perceiver before `reached` (seconds)."""
        self._submit(tuple if batch is None else partial(self.perceiver.perceive, batch), reached)

    def finish(self, end: float) -> None:
        """Submit the end of the segment, in seconds."""
        self._submit(partial(self.perceiver.finish, end), inf)

    def drain(self, max_pending: int) -> Iterator[Observation]:
        """Yield the available Observations, waiting until at most `max_pending` batches are unprocessed."""
        while self._pending > max_pending or (self._pending and self._worker.ready):
            self._pending -= 1
            try:
                observations, self.reached, self.watermark = self._worker.result()
            except Exception as error:
                self._failed = True
                self._pending = 0
                self.reached = self.watermark = inf
                self._report_damage()
                self._on_error(self.perceiver, error)
                return
            self._report_damage()
            yield from observations

    def stop(self) -> None:
        """Discard the batches that are still waiting."""
        self._worker.stop()

    def _report_damage(self) -> None:
        while self._damage:
            self._on_damage(self._damage.pop(0))

    def _submit(self, process: Callable[[], Iterable[Observation]], reached: float) -> None:
        if not self._failed:
            self._worker.submit(partial(_run, self.perceiver, self.stopwatch, process, reached))
            self._pending += 1


def _run(
    perceiver: AnyPerceiver, stopwatch: Stopwatch, process: Callable[[], Iterable[Observation]], reached: float
) -> tuple[list[Observation], float, float]:
    """Return the Observations, and the new values of `reached` and `watermark`."""
    with stopwatch.running():
        observations = list(process())
    since = perceiver.pending_since
    return observations, reached, reached if since is None else min(reached, since)
