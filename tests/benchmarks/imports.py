"""What importing the package costs."""

import subprocess
import sys
from functools import partial
from statistics import median

from tests.benchmarks.report import Table
from tests.benchmarks.timing import rounds

ROUNDS = 21


def measure(scale: float) -> Table:
    """Import the package and langchain-core's Document in fresh processes."""
    table = Table("Import, median of fresh processes in turns", "s")
    statements = ["import langchain_videochat", "import langchain_core.documents", "pass"]
    works = {code: partial(subprocess.run, [sys.executable, "-c", code], check=True) for code in statements}
    taken = rounds(works, max(5, round(ROUNDS * scale)))
    ours, core, nothing = (median(taken[code]) for code in statements)
    table.cost("`import langchain_videochat`", ours, "`import langchain_core.documents`", core, at_most=1.2)
    table.cost("`import langchain_videochat`", ours, "an empty program", nothing)
    return table
