"""What may be done to the language model alone: fewer bits for its weights, and low-rank adapters."""

from typing import TYPE_CHECKING, Any, Literal

from torch import nn
from transformers import BitsAndBytesConfig

from langchain_videochat.errors import InputError, ModelUnavailableError

if TYPE_CHECKING:
    from langchain_videochat.embed.modeling_videochat import VideoChatEmbedForConditionalGeneration

VISUAL_PARTS = ["vision_tower", "vision_layernorm", "qformer", "language_projection"]

Bits = Literal[4, 8]


def quantized(bits: Bits, **options: Any) -> BitsAndBytesConfig:
    """Have the language model's weights loaded in 8 or 4 bits each, and all else as it is.

    8 bits bring the 7B model from 16 GB down to 9, 4 bits to 6 (weights alone).

    Args:
        bits: 4 or 8.
        **options: More of bitsandbytes' settings.

    Raises:
        InputError: `bits` is another number.

    Example:
        Load in four bits:

            VideoChatEmbedForConditionalGeneration.from_pretrained(folder, quantization_config=quantized(4))
    """
    if bits not in (4, 8):
        raise InputError("bits", f"{bits} cannot be had", "Take 4 or 8")
    # transformers leaves out the output layer by itself, but only where nothing else is named.
    skipped = [*VISUAL_PARTS, "lm_head"]
    return BitsAndBytesConfig(load_in_8bit=bits == 8, load_in_4bit=bits == 4, llm_int8_skip_modules=skipped, **options)  # noqa: PLR2004


def add_lora(
    model: "VideoChatEmbedForConditionalGeneration", *, rank: int = 16, alpha: int = 32, dropout: float = 0.1
) -> None:
    """Add trainable low-rank adapters to all linear layers of the language model, as VideoChat2 does.

    Args:
        model: Changed in place.
        rank: Width of the adapters.
        alpha: Their output is multiplied by `alpha / rank`.
        dropout: Share of their inputs that is dropped in training.

    Raises:
        ModelUnavailableError: The package peft is not installed.
    """
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ModelUnavailableError("LoRA", "the package peft is not installed", "Run `pip install peft`") from error
    language_model = model.language_model
    output = language_model.get_output_embeddings()
    layers = [
        f"language_model.{name}"
        for name, module in language_model.named_modules()
        if isinstance(module, nn.Linear) and module is not output
    ]
    model.add_adapter(LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=layers))
