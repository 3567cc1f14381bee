"""Formats of Whisper's weights, which are recognized by the model's name or files.

| model | format |
| --- | --- |
| a name such as "turbo", or a .pt file | openai-whisper |
| a folder or id on the Hugging Face Hub with model.bin | CTranslate2 |
| another folder or id | transformers |
"""

from pathlib import Path

from langchain_videochat.models.weights import Weights
from langchain_videochat.perception.whisper_ctranslate2 import WEIGHTS_FILE, load_ctranslate2
from langchain_videochat.perception.whisper_model import WhisperModel
from langchain_videochat.perception.whisper_torch import find_file, load_openai, load_torch_whisper, load_transformers


def load_whisper(weights: Weights) -> WhisperModel:
    """Load a Whisper model of any format, downloading it if necessary.

    Raises:
        ModelUnavailableError: There is no such model, or it cannot be downloaded.
        ModelError: The files are damaged, or those of another model.
        InputError: The format does not support the device or the dtype.
    """
    if is_openai(weights.model):
        return load_torch_whisper(weights, load_openai(weights.model))
    folder = weights.fetch()
    if (folder / WEIGHTS_FILE).is_file():
        return load_ctranslate2(weights, folder)
    return load_torch_whisper(weights, load_transformers(weights, folder))


def find_whisper(weights: Weights) -> Path | None:
    """Return the path of a model's files on this machine; None if they have to be downloaded."""
    if not is_openai(weights.model):
        return weights.find()
    file = find_file(weights.model)
    return file if file.is_file() else None


def fetch_whisper(weights: Weights) -> Path:
    """Return the path of a model's files, downloading them if necessary.

    Raises:
        ModelUnavailableError: There is no such model, or it cannot be downloaded.
        ModelError: A .pt file is damaged, or not in the format of openai-whisper.
    """
    if not is_openai(weights.model):
        return weights.fetch()
    load_openai(weights.model)
    return find_file(weights.model)


def is_openai(model: str) -> bool:
    """Return whether a model is a file or a name of openai-whisper, rather than a folder or an id on the Hub.

    Example:
        >>> is_openai("turbo"), is_openai("talks/base.pt"), is_openai("openai/whisper-base")
        (True, True, False)
    """
    path = Path(model)
    return path.is_file() or path.suffix == ".pt" or (not path.is_dir() and "/" not in model)


def label(model: str) -> str:
    """Return the name of a model as the source of a transcript.

    Example:
        >>> label("turbo"), label("Systran/faster-whisper-base")
        ('whisper-turbo', 'whisper-base')
    """
    name = Path(model).name.removesuffix(".pt")
    return f"whisper-{name.removeprefix('faster-').removeprefix('whisper-')}"
