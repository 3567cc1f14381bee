"""Settings of all tests."""

import os

# Read when torch is imported. Tests run in parallel processes, whose threads would compete for the CPUs.
os.environ.setdefault("OMP_NUM_THREADS", "1")
