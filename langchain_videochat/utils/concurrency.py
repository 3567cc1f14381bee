"""Work in other threads, which whoever asked for it may leave at any time."""

import atexit
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Worker(Generic[T]):
    """Does one job after another in another thread, until it is stopped.

    Args:
        close: Called in that thread at the end: what a job opens is never closed while a job is using it.

    Example:
        >>> worker = Worker[int](close=lambda: None)
        >>> worker.hand(lambda: 2 + 3)
        >>> worker.result()
        5
        >>> worker.stop()
    """

    def __init__(self, close: Callable[[], object]) -> None:
        self._close = close
        self._jobs: SimpleQueue[Callable[[], T] | None] = SimpleQueue()
        self._results: SimpleQueue[Future[T]] = SimpleQueue()
        self._stopped = False
        _idle_thread().serve(self)

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
        """End after the job that it is at, without waiting for that.

        Garbage collection may call this anywhere, even within another call of it: a SimpleQueue bears that.
        """
        self._stopped = True
        self._jobs.put(None)

    def work(self) -> None:
        """Do what is handed over; this is called by the thread."""
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


class _Thread(threading.Thread):
    """Serves one worker after another: libraries keep memory for each thread that ever called them."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.worker: Worker[Any] | None = None
        self._workers: SimpleQueue[Worker[Any] | None] = SimpleQueue()
        self.start()

    def serve(self, worker: Worker[Any]) -> None:
        """Take up the next worker, where there is none."""
        self.worker = worker
        self._workers.put(worker)

    def end(self) -> None:
        """End after the job that its worker is at, if any, without waiting for that."""
        if self.worker is not None:
            self.worker.stop()
        self._workers.put(None)

    def run(self) -> None:
        while (worker := self._workers.get()) is not None:
            worker.work()
            # An idle thread must not keep what its last worker held.
            self.worker = worker = None
            _IDLE.append(self)


_IDLE: list[_Thread] = []
if hasattr(os, "register_at_fork"):
    # A forked process has none of these threads.
    os.register_at_fork(after_in_child=_IDLE.clear)


def _idle_thread() -> _Thread:
    try:
        return _IDLE.pop()
    except IndexError:
        return _Thread()


@atexit.register
def _end_all() -> None:
    """Let no thread be cut off within a library's code when the program ends."""
    threads = [thread for thread in threading.enumerate() if isinstance(thread, _Thread)]
    for thread in threads:
        thread.end()
    for thread in threads:
        thread.join()


def prefetch(items: Generator[T]) -> Iterator[T]:
    """Make each item of a generator in another thread, while the one before it is in use.

    Raises:
        BaseException: What the generator raises.

    Example:
        >>> list(prefetch(letter.upper() for letter in "abc"))
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


def iter_concurrent(jobs: Iterable[Iterable[T]], at_once: int) -> Iterator[T]:
    """Yield what several jobs yield, as it comes.

    Args:
        jobs: One at a time is taken, in whatever thread is free, and followed there.
        at_once: How many threads there are.

    Raises:
        BaseException: What a job raises, or what `jobs` does. The threads then end after what they are at.

    Example:
        >>> sorted(iter_concurrent(["ab", "cd", "ef"], at_once=2))
        ['a', 'b', 'c', 'd', 'e', 'f']
    """
    # The Future of a thread tells that it has ended.
    told: SimpleQueue[tuple[T] | Future[None]] = SimpleQueue()
    stopped, turn, waiting = threading.Event(), threading.Lock(), iter(jobs)

    def follow() -> None:
        while not stopped.is_set():
            with turn:
                job = next(waiting, None)
            if job is None:
                return
            for result in job:
                told.put((result,))
                if stopped.is_set():
                    return

    threads = ThreadPoolExecutor(at_once)
    for _ in range(at_once):
        threads.submit(follow).add_done_callback(told.put)
    running = at_once
    try:
        while running:
            result = told.get()
            if isinstance(result, Future):
                result.result()
                running -= 1
            else:
                yield result[0]
    finally:
        stopped.set()
        threads.shutdown(wait=False)
