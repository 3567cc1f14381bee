"""Benchmarks: every figure is a ratio to a named reference that was measured in the same run."""
