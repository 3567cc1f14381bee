"""Keeping the local index up to date while searches keep coming, without letting them wait."""

import atexit
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERVAL = 0.5
"""Seconds between updates in the background: a search sees what others had written a second before."""

FOLLOW_SECONDS = 30.0
"""Seconds after the last search during which the index is updated in the background."""

MAX_PAUSE = 0.01
"""Seconds that a step of an update waits for searches: if these follow one another without a gap, a tenth of the time
is left for updates."""

EXIT_SECONDS = 5.0
"""Seconds that the interpreter waits at exit for a step of an update."""


class IndexFollower:
    """Updates the local index: in a background thread, or before a search if it has to.

    Errors of the thread are not lost: the next search updates the index itself, and raises them.

    Args:
        update: Updates the index.
        count_writes: Returns how often this process has written to the store.
    """

    def __init__(self, update: Callable[[], None], count_writes: Callable[[], int]) -> None:
        self._update = update
        self._count_writes = count_writes
        self._state = threading.Condition()
        self._updating = threading.RLock()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._seen_writes = -1
        self._last_search = 0.0
        self._searches = 0
        _FOLLOWERS.add(self)

    def ensure_current(self) -> None:
        """Update the index unless the thread does so, and has seen all writes of this process."""
        self._last_search = time.monotonic()
        if not self._is_followed():
            with self._updating:
                if not self._is_followed():  # Another search may have waited for the same update.
                    self.update()
                    self._start()

    def update(self) -> None:
        """Update the index now."""
        with self._updating:
            written = self._count_writes()
            self._update()
            self._seen_writes = written

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Let updates in the background wait during this block: both need Python's global lock."""
        with self._state:
            self._searches += 1
        try:
            yield
        finally:
            with self._state:
                self._searches -= 1
                self._state.notify_all()

    def pause(self) -> None:
        """Let searches run before the next step of an update in the background.

        Raises:
            InterruptedError: The update is to be abandoned, because the process ends.
        """
        if threading.current_thread() is not self._thread:
            return
        if self._stopped.is_set():
            raise InterruptedError
        with self._state:
            self._state.wait_for(lambda: not self._searches, MAX_PAUSE)

    def stop(self) -> None:
        """End the thread; the next search starts another one."""
        self._stopped.set()
        thread = self._thread
        if thread is not None:
            thread.join(EXIT_SECONDS)

    def _is_followed(self) -> bool:
        thread = self._thread  # It does not survive a fork.
        return thread is not None and thread.is_alive() and self._seen_writes == self._count_writes()

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._stopped = threading.Event()
            arguments = (weakref.ref(self), self._stopped)
            self._thread = threading.Thread(target=_follow, args=arguments, name="local index", daemon=True)
            self._thread.start()

    def follow(self) -> bool:
        """Update the index in the background; return whether to continue."""
        with self._updating:
            try:
                if time.monotonic() - self._last_search <= FOLLOW_SECONDS:
                    self.update()
                    return True
            except BaseException:  # noqa: S110 - the next search meets the error again, and raises it
                pass
            self._thread = None
            return False


_FOLLOWERS: "weakref.WeakSet[IndexFollower]" = weakref.WeakSet()


def _follow(reference: "weakref.ref[IndexFollower]", stopped: threading.Event) -> None:
    """Update an index until it is no longer searched. Holds no reference while it waits."""
    while not stopped.wait(INTERVAL):
        follower = reference()
        if follower is None or not follower.follow():
            return
        del follower


@atexit.register
def _stop_all() -> None:
    """Wait for all threads: the interpreter must not kill one inside a call of Chroma."""
    for follower in list(_FOLLOWERS):
        follower.stop()
