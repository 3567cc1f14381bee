"""Evaluation: how well a model sees what happens, on MVBench and on a world whose answers are known."""

from typing import TYPE_CHECKING

from langchain_videochat.utils.lazy import lazy_exports

if TYPE_CHECKING:
    from langchain_videochat.evaluation.mvbench import Item, Report, evaluate, read_items
    from langchain_videochat.evaluation.shapes import ShapesSamples, write_benchmark, write_training_files

__all__ = ["Item", "Report", "ShapesSamples", "evaluate", "read_items", "write_benchmark", "write_training_files"]

_MODULES = {
    "Item": "mvbench",
    "Report": "mvbench",
    "ShapesSamples": "shapes",
    "evaluate": "mvbench",
    "read_items": "mvbench",
    "write_benchmark": "shapes",
    "write_training_files": "shapes",
}

__getattr__, __dir__ = lazy_exports(__name__, _MODULES)
