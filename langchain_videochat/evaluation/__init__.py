"""Evaluation of video chat models: on MVBench, and on a synthetic world with known answers."""

from typing import TYPE_CHECKING

from langchain_videochat.utils.lazy import lazy_exports

if TYPE_CHECKING:
    from langchain_videochat.evaluation.mvbench import BenchmarkItem, BenchmarkReport, evaluate, read_items
    from langchain_videochat.evaluation.shapes import ShapesSamples, write_benchmark, write_training_files

__all__ = [
    "BenchmarkItem",
    "BenchmarkReport",
    "ShapesSamples",
    "evaluate",
    "read_items",
    "write_benchmark",
    "write_training_files",
]

_EXPORTS = {
    "mvbench": ("BenchmarkItem", "BenchmarkReport", "evaluate", "read_items"),
    "shapes": ("ShapesSamples", "write_benchmark", "write_training_files"),
}

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
