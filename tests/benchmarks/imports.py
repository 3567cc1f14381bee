"""Import time of the package."""

import subprocess
import sys
from functools import partial
from statistics import median

from tests.benchmarks.report import Table
from tests.benchmarks.timing import time_alternately

ROUNDS = 21


def measure(scale: float) -> Table:
    """Import the package and langchain-core's Document in new processes."""
    table = Table("Import, median of new processes in alternation", "s")
    statements = ["import langchain_videochat", "import langchain_core.documents", "pass"]
    programs = {code: partial(subprocess.run, [sys.executable, "-c", code], check=True) for code in statements}
    times = time_alternately(programs, max(5, round(ROUNDS * scale)))
    ours, core, empty = (median(times[code]) for code in statements)
    table.cost("`import langchain_videochat`", ours, "`import langchain_core.documents`", core, at_most=1.2)
    table.cost("`import langchain_videochat`", ours, "an empty program", empty)
    return table
