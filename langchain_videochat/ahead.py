"""Working one step ahead, in another thread."""

from collections.abc import Generator, Iterator
from concurrent.futures import Future
from contextlib import closing
from itertools import islice
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def one_ahead(items: Generator[T]) -> Iterator[T]:
    """Make each item while the one before it is in use.

    All that the generator does happens in one thread, its end too: it never closes a file that it is reading. Who
    leaves early does not wait for that.

    Raises:
        BaseException: Whatever the generator raises.

    Example:
        >>> list(one_ahead(letter.upper() for letter in "abc"))
        ['A', 'B', 'C']
    """
    asked: SimpleQueue[bool] = SimpleQueue()
    made: SimpleQueue[Future[list[T]]] = SimpleQueue()
    Thread(target=_make, args=(items, asked, made), daemon=True).start()
    try:
        asked.put(True)
        while item := made.get().result():
            asked.put(True)
            yield item[0]
    finally:
        # Garbage collection can run this anywhere, even within another call of it. A SimpleQueue bears that.
        asked.put(False)


def _make(items: Generator[T], asked: SimpleQueue[bool], made: SimpleQueue[Future[list[T]]]) -> None:
    with closing(items):
        while asked.get():
            step: Future[list[T]] = Future()
            try:
                step.set_result(list(islice(items, 1)))
            except BaseException as error:  # raised where the item is awaited
                step.set_exception(error)
            made.put(step)
