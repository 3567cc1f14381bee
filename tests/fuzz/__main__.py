"""Fuzz everything that reads files: `python -m tests.fuzz --minutes N`."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

# Read when the libraries are imported: a process that forks must not have threads.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", HF_HUB_OFFLINE="1", ANONYMIZED_TELEMETRY="False")

from tests.fuzz.findings import FileResult, Summary
from tests.fuzz.runner import Fuzzer, import_libraries
from tests.fuzz.seeds import make_seeds


def main() -> int:
    """Fuzz until the time is over; return 1 if anything was found."""
    arguments = _parse_arguments()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        seeds = Path(name, "seeds")
        seeds.mkdir()
        make_seeds(seeds, arguments.jobs)
        import_libraries()
        summary = Summary()
        for result in _results(Fuzzer(Path(name), seeds, arguments.keep), arguments):
            summary.add(result)
            for finding in result.findings:
                print(finding, flush=True)
    print(f"\n{summary}")
    return int(summary.has_findings)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description="Read mutated files in every way. Reports crashes, errors of other types than this package's, and "
        "whatever takes over 10 s of CPU or 1 GiB, or leaves files, processes, threads or descriptors behind.",
    )
    parser.add_argument("--minutes", type=float, default=2.0, help="how long to run (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=0, help="number of the first file (default: %(default)d)")
    parser.add_argument("--only", type=int, help="make and try the file with this number only")
    parser.add_argument("--keep", type=Path, help="folder for the files with findings, and their descriptions")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: one per CPU)")
    return parser.parse_args()


def _results(fuzzer: Fuzzer, arguments: argparse.Namespace) -> Iterator[FileResult]:
    """Fuzz in several processes, each of which takes every n-th number."""
    context = get_context("fork")
    deadline = time.monotonic() + 60 * arguments.minutes
    jobs = 1 if arguments.only is not None else arguments.jobs
    processes, receivers = [], []
    for job in range(jobs):
        receiver, sender = context.Pipe(duplex=False)
        numbers = iter([arguments.only]) if arguments.only is not None else count(arguments.seed + job, jobs)
        process = context.Process(target=_work, args=(numbers, deadline, fuzzer, sender), daemon=True)
        process.start()
        sender.close()
        processes.append(process)
        receivers.append(receiver)
    yield from _receive(receivers)
    for process in processes:
        process.join()
        if process.exitcode:
            raise RuntimeError("the fuzzer itself has failed; see the traceback above")


def _receive(receivers: "list[Connection[None, FileResult]]") -> Iterator[FileResult]:
    """Yield results as they arrive, until all senders are closed."""
    while receivers:
        for receiver in cast("list[Connection[None, FileResult]]", connection.wait(receivers)):
            try:
                yield receiver.recv()
            except EOFError:
                receivers.remove(receiver)


def _work(numbers: Iterator[int], deadline: float, fuzzer: Fuzzer, sender: "Connection[FileResult, None]") -> None:
    for number in numbers:
        if time.monotonic() > deadline:
            break
        sender.send(fuzzer.fuzz(number))


if __name__ == "__main__":
    sys.exit(main())
