"""Evaluation: how well a model sees what happens, on MVBench and on a world whose answers are known."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
