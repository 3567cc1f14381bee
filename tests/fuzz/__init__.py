"""A fuzzer of everything that reads files: see `python -m tests.fuzz --help`."""
