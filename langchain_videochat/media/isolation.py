"""Decoding of untrusted files in worker processes that have limits and can be killed."""

import atexit
import inspect
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar, cast

from langchain_videochat.errors import MediaError, VideoChatError
from langchain_videochat.media.sources import local_path

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

_CLASSES = {
    "numpy": ("ndarray", "dtype"),
    "numpy._core.multiarray": ("_reconstruct", "scalar"),
    "numpy._core.numeric": ("_frombuffer",),
    "fractions": ("Fraction",),
    "pathlib": ("PosixPath", "WindowsPath"),
    "pathlib._local": ("PosixPath", "WindowsPath"),
}
"""Classes that results may contain, besides those of `langchain_videochat.media` and `langchain_videochat.errors`."""

_is_isolated: ContextVar[bool] = ContextVar("is_isolated", default=False)
_slots = threading.BoundedSemaphore(MAX_BLOCKS)
_idle: "list[_Worker]" = []
if hasattr(os, "register_at_fork"):
    # Two processes must not talk to one worker.
    os.register_at_fork(after_in_child=_idle.clear)


@dataclass(frozen=True)
class Request:
    """A call to a function in a worker process."""

    module: str
    function: str
    arguments: dict[str, Any]
    """Its arguments by name."""

    callbacks: tuple[str, ...]
    """Names of arguments that are callbacks; the worker reports their calls."""

    directory: str
    """The current working directory."""

    seconds: float
    """Time limit of each step."""


Message = tuple[str, Any]
"""A message from a worker process. "call": the name and the arguments of a callback; "value": the result; "iterator":
the result is an iterator; "item": its next item; "error": the error that was raised; "end": nothing else follows."""


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
        for kind, value in worker.messages(request, subject):
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
    finally:
        worker.release(is_reusable=is_reusable)


def _idle_worker() -> "_Worker":
    try:
        return _idle.pop()
    except IndexError:
        return _Worker()


@atexit.register
def _end_idle() -> None:
    while _idle:
        _idle.pop().release(is_reusable=False)


class _Worker:
    """A process that runs `langchain_videochat.media.worker`, and decodes one file at a time."""

    def __init__(self) -> None:
        # Not multiprocessing: it would import the user's main module again. "-P": nothing is imported from the current
        # directory, which may be a folder of uploads.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "langchain_videochat.media.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # so that the ffmpeg program, which it may run, can be killed together with it
        )
        self._calls = 0

    def messages(self, request: Request, subject: object) -> Iterator[Message]:
        """Send a request, and yield the messages of the worker.

        Raises:
            MediaError: The process has ended.
        """
        self._calls += 1
        requests, responses = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)
        try:
            pickle.dump(request, requests)
            requests.flush()
            while True:
                yield _Unpickler(responses).load()
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise self._failure(request, subject) from error

    def release(self, *, is_reusable: bool) -> None:
        """Keep the process for the next request, or end it."""
        if is_reusable and self._calls < MAX_CALLS and len(_idle) < MAX_IDLE:
            _idle.append(self)
        else:
            self._end()

    def _failure(self, request: Request, subject: object) -> MediaError:
        self._end()
        advice = "The file may be damaged: export it again"
        if self._process.returncode == 1:
            return MediaError(subject, f"decoding a part of it takes over {request.seconds:.0f} s", advice)
        return MediaError(subject, "the process that decoded it was killed or crashed", advice)

    def _end(self) -> None:
        with suppress(OSError):
            os.killpg(self._process.pid, 9) if hasattr(os, "killpg") else self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                cast("IO[bytes]", pipe).close()


class _Unpickler(pickle.Unpickler):
    """Reads the results of a worker, which a hostile file may have taken over: no code in them is executed."""

    def find_class(self, module: str, name: str) -> Any:
        if name in _CLASSES.get(module, ()):
            return super().find_class(module, name)
        if module.startswith(("langchain_videochat.media.", "langchain_videochat.errors")):
            found = super().find_class(module, name)
            if isinstance(found, type):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is not a class of results")


def _size(source: str | Path) -> int:
    try:
        return local_path(source).stat().st_size
    except (VideoChatError, OSError):
        return 0  # the call itself will fail
