"""Configuration files of models that are not loaded."""

import json
from pathlib import Path
from typing import Any

from langchain_videochat.models.hub import find_weights


def read_config(folder: Path) -> dict[str, Any]:
    """Return the configuration file of a model; empty if it cannot be read, which loading the model reports.

    Example:
        >>> read_config(find_weights("videochat-embed-tiny"))["model_type"]
        'videochat_embed'
    """
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def find_context_length(model: str | Path, revision: str | None = None) -> int | None:
    """Return the maximum number of tokens of a model's language model, from its configuration file.

    Args:
        model: Folder of the model, the name of a bundled model, or an id on the Hugging Face Hub.
        revision: Branch, tag or commit on the Hub; the main branch if None.

    Returns:
        None if the model is not on this machine, or states no maximum.

    Example:
        >>> find_context_length("videochat-embed-tiny")
        2048
    """
    folder = find_weights(model, revision)
    if folder is None:
        return None
    text_config = _answering_part(read_config(folder)).get("text_config")
    length = text_config.get("max_position_embeddings") if isinstance(text_config, dict) else None
    return length if isinstance(length, int) and length else None


def takes_audio(model: str | Path, revision: str | None = None) -> bool:
    """Return whether a model has audio input, from its configuration file; False if it is not on this machine.

    Example:
        >>> takes_audio("videochat-embed-tiny")
        False
    """
    folder = find_weights(model, revision)
    return bool(folder and _answering_part(read_config(folder)).get("audio_config"))


def _answering_part(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of the thinker of an Omni model, which answers; otherwise the configuration itself."""
    thinker = config.get("thinker_config")
    return thinker if isinstance(thinker, dict) else config
