"""Background threads whose work can be abandoned at any time."""

import atexit
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Worker(Generic[T]):
    """Runs jobs one after another in a background thread.

    Args:
        close: Called in that thread at the end, so that no resource is closed while a job is using it.

    Example:
        >>> worker = Worker[int](close=lambda: None)
        >>> worker.submit(lambda: 2 + 3)
        >>> worker.result()
        5
        >>> worker.stop()
    """

    def __init__(self, close: Callable[[], object]) -> None:
        self._close = close
        self._jobs: SimpleQueue[Callable[[], T] | None] = SimpleQueue()
        self._results: SimpleQueue[Future[T]] = SimpleQueue()
        self._stopped = False
        _idle_thread().start_worker(self)

    def submit(self, job: Callable[[], T]) -> None:
        """Add a job to the queue. It runs in the caller's context (see `contextvars`)."""
        self._jobs.put(partial(copy_context().run, job))

    @property
    def ready(self) -> bool:
        """Whether a result is available without waiting."""
        return not self._results.empty()

    def result(self) -> T:
        """Wait for the next result, in the order of submission, or raise the error of its job."""
        return self._results.get().result()

    def stop(self) -> None:
        """Stop after the current job, without waiting for it.

        The garbage collector may call this anywhere, even during another call of it, and SimpleQueue is reentrant.
        """
        self._stopped = True
        self._jobs.put(None)

    def run(self) -> None:
        """Run the submitted jobs until the worker is stopped. The thread calls this."""
        try:
            while (job := self._jobs.get()) is not None and not self._stopped:
                self._results.put(_run_job(job))
        finally:
            self._close()


def _run_job(job: Callable[[], T]) -> Future[T]:
    outcome: Future[T] = Future()
    try:
        outcome.set_result(job())
    except BaseException as error:  # raised by `Worker.result`
        outcome.set_exception(error)
    return outcome


class _WorkerThread(threading.Thread):
    """Runs one worker after another.

    Threads are reused because glibc and other libraries keep memory for each thread that has called them. With new
    threads for each segment, indexing two hours of video peaked at 1.41 times the memory of ten minutes.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.worker: Worker[Any] | None = None
        self._workers: SimpleQueue[Worker[Any] | None] = SimpleQueue()
        self.start()

    def start_worker(self, worker: Worker[Any]) -> None:
        """Run a worker; the thread must be idle."""
        self.worker = worker
        self._workers.put(worker)

    def end(self) -> None:
        """End after the current job, if any, without waiting for it."""
        if self.worker is not None:
            self.worker.stop()
        self._workers.put(None)

    def run(self) -> None:
        while (worker := self._workers.get()) is not None:
            worker.run()
            # An idle thread must not keep the objects of its last worker alive.
            self.worker = worker = None
            _IDLE.append(self)


_IDLE: list[_WorkerThread] = []
if hasattr(os, "register_at_fork"):
    # Threads do not survive a fork.
    os.register_at_fork(after_in_child=_IDLE.clear)


def _idle_thread() -> _WorkerThread:
    try:
        return _IDLE.pop()
    except IndexError:
        return _WorkerThread()


@atexit.register
def _end_all() -> None:
    """Wait for all threads: the interpreter must not kill one inside a library call."""
    threads = [thread for thread in threading.enumerate() if isinstance(thread, _WorkerThread)]
    for thread in threads:
        thread.end()
    for thread in threads:
        thread.join()


def run_with_timeout(job: Callable[[], T], seconds: float) -> T:
    """Run a job in a background thread, and abandon it if it takes too long.

    An abandoned job keeps running, but nothing waits for it, not even the interpreter at exit.

    Raises:
        TimeoutError: The job took longer.

    Example:
        >>> run_with_timeout(lambda: 2 + 3, seconds=10)
        5
    """
    if seconds <= 0:
        raise TimeoutError
    outcome: SimpleQueue[Future[T]] = SimpleQueue()
    run = partial(copy_context().run, job)
    threading.Thread(target=lambda: outcome.put(_run_job(run)), daemon=True).start()
    try:
        finished = outcome.get(timeout=min(seconds, threading.TIMEOUT_MAX))
    except Empty:
        raise TimeoutError from None
    return finished.result()


def prefetch(items: Generator[T]) -> Iterator[T]:
    """Compute each item of a generator in a background thread while the previous one is in use.

    Example:
        >>> list(prefetch(letter.upper() for letter in "abc"))
        ['A', 'B', 'C']
    """
    worker = Worker[list[T]](close=items.close)

    def next_item() -> list[T]:
        return list(islice(items, 1))

    try:
        worker.submit(next_item)
        while item := worker.result():
            worker.submit(next_item)
            yield item[0]
    finally:
        worker.stop()


def iter_concurrent(jobs: Iterable[Iterable[T]], max_workers: int) -> Iterator[T]:
    """Iterate over several jobs in threads and yield their results as they arrive.

    Args:
        jobs: Iterables of results. The next one is requested only when a thread is free for it.
        max_workers: Number of threads.

    Raises:
        BaseException: The error of a job or of `jobs`. The threads stop after their next result.

    Example:
        >>> sorted(iter_concurrent(["ab", "cd", "ef"], max_workers=2))
        ['a', 'b', 'c', 'd', 'e', 'f']
    """
    # A one-tuple holds a result; the Future of a thread marks its end.
    results: SimpleQueue[tuple[T] | Future[None]] = SimpleQueue()
    stopped, lock, remaining = threading.Event(), threading.Lock(), iter(jobs)

    def run_jobs() -> None:
        while not stopped.is_set():
            with lock:
                job = next(remaining, None)
            if job is None:
                return
            for result in job:
                results.put((result,))
                if stopped.is_set():
                    return

    threads = ThreadPoolExecutor(max_workers)
    for _ in range(max_workers):
        threads.submit(run_jobs).add_done_callback(results.put)
    running = max_workers
    try:
        while running:
            result = results.get()
            if isinstance(result, Future):
                result.result()
                running -= 1
            else:
                yield result[0]
    finally:
        stopped.set()
        threads.shutdown(wait=False)
