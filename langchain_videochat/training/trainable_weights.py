"""The weights that a run trains: selecting, loading and merging them."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from langchain_videochat.embed import (
    VideoChatEmbedForConditionalGeneration,
    VideoChatEmbedProcessor,
    add_lora,
    load_model,
)
from langchain_videochat.embed.modeling_videochat import TRAINED_PARTS
from langchain_videochat.embed.vision_tower import ZeroLinear
from langchain_videochat.errors import ModelError
from langchain_videochat.models.hub import fetch_weights
from langchain_videochat.training.config import Trainable, TrainingConfig

ADAPTER = ".lora_"
"""Part of the names of LoRA weights."""

TOWER = "vision_tower."
"""Prefix of the names of the vision tower's weights."""


def load_for_training(
    config: TrainingConfig, device: str, *, show_progress: bool = False
) -> tuple[VideoChatEmbedForConditionalGeneration, VideoChatEmbedProcessor]:
    """Load a model for training: the trainable weights in fp32, the others in the config's precision and frozen.

    Raises:
        ModelUnavailableError: The model, or the package peft that LoRA needs, is not available.
        ModelError: The model is damaged or of another kind.
    """
    folder = fetch_weights(config.model)
    is_mixed = config.precision == "bf16" and config.trainable != "all"
    dtype = "bfloat16" if is_mixed else "float32"
    # On a CPU in bf16, the gradient of PyTorch's SDPA takes most of a step. Of the tiny vision tower, a step takes
    # 0.56 s with "eager", 1.07 s with "sdpa" and 1.14 s in fp32; of its language model, 0.14 s and 0.29 s in bf16.
    attention = "eager" if device == "cpu" and config.precision == "bf16" else None
    model, processor = load_model(
        folder, device=device, dtype=dtype, attn_implementation=attention, show_progress=show_progress
    )
    torch.manual_seed(config.seed)  # for the initial LoRA weights
    set_trainable(model, config.trainable)
    if is_mixed:
        _restore_fp32(model, folder)
    if config.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    _set_modes(model)
    return model, processor


def set_trainable(model: VideoChatEmbedForConditionalGeneration, trainable: Trainable) -> None:
    """Enable gradients for the selected weights, and freeze all others."""
    if trainable == "interface+lora":
        add_lora(model)
    if trainable.startswith("interface"):
        model.freeze_pretrained()
    else:
        model.requires_grad_(True)
        model.vision_tower.requires_grad_(trainable == "all")


def trainable_names(model: nn.Module) -> set[str]:
    """Return the names of the trainable weights, and of the running statistics of their modules."""
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    modules = {name.rpartition(".")[0] for name in names}
    persistent = model.state_dict().keys()
    statistics = {name for name, _ in model.named_buffers() if name.rpartition(".")[0] in modules}
    return names | (statistics & persistent)


def load_trained_weights(
    model: VideoChatEmbedForConditionalGeneration, weights: Mapping[str, Tensor], source: Path
) -> None:
    """Load trained weights into a model. `source` names their origin in errors.

    Raises:
        ModelError: The weights belong to another model, or the token interface is incomplete.
    """
    advice = "Use a run that was trained from this model, or merge that run and use the merged folder as model"
    state = model.state_dict()
    required = {name for name in state if ADAPTER not in name and any(part in name for part in TRAINED_PARTS)}
    if not any(name.startswith(TOWER) for name in weights):
        required = {name for name in required if not name.startswith(TOWER)}
    for name in sorted(weights.keys() | required):
        if name not in state:
            raise ModelError(source, f"it has weights that are not in the model, such as {name}", advice)
        if name not in weights and name in dict(model.named_parameters()):
            raise ModelError(source, f"it lacks weights of the model, such as {name}", advice)
        if name in weights and weights[name].shape != state[name].shape:
            problem = f"{name} has shape {list(weights[name].shape)}, but {list(state[name].shape)} in the model"
            raise ModelError(source, problem, advice)
    model.load_state_dict(weights, strict=False)


def is_aligned(model: VideoChatEmbedForConditionalGeneration) -> bool:
    """Return whether the token interface has been trained: weights that start as zeros are no longer all zero."""
    zeros = [module.weight for module in model.modules() if isinstance(module, ZeroLinear)]
    return any(weights.count_nonzero() for weights in [model.extra_query_tokens, *zeros])


def merge_adapters(model: VideoChatEmbedForConditionalGeneration) -> None:
    """Merge LoRA adapters into the weights that they adapt, and remove them."""
    from peft.tuners.lora import LoraLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            model.set_submodule(name, module.get_base_layer())
    model.delete_adapter("default")


def _restore_fp32(model: VideoChatEmbedForConditionalGeneration, folder: Path) -> None:
    """Convert the trainable weights to fp32, read from the files again at full precision.

    In bf16, small updates would be rounded away.
    """
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    for parameter in trainable.values():
        parameter.data = parameter.data.float()
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as weights:
            for name in trainable.keys() & set(weights.keys()):
                trainable[name].data.copy_(weights.get_tensor(name))


def _set_modes(model: nn.Module) -> None:
    """Enable dropout and running statistics in trainable modules only."""
    model.eval()
    for name, module in model.named_modules():
        parameters = list(module.parameters())
        if (parameters and all(parameter.requires_grad for parameter in parameters)) or name.endswith("lora_dropout"):
            module.train()
        elif isinstance(module, GradientCheckpointingLayer):
            # Checkpointing works in training mode only. The modules inside keep their own modes.
            module.training = True
