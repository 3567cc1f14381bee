"""Work in other threads, which whoever asked for it may leave at any time."""

import atexit
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from itertools import islice
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class Worker(threading.Thread, Generic[T]):
    """A thread that does one job after another until it is stopped.

    Args:
        close: Called in the thread at its end: what a job opens is never closed while a job is using it.

    Example:
        >>> worker = Worker[int](close=lambda: None)
        >>> worker.hand(lambda: 2 + 3)
        >>> worker.result()
        5
        >>> worker.stop()
    """

    def __init__(self, close: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._close = close
        self._jobs: SimpleQueue[Callable[[], T] | None] = SimpleQueue()
        self._results: SimpleQueue[Future[T]] = SimpleQueue()
        self._stopped = False
        self.start()

    def hand(self, job: Callable[[], T]) -> None:
        """Add a job to those that wait."""
        self._jobs.put(job)

    @property
    def ready(self) -> bool:
        """Whether a result can be had without waiting."""
        return not self._results.empty()

    def result(self) -> T:
        """Wait for the next job's result, in the order of handing them.

        Raises:
            BaseException: What the job raised.
        """
        return self._results.get().result()

    def stop(self) -> None:
        """End the thread after the job that it is at, without waiting for that.

        Garbage collection may call this anywhere, even within another call of it: a SimpleQueue bears that.
        """
        self._stopped = True
        self._jobs.put(None)

    def run(self) -> None:
        """Do what was handed over."""
        try:
            while (job := self._jobs.get()) is not None and not self._stopped:
                self._results.put(_outcome(job))
        finally:
            self._close()


def _outcome(job: Callable[[], T]) -> Future[T]:
    outcome: Future[T] = Future()
    try:
        outcome.set_result(job())
    except BaseException as error:  # raised where the result is awaited
        outcome.set_exception(error)
    return outcome


@atexit.register
def _stop_all() -> None:
    """Let no thread be cut off within a library's code when the program ends."""
    workers = [thread for thread in threading.enumerate() if isinstance(thread, Worker)]
    for worker in workers:
        worker.stop()
    for worker in workers:
        worker.join()


def one_ahead(items: Generator[T]) -> Iterator[T]:
    """Make each item of a generator in another thread, while the one before it is in use.

    Raises:
        BaseException: What the generator raises.

    Example:
        >>> list(one_ahead(letter.upper() for letter in "abc"))
        ['A', 'B', 'C']
    """
    worker = Worker[list[T]](close=items.close)

    def make() -> list[T]:
        return list(islice(items, 1))

    try:
        worker.hand(make)
        while item := worker.result():
            worker.hand(make)
            yield item[0]
    finally:
        worker.stop()
