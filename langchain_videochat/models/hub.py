"""Weights of pretrained models: finding them on this machine, and downloading them from the Hugging Face Hub."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import filter as match_names
from glob import escape
from pathlib import Path

from langchain_videochat.errors import ModelUnavailableError
from langchain_videochat.models.cards import describe_size

BUNDLED = Path(__file__).parent
"""Parent of the folders of bundled models."""

TINY = "videochat-embed-tiny"
"""Name of the bundled VideoChat-Embed."""

_CONFIGURATION = ("*.json", "*.jinja", "*.txt", "*.model", "*.py")
_WEIGHTS = ("*.safetensors", "*.bin")


def find_weights(model: str | Path, revision: str | None = None, files: Sequence[str] = ()) -> Path | None:
    """Return the path of a model without network access; None if it has to be downloaded.

    Args:
        model: A folder or a file, the name of a bundled model, an id on the Hugging Face Hub, or a file of a repository
            there: "owner/repository/file.pyth".
        revision: Branch, tag or commit on the Hub; the main branch if None.
        files: Glob patterns, each of which must match a file that was downloaded; by default, weights of a
            transformers model: safetensors or .bin files.

    Example:
        >>> find_weights(TINY).name
        'videochat-embed-tiny'
        >>> find_weights("nobody/has-this-model") is None
        True
    """
    if Path(model).exists():
        return Path(model)
    if str(model) == TINY:
        return BUNDLED / TINY
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    repository, file = _split_file(str(model))
    try:
        folder = Path(snapshot_download(repository, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    patterns = _patterns_to_fetch(names, [escape(file)] if file else files)
    is_complete = patterns and all(_has_shards(folder, pattern) for pattern in patterns)
    return folder / file if is_complete else None


def fetch_weights(model: str | Path, revision: str | None = None, files: Sequence[str] = ()) -> Path:
    """Return the path of a model, downloading it with a progress bar if necessary.

    The arguments are those of `find_weights`. By default, configuration and tokenizer are downloaded too, and Python
    files, which run only if a caller sets `trust_remote_code`.

    Raises:
        ModelUnavailableError: The model is not on this machine and cannot be downloaded.
    """
    import httpx
    from huggingface_hub import list_repo_files, snapshot_download
    from huggingface_hub.errors import HFValidationError

    found = find_weights(model, revision, files)
    if found is not None:
        return found
    repository, file = _split_file(str(model))
    if file:
        files = [escape(file)]
    try:
        patterns = _patterns_to_fetch(list_repo_files(repository, revision=revision), files)
        if patterns:
            return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns)) / file
    except (httpx.HTTPError, OSError, HFValidationError) as error:
        size = describe_size(str(model))
        problem = f"not on this machine ({size}), and it cannot be reached on the Hugging Face Hub"
        advice = "Connect to the network and try again, or give the path of a folder that contains it"
        raise ModelUnavailableError(model, problem, advice) from error
    expected = " and ".join(files) or " or ".join(_WEIGHTS)
    raise ModelUnavailableError(model, f"the repository has no files {expected}", "Use a model in this format")


def _split_file(model: str) -> tuple[str, str]:
    """Split "owner/repository/file" into repository and file; the file is empty if it is an id."""
    owner, *names = model.split("/", maxsplit=2)
    return (f"{owner}/{names[0]}", names[1]) if len(names) == 2 and owner else (model, "")  # noqa: PLR2004


def _patterns_to_fetch(names: list[str], files: Sequence[str]) -> list[str]:
    """Return the patterns of the files to download; empty if necessary files are missing."""
    if files:
        return list(files) if all(match_names(names, pattern) for pattern in files) else []
    weights = next((pattern for pattern in _WEIGHTS if match_names(names, pattern)), None)
    return [*_CONFIGURATION, weights] if weights else []


def _has_shards(folder: Path, pattern: str) -> bool:
    """Return whether all shards of the weights exist: a download may have been interrupted."""
    indices = [json.loads(path.read_bytes()) for path in folder.glob(f"{pattern}.index.json")]
    return all((folder / name).exists() for index in indices for name in index.get("weight_map", {}).values())


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Hide the progress bars of the Hugging Face libraries, for weights that are already on this machine."""
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
