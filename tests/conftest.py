"""What holds for all tests."""

import os

# Read when torch is imported. Tests run side by side, and threads of one would wait for those of another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
