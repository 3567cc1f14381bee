"""Loading a VideoChat-Embed model together with its processor."""

from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from langchain_videochat.embed.configuration_videochat import VideoChatEmbedConfig
from langchain_videochat.embed.language_model import Bits, quantized
from langchain_videochat.embed.modeling_videochat import VideoChatEmbedForConditionalGeneration
from langchain_videochat.embed.processing_videochat import VideoChatEmbedProcessor
from langchain_videochat.errors import ModelError
from langchain_videochat.models.hub import fetch_weights
from langchain_videochat.models.weights import Weights, load_checkpoint, model_errors

AutoConfig.register(VideoChatEmbedConfig.model_type, VideoChatEmbedConfig, exist_ok=True)
AutoModelForImageTextToText.register(VideoChatEmbedConfig, VideoChatEmbedForConditionalGeneration, exist_ok=True)
AutoProcessor.register(VideoChatEmbedConfig, VideoChatEmbedProcessor, exist_ok=True)


def load_model(
    model: str | Path,
    *,
    device: str = "auto",
    dtype: str = "auto",
    bits: Bits | None = None,
    attn_implementation: str | None = None,
    revision: str | None = None,
    show_progress: bool = True,
) -> tuple[VideoChatEmbedForConditionalGeneration, VideoChatEmbedProcessor]:
    """Load a model that `save_pretrained` or `convert_checkpoint` wrote, for use.

    Args:
        model: Its folder, or an id on the Hugging Face hub.
        device: As torch names it; "auto" is the graphics card if there is one.
        dtype: "float32", "float16" or "bfloat16"; "auto" is float32 on a processor and bfloat16 elsewhere.
        bits: 8 or 4 to load the language model's weights with so many bits each.
        attn_implementation: "eager", "sdpa" or "flash_attention_2"; what suits the machine if None.
        revision: Branch, tag or commit on the hub; its main branch if None.
        show_progress: Show a progress bar.

    Raises:
        InputError: An argument makes no sense on this machine.
        ModelUnavailableError: The model, or a package that it needs, is not here and cannot be fetched.
        ModelError: It is none of VideoChat-Embed, or lacks a part.
    """
    weights = Weights(str(model), device, dtype)
    options: dict[str, Any] = {} if bits is None else {"quantization_config": quantized(bits)}
    folder = fetch_weights(model, revision)
    with model_errors(weights.model):
        config = _read_config(folder, weights)
        processor = VideoChatEmbedProcessor.from_pretrained(folder)
        _check_places(processor, config, weights)
        loaded = load_checkpoint(
            VideoChatEmbedForConditionalGeneration,
            folder,
            weights,
            show_progress=show_progress,
            attn_implementation=attn_implementation,
            **options,
        )
    return loaded.eval(), processor


def _read_config(folder: Path, weights: Weights) -> VideoChatEmbedConfig:
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if not isinstance(config, VideoChatEmbedConfig):
        problem = f"it holds a model of another kind ({config.model_type})"
        raise ModelError(weights.model, problem, "Make one of VideoChat-Embed from it with `videochat convert`")
    return config


def _check_places(processor: VideoChatEmbedProcessor, config: VideoChatEmbedConfig, weights: Weights) -> None:
    written = processor.num_visual_tokens, processor.video_token_id
    if written != (config.num_visual_tokens, config.video_token_id):
        problem = "its processor writes prompts for another model"
        raise ModelError(weights.model, problem, "Save model and processor into the same folder")
