"""Checkpoints of transformers: loaded whole, or not at all."""

from pathlib import Path
from typing import Any

from langchain_videochat.errors import ModelError
from langchain_videochat.hub import without_progress_bars
from langchain_videochat.perception.pretrained import Weights


def load_checkpoint(kind: Any, folder: Path, weights: Weights) -> Any:
    """Load a model for use, on the device and in the type that is asked for.

    Args:
        kind: The class that loads it, such as `AutoModelForSeq2SeqLM`.
        folder: Where its files are.
        weights: How it runs.

    Raises:
        ModelError: The files lack a part of the model, which transformers would fill with random numbers: they were
            saved from another kind of model of the same family.
    """
    with without_progress_bars():
        model, report = kind.from_pretrained(
            folder, dtype=weights.torch_dtype, output_loading_info=True, trust_remote_code=False
        )
    missing = sorted(report["missing_keys"])
    if missing:
        problem = f"its files lack {len(missing)} of the model's parts, such as {missing[0]}"
        raise ModelError(weights.model, problem, "Take a model that was trained for this, or fetch it again")
    return model.to(weights.torch_device)


def check_vocabulary(tokenizer: Any, model: Any, weights: Weights) -> None:
    """Make sure that a tokenizer has its words: transformers takes an empty one where the files are missing.

    Raises:
        ModelError: It knows less than half of the model's tokens.
    """
    known, needed = len(tokenizer), model.config.get_text_config().vocab_size
    if known < needed / 2:
        problem = f"its tokenizer knows {known} of {needed} tokens: files are missing"
        raise ModelError(weights.model, problem, "Put the tokenizer's files into its folder, or fetch it again")
