"""Shapes in Motion: a synthetic world of figures that move, change and collide, with questions and answers.

Scenes are drawn from seeds. Clips of scenes train a small model, and its answers to questions about other scenes show
its spatial and temporal understanding.
"""

from typing import TYPE_CHECKING

from langchain_videochat.evaluation.shapes.descriptions import caption, describe, describe_by_figure, describe_still
from langchain_videochat.evaluation.shapes.question_generation import (
    EVIDENCE,
    KINDS,
    ShapesQuestion,
    generate_questions,
)
from langchain_videochat.evaluation.shapes.rendering import render
from langchain_videochat.evaluation.shapes.world import Event, Figure, Scene, Trajectories, draw_scene
from langchain_videochat.utils.lazy import lazy_exports

if TYPE_CHECKING:
    from langchain_videochat.evaluation.shapes.dataset_files import write_benchmark, write_scene, write_training_files
    from langchain_videochat.evaluation.shapes.scene_samples import ShapesSamples, find_scene

__all__ = [
    "EVIDENCE",
    "KINDS",
    "Event",
    "Figure",
    "Scene",
    "ShapesQuestion",
    "ShapesSamples",
    "Trajectories",
    "caption",
    "describe",
    "describe_by_figure",
    "describe_still",
    "draw_scene",
    "find_scene",
    "generate_questions",
    "render",
    "write_benchmark",
    "write_scene",
    "write_training_files",
]

# These modules import training and evaluation, which takes a second.
_EXPORTS = {
    "dataset_files": ("write_benchmark", "write_scene", "write_training_files"),
    "scene_samples": ("ShapesSamples", "find_scene"),
}

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
