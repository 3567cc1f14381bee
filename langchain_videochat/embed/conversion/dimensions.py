"""A model's dimensions: what the shapes of its weights tell, and the original's where they don't."""

from collections.abc import Mapping
from math import isqrt
from typing import Any

from torch import Tensor
from transformers import PreTrainedConfig

from langchain_videochat.embed.configuration_videochat import VideoChatEmbedConfig
from langchain_videochat.errors import InputError, ModelError

UNTOLD: dict[str, Any] = {
    "vision_heads": None,
    "vision_layer_norm_eps": 1e-6,
    "gmhra_layer_norm_eps": 1e-5,
    "local_mhra": 0,
    "ln_vision_eps": 1e-5,
    "qformer_heads": None,
    "qformer_layer_norm_eps": 1e-12,
}
"""What no shape tells, and what it is in the original; heads follow from the width."""

NEW = {"gmhra_layers": 8, "extra_num_query_tokens": 64}
"""How many the original adds to BLIP-2; its shapes tell them, those of BLIP-2 alone do not."""

VISION_LAYERS = 39
"""Layers of the vision tower that the original uses at most: its file holds one more."""

VISION_WIDTH = 1408
"""Width of the original's vision tower."""

HEAD_WIDTHS = {"vision": 88, "qformer": 64}
"""Numbers of a token that each head of the original looks at."""

_SIDES = {
    "vision_width": ("vision_tower.embeddings.position_embedding", 2),
    "patch_size": ("vision_tower.embeddings.patch_embedding.weight", 3),
    "vision_intermediate": ("vision_tower.layers.0.mlp.fc1.weight", 0),
    "num_query_tokens": ("query_tokens", 1),
    "qformer_width": ("query_tokens", 2),
    "qformer_intermediate": ("qformer.encoder.layer.0.intermediate_query.dense.weight", 0),
}
"""Which side of which weight is which dimension."""

_NEW_SIDES = {
    "extra_num_query_tokens": ("extra_query_tokens", 1),
    "gmhra_intermediate": ("vision_tower.gmhra.0.mlp.c_fc.weight", 0),
}
"""The same of those parts that BLIP-2 does not have."""

_COUNTED = ("image_size", "vision_layers", "qformer_layers", "cross_attention_frequency")

SETTINGS = sorted({*UNTOLD, *NEW, *_SIDES, *_COUNTED})
"""What `convert_checkpoint` may be given."""


def check_settings(given: Mapping[str, Any]) -> None:
    """Make sure that there are such settings.

    Raises:
        InputError: There is no such setting, or it cannot have this value.
    """
    for name, value in given.items():
        if name not in SETTINGS:
            raise InputError(name, "there is no such setting", f"Take one of {', '.join(SETTINGS)}")
        kind = float if name.endswith("_eps") else int
        if type(value) is not kind or value < 0:
            raise InputError(name, f"{value!r} is no {kind.__name__} from 0 up", "Give the model's number")


def read_dimensions(weights: Mapping[str, Tensor], *, is_whole: bool) -> dict[str, int]:
    """Read from the shapes of weights, by our names, what these tell.

    Args:
        weights: By our names.
        is_whole: Whether those parts that BLIP-2 does not have are among them.

    Raises:
        ModelError: A weight that tells a dimension is missing, or has too few sides.
    """
    sides = _SIDES | (_NEW_SIDES if is_whole else {})
    unfit = sorted({name for name, side in sides.values() if name not in weights or weights[name].ndim <= side})
    if unfit:
        problem = f"it cannot be told from the files, for these are missing or of another shape: {', '.join(unfit)}"
        raise ModelError("the model's shape", problem, "Check that each file is what its argument says, and whole")
    told = {dimension: weights[name].shape[side] for dimension, (name, side) in sides.items()}
    positions = weights["vision_tower.embeddings.position_embedding"].shape[1]
    told["image_size"] = isqrt(max(positions - 1, 0)) * told["patch_size"]
    told["vision_layers"] = min(_count(weights, "vision_tower.layers."), VISION_LAYERS)
    told["qformer_layers"] = _count(weights, "qformer.encoder.layer.")
    attending = {int(name.split(".")[3]) for name in weights if ".crossattention." in name}
    told["cross_attention_frequency"] = min(attending - {0}, default=told["qformer_layers"])
    if is_whole:
        told["gmhra_layers"] = _count(weights, "vision_tower.gmhra.")
    return told


def choose_dimensions(told: Mapping[str, int], usual: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Bring together what the shapes tell and what they don't.

    Args:
        told: What `read_dimensions` returned.
        usual: Where there are others than the original's.
        given: By the caller, who may repeat what the shapes tell.

    Raises:
        InputError: What is given contradicts the shapes, or a number of heads is needed that is not given.
        ModelError: The vision tower lacks layers.
    """
    for name, value in given.items():
        if name in told and name != "vision_layers" and value != told[name]:
            raise InputError(name, f"it is {told[name]} by the weights' shapes, not {value}", "Leave it out")
    chosen = {**UNTOLD, **NEW, **usual, **told, **given}
    _check_layers(chosen, is_given="vision_layers" in given)
    for part, head_width in HEAD_WIDTHS.items():
        name, width = f"{part}_heads", chosen[f"{part}_width"]
        if chosen[name] is None and width % head_width == 0:
            chosen[name] = width // head_width
        if not chosen[name] or width % chosen[name]:
            problem = f"{chosen[name] or 'the usual number of'} heads cannot share a width of {width}"
            raise InputError(name, problem, "Give the model's own: no shape tells it")
    return chosen


def make_config(dimensions: Mapping[str, Any], text_config: PreTrainedConfig) -> VideoChatEmbedConfig:
    """Make a model's configuration of its dimensions and the configuration of its language model."""
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


def _check_layers(chosen: Mapping[str, Any], *, is_given: bool) -> None:
    layers, aggregators = chosen["vision_layers"], chosen["gmhra_layers"]
    if aggregators > layers:
        problem = f"{aggregators} global relation aggregators need as many layers of the vision tower"
        raise ModelError("the files", f"{problem}, and there are {layers}", "Check that EVA is whole")
    if chosen["vision_width"] == VISION_WIDTH and layers < VISION_LAYERS and not is_given:
        problem = f"the vision tower has {layers} layers, and the original's has {VISION_LAYERS}"
        raise ModelError("the files", problem, "Fetch EVA again, or give vision_layers if that is meant")


def _count(weights: Mapping[str, Tensor], prefix: str) -> int:
    return len({name.removeprefix(prefix).split(".")[0] for name in weights if name.startswith(prefix)})
