"""The model that is trained: what of it learns, how precise it is, and what earlier training gave it."""

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
from langchain_videochat.embed.modeling_videochat import TRAINED
from langchain_videochat.embed.vision_tower import ZeroLinear
from langchain_videochat.errors import ModelError
from langchain_videochat.models.hub import fetch_weights
from langchain_videochat.training.config import Trained, TrainingConfig

ADAPTER = ".lora_"
"""Part of the names of adapters' weights."""

TOWER = "vision_tower."
"""How the names of the vision tower's weights begin."""


def load_for_training(
    config: TrainingConfig, device: str, *, show_progress: bool = False
) -> tuple[VideoChatEmbedForConditionalGeneration, VideoChatEmbedProcessor]:
    """Load a model, what is trained of it with 32 bits a number, and choose what learns.

    Args:
        config: What is trained.
        device: Where the model lies.
        show_progress: Show a progress bar.

    Raises:
        ModelUnavailableError: The model, or the package peft that adapters need, is not here.
        ModelError: It is damaged or of another kind.
    """
    folder = fetch_weights(config.model)
    is_mixed = config.precision == "bf16" and config.trains != "all"
    dtype = "bfloat16" if is_mixed else "float32"
    # The gradient of torch's own attention takes long for short rows in bf16 on a processor.
    attention = "eager" if device == "cpu" and config.precision == "bf16" else None
    model, processor = load_model(
        folder, device=device, dtype=dtype, attn_implementation=attention, show_progress=show_progress
    )
    torch.manual_seed(config.seed)  # adapters begin at random
    choose_trained(model, config.trains)
    if is_mixed:
        _make_precise(model, folder)
    if config.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    _set_mode(model)
    return model, processor


def choose_trained(model: VideoChatEmbedForConditionalGeneration, trains: Trained) -> None:
    """Leave trainable what learns, and freeze all else."""
    if trains == "interface+lora":
        add_lora(model)
    if trains.startswith("interface"):
        model.freeze_pretrained()
    else:
        model.requires_grad_(True)
        model.vision_tower.requires_grad_(trains == "all")


def trained_names(model: nn.Module) -> set[str]:
    """Name the weights that learn, and the statistics that are kept beside them."""
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    modules = {name.rpartition(".")[0] for name in names}
    persistent = model.state_dict().keys()
    statistics = {name for name, _ in model.named_buffers() if name.rpartition(".")[0] in modules}
    return names | (statistics & persistent)


def put_weights(model: VideoChatEmbedForConditionalGeneration, weights: Mapping[str, Tensor], source: Path) -> None:
    """Put trained weights into a model.

    Args:
        model: Changed in place.
        weights: By their names in the model.
        source: Where they come from, for errors.

    Raises:
        ModelError: They are of another model, or the interface is not whole.
    """
    advice = "Name a run that was made with this model, or merge it into a folder and name that as model"
    own = model.state_dict()
    needed = {name for name in own if ADAPTER not in name and any(part in name for part in TRAINED)}
    if not any(name.startswith(TOWER) for name in weights):
        needed = {name for name in needed if not name.startswith(TOWER)}
    for name in sorted(weights.keys() | needed):
        if name not in own:
            raise ModelError(source, f"it has weights that the model has not, such as {name}", advice)
        if name not in weights and name in dict(model.named_parameters()):
            raise ModelError(source, f"it lacks weights of the model, such as {name}", advice)
        if name in weights and weights[name].shape != own[name].shape:
            problem = f"{name} is {list(weights[name].shape)}, and {list(own[name].shape)} in the model"
            raise ModelError(source, problem, advice)
    model.load_state_dict(weights, strict=False)


def is_aligned(model: VideoChatEmbedForConditionalGeneration) -> bool:
    """Tell whether the interface was trained before: what starts as zero is zero no more."""
    zeros = [module.weight for module in model.modules() if isinstance(module, ZeroLinear)]
    return any(weights.count_nonzero() for weights in [model.extra_query_tokens, *zeros])


def merge_adapters(model: VideoChatEmbedForConditionalGeneration) -> None:
    """Add low-rank adapters to the weights that they adapt, and take them away."""
    from peft.tuners.lora import LoraLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            model.set_submodule(name, module.get_base_layer())
    model.delete_adapter("default")


def _make_precise(model: VideoChatEmbedForConditionalGeneration, folder: Path) -> None:
    """Give what is trained 32 bits a number, read anew as precisely as it was saved: small steps add up then."""
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    for parameter in trained.values():
        parameter.data = parameter.data.float()
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as weights:
            for name in trained.keys() & set(weights.keys()):
                trained[name].data.copy_(weights.get_tensor(name))


def _set_mode(model: nn.Module) -> None:
    """Let dropout and running statistics work in what is trained alone."""
    model.eval()
    for name, module in model.named_modules():
        parameters = list(module.parameters())
        if (parameters and all(parameter.requires_grad for parameter in parameters)) or name.endswith("lora_dropout"):
            module.train()
        elif isinstance(module, GradientCheckpointingLayer):
            # It computes anew in this mode only; its parts keep theirs.
            module.training = True
