"""Evaluation of video chat models: on public benchmarks, and on a synthetic world with known answers."""

from typing import TYPE_CHECKING

from langchain_videochat.utils.lazy import lazy_exports

if TYPE_CHECKING:
    from langchain_videochat.evaluation.benchmarks import (
        BenchmarkItem,
        BenchmarkReport,
        evaluate,
        read_long_video_bench,
        read_video_mme,
        read_video_mme_v2,
    )
    from langchain_videochat.evaluation.mvbench import read_items
    from langchain_videochat.evaluation.shapes import ShapesSamples, write_benchmark, write_training_files

__all__ = [
    "BenchmarkItem",
    "BenchmarkReport",
    "ShapesSamples",
    "evaluate",
    "read_items",
    "read_long_video_bench",
    "read_video_mme",
    "read_video_mme_v2",
    "write_benchmark",
    "write_training_files",
]

_EXPORTS = {
    "benchmarks": (
        "BenchmarkItem",
        "BenchmarkReport",
        "evaluate",
        "read_long_video_bench",
        "read_video_mme",
        "read_video_mme_v2",
    ),
    "mvbench": ("read_items",),
    "shapes": ("ShapesSamples", "write_benchmark", "write_training_files"),
}

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
