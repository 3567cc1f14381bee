"""Loading a VideoChat-Embed model together with its processor."""

from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from langchain_videochat.embed.configuration_videochat import VideoChatEmbedConfig
from langchain_videochat.embed.language_model import Bits, quantization_config
from langchain_videochat.embed.modeling_videochat import VideoChatEmbedForConditionalGeneration
from langchain_videochat.embed.processing_videochat import VideoChatEmbedProcessor
from langchain_videochat.embed.settings import float32_on_cpu
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
    """Load a model written by `save_pretrained` or `convert_checkpoint`, together with its processor, for inference.

    Args:
        model: Folder of the model, or its id on the Hugging Face Hub.
        device: A PyTorch device; "auto" is the GPU if there is one.
        dtype: "float32", "float16" or "bfloat16"; "auto" is float32 on a CPU and bfloat16 elsewhere.
        bits: 8 or 4 to quantize the language model's weights to that many bits.
        attn_implementation: "eager", "sdpa" or "flash_attention_2"; chosen by transformers if None.
        revision: Branch, tag or commit on the Hub; the main branch if None.
        show_progress: Show a progress bar.

    Raises:
        InputError: An argument is invalid on this machine.
        ModelUnavailableError: The model, or a package that it needs, cannot be found or downloaded.
        ModelError: The model is not a VideoChat-Embed, or is incomplete.
    """
    weights = float32_on_cpu(Weights(str(model), device, dtype))
    options: dict[str, Any] = {} if bits is None else {"quantization_config": quantization_config(bits)}
    folder = fetch_weights(model, revision)
    with model_errors(weights.model):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        if not isinstance(config, VideoChatEmbedConfig):
            problem = f"this is not a VideoChat-Embed but a model of type {config.model_type}"
            raise ModelError(weights.model, problem, "Build a VideoChat-Embed from it with `videochat convert`")
        processor = VideoChatEmbedProcessor.from_pretrained(folder)
        placeholders = processor.num_visual_tokens, processor.video_token_id
        if placeholders != (config.num_visual_tokens, config.video_token_id):
            problem = "the processor belongs to another model"
            raise ModelError(weights.model, problem, "Save model and processor into the same folder")
        loaded = load_checkpoint(
            VideoChatEmbedForConditionalGeneration,
            folder,
            weights,
            show_progress=show_progress,
            attn_implementation=attn_implementation,
            **options,
        )
    return loaded.eval(), processor
