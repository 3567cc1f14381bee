"""Configuration files of models that are not loaded."""

import json
from pathlib import Path
from typing import Any

from langchain_videochat.models.hub import find_weights

Config = dict[str, Any]
"""The content of a configuration file."""


def find_config(model: str | Path, revision: str | None = None) -> Config:
    """Return the configuration of a model; empty if the model is not on this machine.

    Args:
        model: Folder of the model, the name of a bundled model, or an id on the Hugging Face Hub.
        revision: Branch, tag or commit on the Hub; the main branch if None.

    Example:
        >>> find_config("videochat-embed-tiny")["model_type"]
        'videochat_embed'
    """
    folder = find_weights(model, revision)
    return {} if folder is None else read_config(folder)


def read_config(folder: Path) -> Config:
    """Return the configuration in a folder; empty if it cannot be read, which loading the model reports."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def context_length(config: Config) -> int | None:
    """Return the maximum number of tokens of a model's language model; None if its configuration states none.

    Example:
        >>> context_length(find_config("videochat-embed-tiny"))
        2048
    """
    text_config = _answering_part(config).get("text_config")
    length = text_config.get("max_position_embeddings") if isinstance(text_config, dict) else None
    return length if isinstance(length, int) and length else None


def takes_audio(config: Config) -> bool:
    """Return whether a model has audio input.

    Example:
        >>> takes_audio(find_config("videochat-embed-tiny"))
        False
    """
    return bool(_answering_part(config).get("audio_config"))


def _answering_part(config: Config) -> Config:
    """Return the configuration of the thinker of an Omni model, which answers; otherwise the configuration itself."""
    thinker = config.get("thinker_config")
    return thinker if isinstance(thinker, dict) else config
