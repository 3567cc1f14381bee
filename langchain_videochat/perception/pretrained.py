"""Perceivers with a pretrained model: loaded at first use, shared, and run in batches."""

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.media import FrameBatch
from langchain_videochat.models.hub import fetch_weights, find_weights
from langchain_videochat.models.weights import Weights, share
from langchain_videochat.perception.base import InputT, Perceiver
from langchain_videochat.perception.observation import Observation

ModelT = TypeVar("ModelT")
ItemT = TypeVar("ItemT")
SeenT = TypeVar("SeenT")

Picture = NDArray[np.uint8]
"""An RGB picture, [H, W, 3]."""

logger = logging.getLogger(__name__)


class ModelPerceiver(Perceiver[InputT], Generic[InputT, ModelT]):
    """A perceiver with a pretrained model, which it shares with others that name the same.

    Args:
        model: An id on the Hugging Face hub or a path; `default_model` if None.
        device: As torch names it; "auto" is the graphics card if there is one.
        dtype: "float32", "float16" or "bfloat16"; "auto" is float32 on a processor and bfloat16 elsewhere.
        batch_size: How many inputs the model is given at once.

    Raises:
        InputError: `batch_size` is below 1.
    """

    default_model: ClassVar[str]
    """What is taken unless another is named."""

    def __init__(
        self, model: str | Path | None = None, *, device: str = "auto", dtype: str = "auto", batch_size: int = 8
    ) -> None:
        if batch_size < 1:
            raise InputError("batch_size", f"{batch_size} is no size", "Give 1 or more")
        self.weights = Weights(str(model or self.default_model), device, dtype)
        self.batch_size = batch_size
        self._loaded: ModelT | None = None

    @staticmethod
    @abstractmethod
    def _load(weights: Weights) -> Any:
        """Load the model and what prepares its inputs."""

    @property
    def _model(self) -> ModelT:
        if self._loaded is None:
            self._loaded = share(self._load, self.weights)
        return self._loaded

    def find(self) -> Path | None:
        """Find the weights on this machine; None if they have to be fetched."""
        return find_weights(self.weights.model)

    def fetch(self) -> Path:
        """Fetch the weights if they are not on this machine, with a progress bar.

        Raises:
            ModelUnavailableError: They cannot be fetched.
        """
        return fetch_weights(self.weights.model)

    def load(self) -> None:
        """Load the weights now and not at first use."""
        self._model  # noqa: B018 - loads

    def close(self) -> None:
        """Give the weights back; they leave the memory when nobody else uses them."""
        self._loaded = None

    def _within_memory(self, run: Callable[[list[ItemT]], Iterable[SeenT]], items: list[ItemT]) -> list[SeenT]:
        """Run the model, in smaller batches from now on where the memory of its device does not suffice."""
        import torch

        with suppress(torch.OutOfMemoryError), torch.inference_mode():
            return list(run(items))
        if len(items) == 1:
            raise ModelError(self.weights.model, "the device's memory does not suffice", "Use a smaller model")
        half = len(items) // 2
        self.batch_size = min(self.batch_size, half)
        logger.warning("%s: out of memory, going on with batches of %d", self.weights.model, self.batch_size)
        return self._within_memory(run, items[:half]) + self._within_memory(run, items[half:])


class BatchPerceiver(ModelPerceiver[FrameBatch, ModelT], Generic[ModelT, ItemT, SeenT]):
    """A perceiver whose model looks at one item after another, in batches of its own size.

    An item is a frame, unless `_items` makes clips of them. `infer` may be called anew with fewer items; `emit`, which
    remembers, is called once for each, in time order.
    """

    def __init__(
        self, model: str | Path | None = None, *, device: str = "auto", dtype: str = "auto", batch_size: int = 8
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, batch_size=batch_size)
        self._waiting: list[tuple[float, ItemT]] = []

    @property
    def pending_since(self) -> float | None:
        """Seconds at which the earliest thing began that has not been told yet."""
        return min([time for time, _ in self._waiting[:1]] + self._open_times(), default=None)

    def perceive(self, batch: FrameBatch) -> Iterator[Observation]:
        """Look at as many items as make full batches, but for the last: it lasts until the next one begins."""
        self._waiting += self._items(batch)
        while len(self._waiting) > self.batch_size:
            yield from self._next_batch(self._waiting[self.batch_size][0])

    def finish(self, end: float) -> Iterator[Observation]:
        """Look at what is left."""
        while self._waiting:
            following = self._waiting[self.batch_size : self.batch_size + 1]
            yield from self._next_batch(following[0][0] if following else end)

    def _next_batch(self, until: float) -> Iterator[Observation]:
        batch, self._waiting = self._waiting[: self.batch_size], self._waiting[self.batch_size :]
        seen = self._within_memory(self.infer, [item for _, item in batch])
        times = [time for time, _ in batch]
        for time, next_time, one in zip(times, [*times[1:], until], seen, strict=True):
            yield from self.emit(time, next_time, one)

    def _items(self, batch: FrameBatch) -> "Iterable[tuple[float, Any]]":
        """Make items of frames, each with the seconds at which it begins."""
        return zip(batch.times.tolist(), batch.frames, strict=True)

    def _open_times(self) -> list[float]:
        """Tell since when things go on that have been seen and not told, if there are any."""
        return []

    @abstractmethod
    def infer(self, items: Sequence[ItemT]) -> Iterable[SeenT]:
        """Run the model: one result for each item."""

    @abstractmethod
    def emit(self, time: float, until: float, seen: SeenT) -> Iterable[Observation]:
        """Make Observations of one result.

        Args:
            time: Seconds at which the item begins.
            until: Seconds at which the next one does.
            seen: What the model made of it.
        """
