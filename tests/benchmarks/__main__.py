"""Run the benchmarks and print their tables: `python -m tests.benchmarks [--only TABLE] [--scale FACTOR]`."""

import argparse
import os
import platform
import subprocess
import sys
from importlib import import_module

from tests.benchmarks.report import Measured, progress

TABLES = (
    "imports",
    "frames",
    "search",
    "writing",
    "retrieval",
    "answering",
    "mcp",
    "indexing",
    "scaling",
    "perception",
    "perception_gpu",
    "memory",
    "embed",
    "embed_gpu",
    "chat",
    "chat_memory",
    "video_models",
    "chat_gpu",
    "training",
    "understanding",
    "ablation",
    "instruct",
    "page",
)


LONG_TABLES = ("million",)
"""Tables that take an hour, and are measured only by name."""


def main() -> None:
    """Measure each table in a separate process, so that no table affects the memory and caches of another."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Run the benchmarks on this machine."
    )
    parser.add_argument("--only", choices=TABLES + LONG_TABLES, help="measure this table only")
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the full sizes, for a quick test")
    arguments = parser.parse_args()
    if arguments.only:
        progress(f"{arguments.only}:")
        measured: Measured = import_module(f"tests.benchmarks.{arguments.only}").measure(arguments.scale)
        print(measured.markdown(), flush=True)
        return
    print(describe_machine(arguments.scale), flush=True)
    for name in TABLES:
        command = [sys.executable, "-m", "tests.benchmarks", "--only", name, "--scale", str(arguments.scale)]
        subprocess.run(command, check=True)


def describe_machine(scale: float) -> str:
    """Describe the machine of the measurements."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    load = os.getloadavg()[0]
    facts = f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.platform()}, Python {platform.python_version()}"
    sizes = "" if scale == 1 else f" Sizes are {scale:g} of the full ones: targets do not apply."
    return f"# Benchmarks\n\n{facts}; load average at start {load:.1f}.{sizes}\n"


if __name__ == "__main__":
    main()
