"""Benchmarks: every result is a ratio to a named reference that was measured in the same run."""
