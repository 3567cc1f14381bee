"""Shapes in Motion: a small world of figures that move, change and collide, with all that can be asked about it.

A scene is drawn by a seed, and everything about it is known: clips of it train a small model, and its answers to
questions about others show what it understands of space and of time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_videochat.evaluation.shapes.descriptions import caption, describe
from langchain_videochat.evaluation.shapes.questions import EVIDENCE, KINDS, Question, ask
from langchain_videochat.evaluation.shapes.rendering import render
from langchain_videochat.evaluation.shapes.world import Event, Figure, Scene, Tracks, draw_scene, follow

if TYPE_CHECKING:
    from langchain_videochat.evaluation.shapes.files import write_benchmark, write_scene, write_training_files
    from langchain_videochat.evaluation.shapes.samples import ShapesSamples, find_scene, split_of, with_options

__all__ = [
    "EVIDENCE",
    "KINDS",
    "Event",
    "Figure",
    "Question",
    "Scene",
    "ShapesSamples",
    "Tracks",
    "ask",
    "caption",
    "describe",
    "draw_scene",
    "find_scene",
    "follow",
    "render",
    "split_of",
    "with_options",
    "write_benchmark",
    "write_scene",
    "write_training_files",
]

_MODULES = {
    "ShapesSamples": "samples",
    "find_scene": "samples",
    "split_of": "samples",
    "with_options": "samples",
    "write_benchmark": "files",
    "write_scene": "files",
    "write_training_files": "files",
}
"""What needs the rooms that train and evaluate, which take a second to import."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
