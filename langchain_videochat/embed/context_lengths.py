"""Context lengths of models that are not loaded."""

import json
from pathlib import Path

from langchain_videochat.models.hub import find_weights


def find_context_length(model: str | Path, revision: str | None = None) -> int | None:
    """Return the maximum number of tokens of a VideoChat-Embed's language model, from its configuration file.

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
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return None  # loading the model will raise an error that says what is wrong
    text_config = config.get("text_config") if isinstance(config, dict) else None
    length = text_config.get("max_position_embeddings") if isinstance(text_config, dict) else None
    return length if isinstance(length, int) and length else None
