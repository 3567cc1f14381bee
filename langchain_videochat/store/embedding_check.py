"""The record of the embedding model that a store was built with, and the check that it is opened with the same one."""

import json

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from langchain_videochat.errors import StoreError
from langchain_videochat.store.connection import Connection
from langchain_videochat.store.embeddings import SentenceTransformerEmbeddings
from langchain_videochat.store.model_records import read_model_record, write_model_record

PROBE = "A person opens the door and says: hello, how are you?"
"""A sentence whose embedding identifies a model: names differ for the same weights, and agree for different ones."""

MIN_PROBE_COSINE = 0.99
"""Minimum cosine similarity of two embeddings of the probe by the same model, on any two machines."""

_RECORD = "embedding"
_FINGERPRINT = "embedding_fingerprint"
_MODEL = "embedding_model"


class EmbeddingCheck:
    """Checks once that an embedding model is the one that a store was built with.

    Args:
        embedding: The model to check.
        connection: The collections of the store, which has a record of the name of its model, and of the embedding of
            the probe.
    """

    def __init__(self, embedding: Embeddings, connection: Connection) -> None:
        self._embedding = embedding
        self._connection = connection
        self._passed = False

    @property
    def passed(self) -> bool:
        """Whether the model is known to be that of the collection."""
        return self._passed

    def run(self) -> None:
        """Check the model; an empty store accepts any. Raises a StoreError if the model is another one."""
        if self._passed:
            return
        record = read_model_record(self._connection, _RECORD)
        if _FINGERPRINT in record:
            self._compare(json.loads(record[_FINGERPRINT]), str(record.get(_MODEL, "unknown")))
            self._passed = True

    def run_for_writing(self) -> None:
        """Check the model in the same way, and record it if the store is empty."""
        self.run()
        if not self._passed:
            fingerprint = json.dumps([round(value, 4) for value in self._unit_probe().tolist()])
            record = {_FINGERPRINT: fingerprint, _MODEL: _name_of(self._embedding)}
            write_model_record(self._connection, _RECORD, record)
            self._passed = True

    def _compare(self, saved: list[float], recorded: str) -> None:
        probe = self._unit_probe()
        if len(saved) != len(probe):
            difference = f"its vectors have {len(saved)} dimensions, those of this model have {len(probe)}"
        elif float(np.dot(saved, probe)) < MIN_PROBE_COSINE:
            difference = "its embedding of a test sentence differs"
        else:
            return
        models = f"{recorded!r}, not {_name_of(self._embedding)!r}"
        problem = f"the store was built with another embedding model ({models}): {difference}"
        advice = "Open it with the original embedding model, or use another directory or collection_name"
        raise StoreError(self._connection.place, problem, advice)

    def _unit_probe(self) -> NDArray[np.float64]:
        vector = np.asarray(self._embedding.embed_documents([PROBE])[0], dtype=np.float64)
        return vector / (np.linalg.norm(vector) or 1.0)


def recorded_model(connection: Connection) -> str | None:
    """Return the name of the model that a store was built with; None if it is empty or has no record of it."""
    model = read_model_record(connection, _RECORD).get(_MODEL)
    return None if model is None else str(model)


def _name_of(embedding: Embeddings) -> str:
    """Return the name of a model that was opened by name; otherwise the class of the object, and its model if known."""
    if isinstance(embedding, SentenceTransformerEmbeddings):
        return embedding.model
    models = (getattr(embedding, attribute, None) for attribute in ("model", "model_name"))
    model = next((one for one in models if isinstance(one, str)), None)
    return type(embedding).__name__ + (f"({model})" if model else "")
