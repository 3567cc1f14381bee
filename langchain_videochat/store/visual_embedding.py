"""The visual model of a store: recording it, checking that all frames were embedded with it, and loading it."""

import json
import logging
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.errors import InputError, ModelError, ModelUnavailableError, StoreError, VideoChatError
from langchain_videochat.models.cards import describe_size
from langchain_videochat.models.weights import Weights, share
from langchain_videochat.perception import Observation
from langchain_videochat.perception.frame_vectors import load_vector
from langchain_videochat.perception.perceiver import AnyPerceiver
from langchain_videochat.perception.visual import Visual
from langchain_videochat.perception.visual_models import DEFAULT_VISUAL_MODEL, VisualModel, load_visual_model
from langchain_videochat.store.connection import Connection
from langchain_videochat.store.embedding_check import MIN_PROBE_COSINE, PROBE
from langchain_videochat.store.model_records import read_model_record, write_model_record

_LOG = logging.getLogger(__name__)

_RECORD = "visual"
_MODEL, _DIMENSIONS, _FINGERPRINT = "visual_model", "visual_dimensions", "visual_fingerprint"


@dataclass(frozen=True)
class VisualRecord:
    """What a store has recorded of the model that its frames were embedded with. It may come from a stranger."""

    model: str
    """Name of the model; empty if it is unknown."""

    dimensions: int
    """Width of its vectors."""

    fingerprint: tuple[float, ...] = ()
    """Its embedding of `PROBE`; empty if the frames came from a timeline that was added."""

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> "VisualRecord | None":
        """Read the output of `to_metadata`; None if it has no record, or a damaged one."""
        model, dimensions = metadata.get(_MODEL), metadata.get(_DIMENSIONS)
        if not isinstance(model, str) or not isinstance(dimensions, int):
            return None
        try:
            fingerprint = tuple(map(float, json.loads(metadata.get(_FINGERPRINT, "[]"))))
        except (TypeError, ValueError):
            return None
        return cls(model, dimensions, fingerprint if len(fingerprint) == dimensions else ())

    def to_metadata(self) -> dict[str, str | int]:
        """Return the record as JSON-serializable metadata."""
        return {
            _MODEL: self.model,
            _DIMENSIONS: self.dimensions,
            _FINGERPRINT: json.dumps([round(value, 4) for value in self.fingerprint]),
        }

    def is_of(self, probe: NDArray[np.float32]) -> bool:
        """Return whether a model with this embedding of `PROBE` is the recorded one, as far as is known."""
        if len(probe) != self.dimensions:
            return False
        return not self.fingerprint or float(np.dot(self.fingerprint, probe)) >= MIN_PROBE_COSINE


class VisualEmbedding:
    """The visual model of a store, which embeds queries as the frames of its videos were embedded.

    Args:
        given: The name of the model that the caller gave, from `resolve_visual_name`. If None, the recorded one is
            opened, provided that it is the default: a store that somebody else made chooses nothing else.
        connection: The collections of the store, which has the record.
    """

    def __init__(self, given: str | None, connection: Connection) -> None:
        self._given = given
        self._connection = connection
        self._place = connection.place
        self._lock = threading.Lock()
        self._model: VisualModel | None = None
        self._is_missing = False
        self._probes: dict[str, NDArray[np.float32]] = {}
        """Embeddings of `PROBE` by the models that may be used for indexing, by name."""

    def record(self) -> VisualRecord | None:
        """Return the record; None if no video with embedded frames was stored."""
        return VisualRecord.of(read_model_record(self._connection, _RECORD))

    def check_profile(self, perceivers: Iterable[AnyPerceiver]) -> None:
        """Check, before a video is perceived, that its frames will be embedded with the model of the store.

        Raises:
            StoreError: The profile has another visual model.
            ModelUnavailableError: Its model is not available on this machine.
        """
        for perceiver in perceivers:
            if isinstance(perceiver, Visual) and perceiver.weights.model not in self._probes:
                # Perception reports a model of the wrong kind, and keeps the results of the others.
                with suppress(ModelError):
                    self._check_perceiver(perceiver)

    def record_model(self, observations: Iterable[Observation]) -> None:
        """Record the model of the vectors of observations if they are the first; errors are those of `check_frames`."""
        record = self.check_frames(observations)
        if record is not None:
            write_model_record(self._connection, _RECORD, record.to_metadata())

    def check_frames(self, observations: Iterable[Observation]) -> VisualRecord | None:
        """Check the vectors of observations before they are stored.

        Returns:
            What is to be recorded of their model; None if there is a record, or no vector.

        Raises:
            StoreError: They come from another model than those in the store.
            InputError: One is damaged, or they differ in width.
        """
        frames = [one for one in observations if one.vector is not None]
        if not frames:
            return None
        widths = {len(load_vector(one.vector or "")) for one in frames}
        if len(widths) > 1:
            problem = f"the vectors of frames have different widths: {', '.join(map(str, sorted(widths)))}"
            raise InputError("timeline", problem, "Embed all frames of a video with one model")
        (width,) = widths
        record = self.record()
        if record is None:
            name = frames[0].source or ""
            return VisualRecord(name, width, tuple(self._probes.get(name, np.zeros(0)).tolist()))
        if width != record.dimensions:
            difference = f"its vectors have {record.dimensions} dimensions, those of these frames have {width}"
            raise self._other_model(record, frames[0].source or "", difference)
        for other in {one.source for one in frames} - {None, record.model} - self._probes.keys():
            if record.model:
                raise self._other_model(record, str(other), "the names of the models differ")
        return None

    def find(self) -> VisualModel | None:
        """Return the model for a search by text; None, after one warning, if it cannot be used on this machine.

        Nothing is downloaded unless the caller has given the model.

        Raises:
            StoreError: The caller has given another model than that of the store.
            ModelError: The caller has given a model of another kind.
        """
        if self._is_missing:
            return None
        try:
            return self.open(download=self._given is not None)
        except VideoChatError as error:
            if self._given is not None and not isinstance(error, ModelUnavailableError):
                raise
            self._is_missing = True
            _LOG.warning("Frames are left out of searches by text. %s", error)
            return None

    def open(self, *, download: bool = True) -> VisualModel:
        """Return the model, which is loaded at first use.

        Raises:
            StoreError: Only the caller may open the model, or the one given is not that of the store.
            ModelUnavailableError: It is not available on this machine.
            ModelError: It is of another kind, or damaged.
        """
        if self._model is not None:
            return self._model
        record = self.record()
        weights = self._choose_weights(record)
        if download:
            weights.fetch()  # before locking: meanwhile, texts can be searched
        elif weights.find() is None:
            problem = f"this visual model is not on this machine ({describe_size(weights.model)})"
            advice = "Index a video here, or search by a picture, which downloads it"
            raise ModelUnavailableError(weights.model, problem, advice)
        with self._lock:
            if self._model is None:
                self._model = self._load(weights, record)
                self._is_missing = False
            return self._model

    def check_width(self, dimensions: int, vector: NDArray[np.float32]) -> None:
        """Check the vector of a query against the width of those of the frames.

        Raises:
            StoreError: It is of another width.
        """
        if len(vector) != dimensions:
            problem = f"its frames have vectors of {dimensions} dimensions, the visual model's have {len(vector)}"
            raise StoreError(self._place, problem, "Pass the model that the frames were embedded with")

    def _choose_weights(self, record: VisualRecord | None) -> Weights:
        name = self._given or (record.model if record else "")
        if self._given is None and name != DEFAULT_VISUAL_MODEL:
            problem = f"its frames were embedded with {name or 'an unknown model'!r}, which is not opened automatically"
            advice = "If you trust it, pass its name or path as visual_embedding (--visual-embedding)"
            raise StoreError(self._place, problem, advice)
        return Weights(name)  # As `Visual` has them by default, which then shares the model.

    def _load(self, weights: Weights, record: VisualRecord | None) -> VisualModel:
        model = share(load_visual_model, weights)
        if record is not None and not record.is_of(_probe(model)):
            raise self._other_model(record, weights.model, "its embedding of a test sentence differs")
        return model

    def _check_perceiver(self, perceiver: Visual) -> None:
        name, record = perceiver.weights.model, self.record()
        if record is not None and record.model != name and _is_id(record.model) and _is_id(name):
            raise self._other_model(record, name, "the names of the models differ")  # before it is downloaded
        probe = _probe(perceiver.model)
        if record is not None and not record.is_of(probe):
            raise self._other_model(record, name, "its embedding of a test sentence differs")
        if record is not None and not record.fingerprint and record.model != name:
            raise self._other_model(record, name, "the names of the models differ")
        self._probes[name] = probe
        self._is_missing = False

    def _other_model(self, record: VisualRecord, name: str, difference: str) -> StoreError:
        models = f"{record.model or 'unknown'!r}, not {name or 'unknown'!r}"
        problem = f"its frames were embedded with another visual model ({models}): {difference}"
        advice = "Use the model of the store (`- visual: {model: ...}` in a profile), or another directory"
        return StoreError(self._place, problem, advice)


def resolve_visual_name(given: str | Path) -> str:
    """Return the id on the Hugging Face Hub, or the absolute path, of a visual model.

    Raises:
        InputError: It is neither an existing path nor the form of an id.

    Example:
        >>> resolve_visual_name("google/siglip2-base-patch32-256")
        'google/siglip2-base-patch32-256'
    """
    name = str(given)
    if name and Path(name).exists():
        return str(Path(name).absolute())
    if _is_id(name):
        return name
    advice = f"Use an id on the Hugging Face Hub such as {DEFAULT_VISUAL_MODEL}, or the path of a folder"
    raise InputError("visual_embedding", f"unknown visual model {name!r}", advice)


def _is_id(name: str) -> bool:
    """Return whether a name has the form of an id on the Hugging Face Hub, and is not a path."""
    owner, _, model = name.partition("/")
    return bool(owner and model) and "/" not in model and not Path(name).exists()


def _probe(model: VisualModel) -> NDArray[np.float32]:
    vector: NDArray[np.float32] = model.embed_texts([PROBE])[0]
    return vector
