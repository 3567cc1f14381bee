"""Quantization and LoRA adapters for the language model of a VideoChat-Embed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from torch import nn
from transformers import BitsAndBytesConfig

from langchain_videochat.errors import InputError, ModelUnavailableError
from langchain_videochat.models.weights import silence_bitsandbytes

if TYPE_CHECKING:
    from langchain_videochat.embed.modeling_videochat import VideoChatEmbedForConditionalGeneration

NOT_QUANTIZED = ("vision_tower", "vision_layernorm", "qformer", "language_projection", "lm_head")
"""The vision side of a VideoChat-Embed, and the output layer, which transformers skips unless layers are named."""

Bits = Literal[4, 8]


def quantization_config(bits: Bits, skipped: Sequence[str] = NOT_QUANTIZED, **options: Any) -> BitsAndBytesConfig:
    """Return a config that quantizes the language model only, not the vision side.

    8 bits reduce the weights of the 7B model from 16 GB to 9, 4 bits to 6.

    Args:
        bits: 4 or 8.
        skipped: Names of the layers, or of the parts of the model, that are not quantized.
        **options: Further options of `BitsAndBytesConfig`.

    Raises:
        InputError: `bits` is another number.

    Example:
        Load in four bits:

            config = quantization_config(4)
            VideoChatEmbedForConditionalGeneration.from_pretrained(folder, quantization_config=config)
    """
    if bits not in (4, 8):
        raise InputError("bits", f"must be 4 or 8, got {bits}", "Choose one of them")
    silence_bitsandbytes()  # It would also warn of every conversion to 16 bits.
    skip = list(skipped)
    return BitsAndBytesConfig(load_in_8bit=bits == 8, load_in_4bit=bits == 4, llm_int8_skip_modules=skip, **options)  # noqa: PLR2004


def add_lora(
    model: "VideoChatEmbedForConditionalGeneration", *, rank: int = 16, alpha: int = 32, dropout: float = 0.1
) -> None:
    """Add LoRA adapters to all linear layers of the language model except its output layer, as VideoChat2 does.

    Args:
        model: Changed in place.
        rank: Rank of the adapters.
        alpha: Their output is scaled by `alpha / rank`.
        dropout: Dropout probability on their inputs.

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
