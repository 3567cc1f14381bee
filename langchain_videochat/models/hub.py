"""Weights of pretrained models: found on this machine, or fetched from the Hugging Face hub."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from langchain_videochat.errors import ModelUnavailableError
from langchain_videochat.models.cards import describe_size

BUNDLED = Path(__file__).parent
"""Folders of the models that are part of this package, each known by its name."""

TINY = "videochat-embed-tiny"
"""The VideoChat-Embed among them."""

_PARTS = ("*.json", "*.txt", "*.model")
_WEIGHTS = ("*.safetensors", "*.bin")


def find_weights(model: str | Path, revision: str | None = None) -> Path | None:
    """Find the folder of a model without a network: a path, a bundled model, or what was fetched before; or None.

    Example:
        >>> find_weights(TINY).name
        'videochat-embed-tiny'
        >>> find_weights("nobody/has-this-model") is None
        True
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    if Path(model).exists():
        return Path(model)
    if str(model) == TINY:
        return BUNDLED / TINY
    try:
        folder = Path(snapshot_download(str(model), revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return folder if any(next(folder.glob(pattern), None) for pattern in _WEIGHTS) else None


def fetch_weights(model: str | Path, revision: str | None = None) -> Path:
    """Find a model's folder, or fetch the model, with a progress bar.

    Args:
        model: A folder or a file, the name of a bundled model, or an id on the Hugging Face hub.
        revision: Branch, tag or commit on the hub; its main branch if None.

    Raises:
        ModelUnavailableError: The model is not on this machine and cannot be fetched.
    """
    import httpx
    from huggingface_hub import list_repo_files, snapshot_download
    from huggingface_hub.errors import HFValidationError

    found = find_weights(model, revision)
    if found is not None:
        return found
    try:
        names = list_repo_files(str(model), revision=revision)
        weights = next(pattern for pattern in _WEIGHTS if any(name.endswith(pattern[1:]) for name in names))
        return Path(snapshot_download(str(model), revision=revision, allow_patterns=[*_PARTS, weights]))
    except (httpx.HTTPError, OSError, HFValidationError, StopIteration) as error:
        size = describe_size(str(model))
        problem = f"this model ({size}) is not on this machine, and the Hugging Face hub cannot be reached or has none"
        advice = "Connect to the network and try again, or give the path of a folder that holds it"
        raise ModelUnavailableError(model, problem, advice) from error


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Keep the Hugging Face libraries from showing bars: for weights that are on this machine already."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from transformers.utils import logging

    bars: list[tuple[bool, Callable[[], object], Callable[[], object]]] = [
        (not are_progress_bars_disabled(), disable_progress_bars, enable_progress_bars),
        (logging.is_progress_bar_enabled(), logging.disable_progress_bar, logging.enable_progress_bar),
    ]
    for _, disable, _ in bars:
        disable()
    try:
        yield
    finally:
        for was_shown, _, enable in bars:
            if was_shown:
                enable()
