"""Perceivers with a pretrained model, which is loaded at first use, shared, and run in batches."""

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Generic, TypedDict, TypeVar, Unpack

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.media import FrameBatch
from langchain_videochat.models.weights import Weights, share
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.perceiver import BatchT, FrameInputs, InputsT, Perceiver, RequiredModel

ModelT = TypeVar("ModelT")
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

Frame = NDArray[np.uint8]
"""An RGB image, [H, W, 3]."""

logger = logging.getLogger(__name__)


class ModelOptions(TypedDict, total=False):
    """Options of every `ModelPerceiver`; see there."""

    device: str
    dtype: str
    batch_size: int


class ModelPerceiver(Perceiver[InputsT, BatchT], Generic[InputsT, BatchT, ModelT]):
    """A perceiver with a pretrained model. Perceivers with the same weights share one model.

    A subclass implements `load_model` and `perceive`, and runs `model`, preferably through `run_with_backoff`.

    Args:
        model: An id on the Hugging Face Hub or a path; `default_model` if None.
        device: A torch device; "auto" is the GPU if there is one.
        dtype: "float32", "float16" or "bfloat16"; "auto" is bfloat16 on GPUs and on CPUs that compute in it, else
            float32.
        batch_size: Number of inputs that the model processes at once.

    Raises:
        InputError: `batch_size` is not positive.
    """

    default_model: ClassVar[str]
    """The model that is used unless another one is given."""

    files: ClassVar[tuple[str, ...]] = ()
    """Glob patterns of the model's files, such as "*.onnx"; each must match a file of the repository.

    If empty, configuration, tokenizer and weights of a transformers model: safetensors files, or else .bin files."""

    def __init__(
        self, model: str | Path | None = None, *, device: str = "auto", dtype: str = "auto", batch_size: int = 8
    ) -> None:
        if batch_size < 1:
            raise InputError("batch_size", f"must be positive, got {batch_size}", "Give 1 or more")
        self.weights = Weights(str(model or self.default_model), device, dtype, files=self.files)
        self.batch_size = batch_size
        self._model: ModelT | None = None

    @staticmethod
    @abstractmethod
    def load_model(weights: Weights) -> Any:
        """Load the model and its preprocessor.

        Args:
            weights: What to load; `weights.fetch()` returns the folder with the files, downloading them if necessary.
        """

    def prepare(self, model: ModelT) -> None:
        """Check the loaded model against the options, and compute what is needed once; called before the first use.

        Raises:
            InputError: An option does not suit the model.
            ModelError: The model cannot be used by this perceiver.
        """

    @property
    def model(self) -> ModelT:
        """The model, which is loaded at first access."""
        if self._model is None:
            model = share(self.load_model, self.weights)
            self.prepare(model)
            self._model = model
        return self._model

    @property
    def required_models(self) -> tuple[RequiredModel, ...]:
        """The model."""
        return (RequiredModel(self.weights.model, self.find, self.fetch),)

    def find(self) -> Path | None:
        """Return the path of the weights on this machine; None if they have to be downloaded."""
        return self.weights.find()

    def fetch(self) -> Path:
        """Return the path of the weights, downloading them with a progress bar if necessary.

        Raises:
            ModelUnavailableError: They cannot be downloaded.
        """
        return self.weights.fetch()

    def load(self) -> None:
        """Load the weights now rather than at first use."""
        self.model  # noqa: B018 - loads

    def close(self) -> None:
        """Release the weights; they are freed when no other perceiver uses them."""
        self._model = None

    def run_with_backoff(self, run: Callable[[list[ItemT]], Iterable[ResultT]], items: list[ItemT]) -> list[ResultT]:
        """Run the model without gradients; if memory runs out, halve the batch and `batch_size`.

        Args:
            run: Returns one result per item. It may be called again with fewer items.
            items: The batch.

        Raises:
            ModelError: The device has too little memory for a single item.
        """
        import torch

        with suppress(torch.OutOfMemoryError), torch.inference_mode():
            return list(run(items))
        if len(items) == 1:
            raise ModelError(self.weights.model, "out of memory while processing one input", "Use a smaller model")
        half = len(items) // 2
        self.batch_size = min(self.batch_size, half)
        logger.warning("%s: out of memory, continuing with batches of %d", self.weights.model, self.batch_size)
        return self.run_with_backoff(run, items[:half]) + self.run_with_backoff(run, items[half:])


class BatchPerceiver(ModelPerceiver[FrameInputs, FrameBatch, ModelT], Generic[ModelT, ItemT, ResultT]):
    """A perceiver whose model processes frames, or clips made of them, in batches of `batch_size`.

    A subclass implements `load_model`, `infer` and `emit`. An item is a frame unless `make_items` returns others.
    """

    def __init__(self, model: str | Path | None = None, **options: Unpack[ModelOptions]) -> None:
        super().__init__(model, **options)
        self._queue: list[tuple[float, ItemT]] = []

    def make_items(self, batch: FrameBatch) -> "Iterable[tuple[float, Any]]":
        """Return the model's inputs, each with its start in seconds."""
        return zip(batch.times.tolist(), batch.frames, strict=True)

    @abstractmethod
    def infer(self, items: Sequence[ItemT]) -> Iterable[ResultT]:
        """Run the model and return one result per item. It may be called again with fewer items."""

    @abstractmethod
    def emit(self, time: float, until: float, result: ResultT) -> Iterable[Observation]:
        """Return the Observations that follow from one result; called once per item, in time order.

        Args:
            time: Start of the item in seconds.
            until: Start of the next item.
            result: The model's result.
        """

    @property
    def pending_since(self) -> float | None:
        """Start of the earliest Observation that is still to come, in seconds; None if nothing is pending."""
        return earliest(super().pending_since, self._queue[0][0] if self._queue else None)

    def perceive(self, batch: FrameBatch) -> Iterator[Observation]:
        """Process full batches; the last item waits until the start of the next one is known."""
        self._queue += self.make_items(batch)
        while len(self._queue) > self.batch_size:
            yield from self._process_batch(self._queue[self.batch_size][0])

    def finish(self, end: float) -> Iterator[Observation]:
        """Process the remaining items."""
        while self._queue:
            following = self._queue[self.batch_size : self.batch_size + 1]
            yield from self._process_batch(following[0][0] if following else end)
        yield from super().finish(end)

    def _process_batch(self, until: float) -> Iterator[Observation]:
        batch, self._queue = self._queue[: self.batch_size], self._queue[self.batch_size :]
        results = self.run_with_backoff(self.infer, [item for _, item in batch])
        times = [time for time, _ in batch]
        for time, next_time, result in zip(times, [*times[1:], until], results, strict=True):
            yield from self.emit(time, next_time, result)


def earliest(*times: float | None) -> float | None:
    """Return the smallest of several times, ignoring None."""
    return min((time for time in times if time is not None), default=None)
