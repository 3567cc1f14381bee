"""MVBench: 4,000 multiple-choice questions about videos in 20 tasks (arXiv 2311.17005)."""

from langchain_videochat.evaluation.benchmarks import (
    BenchmarkAnswer,
    BenchmarkItem,
    BenchmarkReport,
    MissingVideo,
    TaskScore,
    evaluate,
    parse_option,
)
from langchain_videochat.evaluation.mvbench.dataset import read_items
from langchain_videochat.evaluation.mvbench.tasks import TASKS, BenchmarkTask

__all__ = [
    "TASKS",
    "BenchmarkAnswer",
    "BenchmarkItem",
    "BenchmarkReport",
    "BenchmarkTask",
    "MissingVideo",
    "TaskScore",
    "evaluate",
    "parse_option",
    "read_items",
]
