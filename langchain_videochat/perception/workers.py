"""A perceiver at work in a thread of its own."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

from langchain_videochat.perception.base import Perceiver
from langchain_videochat.perception.observation import Observation
from langchain_videochat.utils.concurrency import Worker

QUEUE = 2
"""Parts of the video that may wait for a perceiver: enough to keep it busy, and a bound for the frames in memory."""


OnError = Callable[[Perceiver[Any], Exception], None]


@dataclass(frozen=True)
class _Result:
    observations: list[Observation]
    reached: float
    watermark: float


class PerceiverWorker:
    """Hands parts of the video to a perceiver, and takes what it tells, while other lanes do the same.

    Args:
        perceiver: Who perceives.
        start: Seconds at which the stretch begins.
        on_error: Called when the perceiver fails, after which it is handed nothing more.
    """

    def __init__(self, perceiver: Perceiver[Any], start: float, on_error: OnError) -> None:
        self.perceiver = perceiver
        self.reached = start
        """Seconds up to which it has perceived."""
        self.watermark = start
        """Seconds before which it will tell nothing any more."""
        self._on_error = on_error
        self._failed = False
        self._worker = Worker[_Result](close=lambda: None)
        self._waiting = 0

    def hand(self, part: Any, reached: float) -> None:
        """Hand over the next part of the video, or None if there is nothing in it; it ends at `reached` seconds."""
        work = self.perceiver.perceive if part is not None else _nothing
        self._do(partial(_perceive, self.perceiver, work, part, reached))

    def finish(self, end: float) -> None:
        """Let the perceiver tell what is left; the stretch ends at `end` seconds."""
        self._do(partial(_perceive, self.perceiver, self.perceiver.finish, end, inf))

    def take(self, limit: int) -> Iterator[Observation]:
        """Take what was told, and wait until no more than `limit` parts are left to do."""
        while self._waiting > limit or (self._waiting and self._worker.ready):
            self._waiting -= 1
            try:
                result = self._worker.result()
            except Exception as error:
                self._failed = True
                self._waiting = 0
                self.reached = self.watermark = inf
                self._on_error(self.perceiver, error)
                return
            self.reached, self.watermark = result.reached, result.watermark
            yield from result.observations

    def stop(self) -> None:
        """Give up what has not been done yet."""
        self._worker.stop()

    def _do(self, job: Callable[[], _Result]) -> None:
        if not self._failed:
            self._worker.hand(job)
            self._waiting += 1


def _perceive(
    perceiver: Perceiver[Any], work: Callable[[Any], Iterable[Observation]], part: Any, reached: float
) -> _Result:
    observations = list(work(part))
    since = perceiver.pending_since
    return _Result(observations, reached, reached if since is None else min(reached, since))


def _nothing(_: Any) -> Iterable[Observation]:
    return ()
