"""Shapes in Motion: a small world of figures that move, change and collide, with all that can be asked about it.

A scene is drawn by a seed, and everything about it is known: clips of it train a small model, and its answers to
questions about others show what it understands of space and of time.
"""

from typing import TYPE_CHECKING

from langchain_videochat.evaluation.shapes.descriptions import caption, describe, recount, state
from langchain_videochat.evaluation.shapes.question_generation import EVIDENCE, KINDS, Question, ask
from langchain_videochat.evaluation.shapes.rendering import render
from langchain_videochat.evaluation.shapes.world import Event, Figure, Scene, Tracks, draw_scene, follow
from langchain_videochat.utils.lazy import lazy_exports

if TYPE_CHECKING:
    from langchain_videochat.evaluation.shapes.dataset_files import write_benchmark, write_scene, write_training_files
    from langchain_videochat.evaluation.shapes.scene_samples import ShapesSamples, find_scene, split_of, with_options

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
    "recount",
    "render",
    "split_of",
    "state",
    "with_options",
    "write_benchmark",
    "write_scene",
    "write_training_files",
]

_MODULES = {
    "ShapesSamples": "scene_samples",
    "find_scene": "scene_samples",
    "split_of": "scene_samples",
    "with_options": "scene_samples",
    "write_benchmark": "dataset_files",
    "write_scene": "dataset_files",
    "write_training_files": "dataset_files",
}
"""What needs the rooms that train and evaluate, which take a second to import."""

__getattr__, __dir__ = lazy_exports(__name__, _MODULES)
