"""Worker processes: they run functions within limits, and can be killed."""

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import IO, Any, cast

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables by which PyTorch, NumPy and other libraries choose their number of threads."""


PLAIN_CLASSES = {
    "numpy": ("ndarray", "dtype"),
    "numpy._core.multiarray": ("_reconstruct", "scalar"),
    "numpy._core.numeric": ("_frombuffer",),
    "fractions": ("Fraction",),
    "pathlib": ("PosixPath", "WindowsPath"),
    "pathlib._local": ("PosixPath", "WindowsPath"),
}
"""Classes of other packages that results may contain, by module."""


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
    """Time limit of each step, which ends with a result or a callback."""


Message = tuple[str, Any]
"""A message from a worker process. "call": the name and the arguments of a callback; "value": the result; "iterator":
the result is an iterator; "item": its next item; "error": the error that was raised; "end": nothing else follows."""


@dataclass(frozen=True)
class Limits:
    """The limits of a worker process."""

    max_bytes: int
    """Bytes of memory that it may allocate."""

    threads: int
    """Number of threads that numerical libraries use, unless the environment already limits them."""


class WorkerDied(Exception):  # noqa: N818 - an event, which callers convert to an error about their subject
    """A worker process has ended in the middle of a request."""

    def __init__(self, *, timed_out: bool) -> None:
        super().__init__(timed_out)
        self.timed_out = timed_out
        """Whether it exceeded the time limit of a step."""


class WorkerProcess:
    """A process that runs `langchain_videochat.utils.worker_main`, and answers one request at a time.

    Args:
        limits: Its limits.
        results: The classes that results may contain, besides `langchain_videochat.errors`, by module: no code in
            results is executed, because a hostile file may have taken over the process. A name of a module that ends
            in a dot stands for all classes of the modules in that package.
    """

    def __init__(self, limits: Limits, results: Mapping[str, tuple[str, ...]]) -> None:
        modules = os.pathsep.join(filter(None, sys.path))
        threads = {name: os.environ.get(name, str(limits.threads)) for name in THREAD_VARIABLES}
        # For its temporary files, so that they are deleted even if it is killed.
        self._folder = TemporaryDirectory(prefix="videochat-", ignore_cleanup_errors=True)
        # Not multiprocessing: it would import the user's main module again. "-P": nothing is imported from the current
        # directory, which may be a folder of uploads.
        self._process = subprocess.Popen(  # noqa: S603 - this program
            [sys.executable, "-P", "-m", "langchain_videochat.utils.worker_main", str(limits.max_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **threads, "PYTHONPATH": modules, "TMPDIR": self._folder.name},
            start_new_session=True,  # so that the ffmpeg program, which it may run, can be killed together with it
        )
        self._results = results
        self.calls = 0
        """Number of requests so far."""

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def messages(self, request: Request) -> Iterator[Message]:
        """Send a request, and yield the messages of the worker.

        Raises:
            WorkerDied: The process has ended.
        """
        self.calls += 1
        heard = time.monotonic()
        requests, responses = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)
        try:
            pickle.dump(request, requests)
            requests.flush()
            while True:
                message = _Unpickler(responses, self._results).load()
                heard = time.monotonic()
                yield message
        except (EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
            self.end()
            # Python also exits with status 1 after an error.
            is_late = time.monotonic() - heard >= request.seconds
            raise WorkerDied(timed_out=is_late and self._process.returncode == 1) from error

    def end(self) -> None:
        """Kill the process and what it has started."""
        with suppress(OSError):
            os.killpg(self._process.pid, 9) if hasattr(os, "killpg") else self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                cast("IO[bytes]", pipe).close()
        self._folder.cleanup()


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], classes: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__(file)
        self._classes = classes

    def find_class(self, module: str, name: str) -> Any:
        if name in self._classes.get(module, ()):
            return super().find_class(module, name)
        packages = tuple(one for one in self._classes if one.endswith("."))
        if module.startswith("langchain_videochat.") and module.startswith((*packages, "langchain_videochat.errors")):
            found = super().find_class(module, name)
            if isinstance(found, type):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is not a class of results")


def limit_memory(max_bytes: int) -> None:
    """Limit the memory that this process may allocate, and let it write no core dump. Windows has no such limit."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(ValueError):  # a lower limit is already set
        resource.setrlimit(resource.RLIMIT_DATA, (max_bytes, max_bytes))
