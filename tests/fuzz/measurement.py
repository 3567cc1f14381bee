"""One operation in a forked process, with limits on what it may use, and a measurement of what it used.

Linux only: fork, process groups and /proc.
"""

import contextlib
import faulthandler
import gc
import json
import math
import os
import resource
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from langchain_videochat.errors import VideoChatError
from langchain_videochat.utils import concurrency
from tests.fuzz.operations import Operation

POLL_SECONDS = 0.005
SETTLE_SECONDS = 2.0
"""Time that an operation's threads have to end after it."""

PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
IGNORED_FILES = {".ses"}
"""Temporary files that onnxruntime leaves."""

MAX_ERROR = 20_000
"""Maximum number of characters of a traceback."""


@dataclass(frozen=True)
class Limits:
    """What an operation may use. It is killed at twice the CPU time and three times the memory."""

    cpu: float = 10.0
    """Seconds of CPU time, programs that it runs included."""

    memory: int = 2**30
    """Bytes by which its memory may grow, or of the memory of programs that it runs."""

    wall: float = 120.0
    """Seconds after which it is killed."""

    descriptors: int = 256
    """Open files; opening more fails."""

    threads: int = 64
    """Threads at the same time."""

    file_size: int = 2**28
    """Bytes of a file that it writes; writing more fails."""


@dataclass(frozen=True)
class Usage:
    """What a process has open."""

    descriptors: int
    threads: int
    processes: int

    @classmethod
    def now(cls) -> "Usage":
        """Count what this process has open."""
        this = psutil.Process()
        # Idle threads of the package are reused.
        threads = this.num_threads() - len(concurrency._IDLE)
        return cls(this.num_fds(), threads, len(this.children(recursive=True)))


@dataclass(frozen=True)
class Report:
    """What a process says about its operation."""

    got_anything: bool
    """Whether the operation got anything of the file."""

    refusal: str
    """The error of this package, if it raised one."""

    foreign: str
    """The traceback of any other error."""

    memory: int
    """Bytes of memory before the operation."""

    leaks: list[str]
    """What the operation left open."""


@dataclass(frozen=True)
class Measurement:
    """What an operation did with a file."""

    operation: str
    """Its name."""

    report: Report | None
    """None if the process died."""

    signal: int
    """The signal that ended the process; 0 if none."""

    cpu: float
    """Seconds of CPU time."""

    memory: int
    """Bytes by which the memory grew at most."""

    log: str
    """What the process wrote, and where it was when it went over a limit."""

    problems: tuple[str, ...] = ()
    """What it did that no operation may do, the kinds of findings: "crash", "foreign exception", "CPU time" etc."""


def measure(operation: Operation, path: Path, folder: Path, limits: Limits) -> Measurement:
    """Run an operation in a forked process.

    No library may have started threads in this process.

    Args:
        operation: The operation.
        path: The file to give to it.
        folder: A folder to create for its files; it is deleted by the caller.
        limits: What it may use.
    """
    for name in ("output", "temporary"):
        (folder / name).mkdir(parents=True)
    (folder / "log.txt").touch()
    pid = os.fork()
    if pid == 0:
        _run_and_exit(operation, path, folder, limits)
    watch = _Watch(pid, limits)
    status, used = watch.wait()
    _kill_group(pid)  # what it has started and left
    report = _read_report(folder)
    base = report.memory if report else watch.base
    measurement = Measurement(
        operation=operation.name,
        report=report,
        signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        cpu=used.ru_utime + used.ru_stime,
        memory=max(used.ru_maxrss * 1024, watch.peak) - base,
        log=(folder / "log.txt").read_text(errors="replace"),
    )
    return replace(measurement, problems=(*_problems(measurement, watch, limits), *_leftovers(folder)))


def _read_report(folder: Path) -> Report | None:
    file = folder / "report.json"
    return Report(**json.loads(file.read_text())) if file.exists() else None


def _problems(measurement: Measurement, watch: "_Watch", limits: Limits) -> list[str]:
    excesses = {
        "CPU time": measurement.cpu >= limits.cpu,
        "memory": measurement.memory >= limits.memory,
        "hang": watch.is_late,
        "threads": watch.threads > limits.threads,
    }
    problems = [name for name, is_over in excesses.items() if is_over]
    report = measurement.report
    if report is None:
        was_killed = problems and measurement.signal == signal.SIGKILL
        return problems if was_killed else [*problems, "crash"]
    return [*problems, *(["foreign exception"] if report.foreign else []), *report.leaks]


def _leftovers(folder: Path) -> list[str]:
    left = {file.name for name in ("temporary", "output") for file in (folder / name).iterdir()}
    return ["leftover files"] if left - IGNORED_FILES else []


class _Watch:
    """Waits for a process, and kills it when it uses too much."""

    def __init__(self, pid: int, limits: Limits) -> None:
        self._pid = pid
        self._limits = limits
        self._has_dumped = False
        self.base = self._memory()
        self.peak = self.threads = 0
        self.is_late = False

    def wait(self) -> tuple[int, resource.struct_rusage]:
        """Wait for the end of the process; return its status and what it used."""
        deadline = time.monotonic() + self._limits.wall
        while True:
            pid, status, used = os.wait4(self._pid, os.WNOHANG)
            if pid:
                return status, used
            self._check(deadline)
            time.sleep(POLL_SECONDS)

    def _check(self, deadline: float) -> None:
        self.peak = max(self.peak, self._memory())
        tasks = Path(f"/proc/{self._pid}/task")
        with contextlib.suppress(OSError):
            self.threads = max(self.threads, len(os.listdir(tasks)))
        growth = self.peak - self.base
        self.is_late = time.monotonic() > deadline
        if growth > self._limits.memory and not self._has_dumped:
            self._has_dumped = True
            os.kill(self._pid, signal.SIGUSR1)
        if growth > 3 * self._limits.memory or self.is_late:
            _kill_group(self._pid)

    def _memory(self) -> int:
        """Return the resident memory of the process and its descendants, in bytes."""
        # Until a new process runs its program, it has the memory of its parent: the same numbers.
        sizes, pids = set(), [self._pid]
        while pids:
            pid = pids.pop()
            # A process may end at any time.
            with contextlib.suppress(OSError):
                sizes.add(Path(f"/proc/{pid}/statm").read_text())
                for task in os.listdir(f"/proc/{pid}/task"):
                    pids += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
        return sum(int(size.split()[1]) for size in sizes) * PAGE_SIZE


def _kill_group(pid: int) -> None:
    # The group has the number of its first process; it is gone if nothing is left of it.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _run_and_exit(operation: Operation, path: Path, folder: Path, limits: Limits) -> None:
    try:
        _enter(folder, limits)
        before = Usage.now()
        memory = psutil.Process().memory_info().rss
        got_anything, refusal, foreign = _attempt(lambda: operation.run(path, folder / "output"))
        leaks = [] if operation.keeps_resources else _leaks(before)
        report = Report(got_anything, refusal, foreign, memory, leaks)
        unfinished = folder / "report.unfinished"
        unfinished.write_text(json.dumps(asdict(report)))
        unfinished.rename(folder / "report.json")
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _enter(folder: Path, limits: Limits) -> None:
    """Limit this process, and log its output and its stack when it is over a limit."""
    os.setpgid(0, 0)
    # One second more, because the kernel counts it more roughly than it measures it.
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limits.cpu) + 1, math.ceil(2 * limits.cpu) + 1))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits.descriptors, limits.descriptors))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_size, limits.file_size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    faulthandler.enable(2)
    for number in (signal.SIGXCPU, signal.SIGUSR1):
        faulthandler.register(number, 2)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "temporary")


def _attempt(run: Callable[[], object]) -> tuple[bool, str, str]:
    """Return whether an operation got anything, its refusal, and the traceback of a foreign error."""
    try:
        return bool(run()), "", ""
    except VideoChatError as error:
        return False, f"{type(error).__name__}: {error}"[:MAX_ERROR], ""
    except BaseException:
        return False, "", traceback.format_exc()[-MAX_ERROR:]


def _leaks(before: Usage) -> list[str]:
    gc.collect()  # generators that an error abandoned
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        now, then = asdict(Usage.now()), asdict(before)
        leaks = [f"leftover {kind}" for kind, number in now.items() if number > then[kind]]
        if not leaks or time.monotonic() > deadline:
            return leaks
        time.sleep(POLL_SECONDS)
