"""A model's dimensions: inferred from the shapes of its weights where possible, the original's otherwise."""

from collections.abc import Mapping
from math import isqrt
from typing import Any

from torch import Tensor
from transformers import PreTrainedConfig

from langchain_videochat.embed.configuration_videochat import VideoChatEmbedConfig
from langchain_videochat.errors import InputError, ModelError

DEFAULTS: dict[str, Any] = {
    "vision_heads": None,
    "vision_layer_norm_eps": 1e-6,
    "gmhra_layer_norm_eps": 1e-5,
    "local_mhra": 0,
    "ln_vision_eps": 1e-5,
    "qformer_heads": None,
    "qformer_layer_norm_eps": 1e-12,
}
"""Settings that cannot be inferred from shapes, with the original's values. None: derived from the width."""

NEW_PART_DEFAULTS = {"gmhra_layers": 8, "extra_num_query_tokens": 64}
"""Sizes of the parts that the original adds to BLIP-2, for models in which these parts are new."""

VISION_LAYERS = 39
"""Layers of the original's vision tower. Its file contains one more, which is not used."""

VISION_WIDTH = 1408
"""Width of the original's vision tower."""

HEAD_WIDTHS = {"vision": 88, "qformer": 64}
"""Width of an attention head in the original."""

_DIMENSIONS = {
    "vision_width": ("vision_tower.embeddings.position_embedding", 2),
    "patch_size": ("vision_tower.embeddings.patch_embedding.weight", 3),
    "vision_intermediate": ("vision_tower.layers.0.mlp.fc1.weight", 0),
    "num_query_tokens": ("query_tokens", 1),
    "qformer_width": ("query_tokens", 2),
    "qformer_intermediate": ("qformer.encoder.layer.0.intermediate_query.dense.weight", 0),
}
"""The weight, and the axis of its shape, that gives each dimension."""

_NEW_PART_DIMENSIONS = {
    "extra_num_query_tokens": ("extra_query_tokens", 1),
    "gmhra_intermediate": ("vision_tower.gmhra.0.mlp.c_fc.weight", 0),
}
"""The same for the parts that BLIP-2 does not have."""

_COUNTED = ("image_size", "vision_layers", "qformer_layers", "cross_attention_frequency")

SETTINGS = sorted({*DEFAULTS, *NEW_PART_DEFAULTS, *_DIMENSIONS, *_COUNTED})
"""Names of the settings that `convert_checkpoint` accepts."""


def check_settings(settings: Mapping[str, Any]) -> None:
    """Check the names and types of settings.

    Raises:
        InputError: A setting is unknown, or its value is invalid.
    """
    for name, value in settings.items():
        if name not in SETTINGS:
            raise InputError(name, "unknown setting", f"Use one of {', '.join(SETTINGS)}")
        expected = float if name.endswith("_eps") else int
        if type(value) is not expected or value < 0:
            problem = f"must be a non-negative {expected.__name__}, got {value!r}"
            raise InputError(name, problem, "Use the model's own value")


def infer_dimensions(weights: Mapping[str, Tensor], *, is_complete: bool) -> dict[str, int]:
    """Infer dimensions from the shapes of weights; those of the parts that BLIP-2 lacks only if `is_complete`.

    Raises:
        ModelError: A weight that is needed for this is missing, or has too few dimensions.
    """
    axes = _DIMENSIONS | (_NEW_PART_DIMENSIONS if is_complete else {})
    unfit = sorted({name for name, axis in axes.values() if name not in weights or weights[name].ndim <= axis})
    if unfit:
        problem = f"they cannot be inferred: these weights are missing or have another shape: {', '.join(unfit)}"
        raise ModelError("the model's dimensions", problem, "Check that each argument names the right, complete file")
    inferred = {dimension: weights[name].shape[axis] for dimension, (name, axis) in axes.items()}
    positions = weights["vision_tower.embeddings.position_embedding"].shape[1]
    inferred["image_size"] = isqrt(max(positions - 1, 0)) * inferred["patch_size"]
    inferred["vision_layers"] = min(_count(weights, "vision_tower.layers."), VISION_LAYERS)
    inferred["qformer_layers"] = _count(weights, "qformer.encoder.layer.")
    cross_attending = {int(name.split(".")[3]) for name in weights if ".crossattention." in name}
    inferred["cross_attention_frequency"] = min(cross_attending - {0}, default=inferred["qformer_layers"])
    if is_complete:
        inferred["gmhra_layers"] = _count(weights, "vision_tower.gmhra.")
    return inferred


def resolve_dimensions(
    inferred: Mapping[str, int], defaults: Mapping[str, Any], overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """Combine inferred dimensions with defaults that replace the original's, and with the caller's overrides.

    Raises:
        InputError: An override contradicts the shapes, or a number of heads is needed but not given.
        ModelError: The vision tower lacks layers.
    """
    for name, value in overrides.items():
        if name in inferred and name != "vision_layers" and value != inferred[name]:
            raise InputError(name, f"the weights' shapes require {inferred[name]}, got {value}", "Leave it out")
    dimensions = {**DEFAULTS, **NEW_PART_DEFAULTS, **defaults, **inferred, **overrides}
    _check_layers(dimensions, is_given="vision_layers" in overrides)
    for part, head_width in HEAD_WIDTHS.items():
        name, width = f"{part}_heads", dimensions[f"{part}_width"]
        if dimensions[name] is None and width % head_width == 0:
            dimensions[name] = width // head_width
        if not dimensions[name] or width % dimensions[name]:
            problem = f"a width of {width} is not divisible by {dimensions[name] or 'the usual number of'} heads"
            raise InputError(name, problem, "Give the model's number of heads")
    return dimensions


def build_config(dimensions: Mapping[str, Any], text_config: PreTrainedConfig) -> VideoChatEmbedConfig:
    """Build a model config from its dimensions and its language model's config."""
    vision = {
        "hidden_size": dimensions["vision_width"],
        "intermediate_size": dimensions["vision_intermediate"],
        "num_hidden_layers": dimensions["vision_layers"],
        "num_attention_heads": dimensions["vision_heads"],
        "image_size": dimensions["image_size"],
        "patch_size": dimensions["patch_size"],
        "layer_norm_eps": dimensions["vision_layer_norm_eps"],
    }
    qformer = {
        "hidden_size": dimensions["qformer_width"],
        "intermediate_size": dimensions["qformer_intermediate"],
        "num_hidden_layers": dimensions["qformer_layers"],
        "num_attention_heads": dimensions["qformer_heads"],
        "layer_norm_eps": dimensions["qformer_layer_norm_eps"],
        "cross_attention_frequency": dimensions["cross_attention_frequency"],
    }
    return VideoChatEmbedConfig(
        vision_config=vision,
        qformer_config=qformer,
        text_config=text_config,
        num_query_tokens=dimensions["num_query_tokens"],
        num_extra_query_tokens=dimensions["extra_num_query_tokens"],
        gmhra_layers=dimensions["gmhra_layers"],
        gmhra_intermediate_size=dimensions.get("gmhra_intermediate"),
        gmhra_layer_norm_eps=dimensions["gmhra_layer_norm_eps"],
        local_mhra=dimensions["local_mhra"],
        vision_layer_norm_eps=dimensions["ln_vision_eps"],
    )


def _check_layers(dimensions: Mapping[str, Any], *, is_given: bool) -> None:
    layers, aggregators = dimensions["vision_layers"], dimensions["gmhra_layers"]
    if aggregators > layers:
        problem = f"{aggregators} GMHRA modules need as many layers of the vision tower, which has {layers}"
        raise ModelError("the files", problem, "Check that the EVA file is complete")
    if dimensions["vision_width"] == VISION_WIDTH and layers < VISION_LAYERS and not is_given:
        problem = f"the vision tower has {layers} layers, but the original has {VISION_LAYERS}"
        raise ModelError("the files", problem, "Download EVA again, or set vision_layers if this is intended")


def _count(weights: Mapping[str, Tensor], prefix: str) -> int:
    return len({name.removeprefix(prefix).split(".")[0] for name in weights if name.startswith(prefix)})
