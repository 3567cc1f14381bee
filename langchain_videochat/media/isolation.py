"""Decoding of untrusted files in worker processes that have limits and can be killed."""

import atexit
import inspect
import os
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from langchain_videochat.errors import MediaError, VideoChatError
from langchain_videochat.media.sources import local_path
from langchain_videochat.utils.worker_process import PLAIN_CLASSES, Limits, Request, WorkerDied, WorkerProcess

P = ParamSpec("P")
T = TypeVar("T")

MAX_BLOCKS = 4
"""Blocks of `isolated_media` that run at once; others wait. Each uses one process per stream of a video that it reads:
at most three."""

MAX_IDLE = 4
"""Processes that are kept for the next file: starting one takes as long as decoding a short video."""

MAX_CALLS = 100
"""Calls after which a process is replaced, in case a library leaks memory."""

MIN_SECONDS = 30.0
BYTES_PER_SECOND = 2**21
"""Time limit of a step, which ends with a result or a progress report: 30 seconds, and one more for every 2 MiB."""

MAX_MEMORY = 2 * 2**30
"""Bytes that a process may allocate: twice what decoding 8K video takes."""

_RESULTS = {"langchain_videochat.media.": (), **PLAIN_CLASSES}
"""Classes that results may contain."""

_is_isolated: ContextVar[bool] = ContextVar("is_isolated", default=False)
_slots = threading.BoundedSemaphore(MAX_BLOCKS)
_idle: list[WorkerProcess] = []
if hasattr(os, "register_at_fork"):
    # Two processes must not talk to one worker.
    os.register_at_fork(after_in_child=_idle.clear)


@contextmanager
def isolated_media() -> Iterator[None]:
    """Decode untrusted files in worker processes within the block.

    A damaged or hostile file can make FFmpeg crash, hang or exhaust memory. In a worker process, this only raises a
    MediaError: the process has limits on time and memory, and is killed when it exceeds them.

    This applies to calls to `probe`, `sample_frames`, `read_audio`, `read_picture`, `read_subtitles`,
    `read_subtitle_pictures`, `thumbnail` and `cut_clip` in this thread and in threads of this package that it starts.
    At most four blocks run at once; others wait. Do not yield from a block, except in a context manager.

    Example:
        >>> from langchain_videochat.media import probe
        >>> with isolated_media():
        ...     probe("upload.mp4")
        Traceback (most recent call last):
        langchain_videochat.errors.SourceError: upload.mp4: no such file. Check the path.
    """
    if _is_isolated.get():
        yield
        return
    with _slots:
        token = _is_isolated.set(True)
        try:
            yield
        finally:
            _is_isolated.reset(token)


def isolatable(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function run in a worker process within `isolated_media`.

    Its first argument is a file. The worker finds the function by its name in its module. Arguments and results must be
    picklable, but arguments may be callbacks, and the result may be an iterator.
    """
    signature = inspect.signature(function)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        if not _is_isolated.get():
            return function(*args, **kwargs)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return cast("T", _call(function, bound.arguments))

    return call


def _call(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    callbacks = {name: value for name, value in arguments.items() if callable(value)}
    others = {name: value for name, value in arguments.items() if name not in callbacks}
    subject = next(iter(others.values()))
    seconds = MIN_SECONDS + _size(subject) / BYTES_PER_SECOND
    request = Request(function.__module__, function.__name__, others, tuple(callbacks), os.getcwd(), seconds)
    results = _results(request, subject, callbacks)
    kind, value = next(results)
    if kind == "iterator":
        return (item for _, item in results)
    next(results, None)  # the end
    return value


def _results(
    request: Request, subject: object, callbacks: dict[str, Callable[..., object]]
) -> Generator[tuple[str, Any]]:
    worker = _idle_worker()
    is_reusable = False
    try:
        for kind, value in worker.messages(request):
            if kind == "call":
                name, arguments = value
                callbacks[name](*arguments)
            elif kind == "error":
                raise value
            elif kind == "end":
                is_reusable = True
                return
            else:
                yield kind, value
    except WorkerDied as died:
        raise _failure(died, request, subject) from died
    finally:
        _release(worker, is_reusable=is_reusable)


def _idle_worker() -> WorkerProcess:
    try:
        return _idle.pop()
    except IndexError:
        return WorkerProcess(Limits(MAX_MEMORY, threads=1), _RESULTS)


def _release(worker: WorkerProcess, *, is_reusable: bool) -> None:
    """Keep a process for the next request, or end it."""
    if is_reusable and worker.calls < MAX_CALLS and len(_idle) < MAX_IDLE:
        _idle.append(worker)
    else:
        worker.end()


@atexit.register
def _end_idle() -> None:
    while _idle:
        _idle.pop().end()


def _failure(died: WorkerDied, request: Request, subject: object) -> MediaError:
    advice = "The file may be damaged: export it again"
    if died.timed_out:
        return MediaError(subject, f"decoding a part of it takes over {request.seconds:.0f} s", advice)
    return MediaError(subject, "the process that decoded it was killed or crashed", advice)


def _size(source: str | Path) -> int:
    try:
        return local_path(source).stat().st_size
    except (VideoChatError, OSError):
        return 0  # the call itself will fail
