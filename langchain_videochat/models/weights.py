"""Pretrained models in use: on which device, shared by all that name the same, and loaded whole or not at all."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from langchain_videochat.errors import InputError, ModelError, ModelUnavailableError, VideoChatError
from langchain_videochat.models.hub import without_progress_bars

if TYPE_CHECKING:
    import torch

ModelT = TypeVar("ModelT")
WeightsT = TypeVar("WeightsT", bound="Weights")

_shared: "WeakValueDictionary[tuple[Any, Weights], Any]" = WeakValueDictionary()
_keepers: list[list[Any]] = []
_loading = threading.RLock()


@dataclass(frozen=True)
class Weights:
    """Which weights, and where and how they run."""

    model: str
    """An id on the Hugging Face hub, or a path."""

    device: str = "auto"
    """As torch names it; "auto" is the graphics card if there is one."""

    dtype: str = "auto"
    """As torch names it; "auto" is float32 on a processor and bfloat16 elsewhere."""

    @property
    def torch_device(self) -> "torch.device":
        """The device.

        Raises:
            InputError: There is no such device here.
        """
        import torch

        if self.device == "auto":
            return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
        try:
            return torch.empty(0, device=self.device).device
        except (RuntimeError, AssertionError) as error:
            raise InputError("device", f"{self.device!r} cannot be used here", 'Take "auto" or "cpu"') from error

    @property
    def torch_dtype(self) -> "torch.dtype":
        """The type of the model's numbers.

        Raises:
            InputError: There is no such type.
        """
        import torch

        if self.dtype == "auto":
            return torch.float32 if self.torch_device.type == "cpu" else torch.bfloat16
        dtype = getattr(torch, self.dtype, None)
        if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
            raise InputError("dtype", f"{self.dtype!r} is none", 'Take "auto", "float32", "float16" or "bfloat16"')
        return dtype


def share(load: Callable[[WeightsT], ModelT], weights: WeightsT) -> ModelT:
    """Load a model, or take the one that somebody else has loaded in the same way.

    It stays in memory as long as somebody holds it.

    Raises:
        ModelUnavailableError: The weights cannot be had on this machine.
        ModelError: They are damaged, or of another kind of model.
    """
    with _loading:
        model = _shared.get((load, weights))
        if model is None:
            with model_errors(weights.model):
                model = _shared[load, weights] = load(weights)
        for keeper in _keepers:
            keeper.append(model)
        return model


@contextmanager
def model_errors(model: str) -> Iterator[None]:
    """Turn whatever loading a model raises into errors that name it.

    Raises:
        ModelUnavailableError: A package is missing.
        ModelError: Anything else.
    """
    try:
        yield
    except VideoChatError:
        raise
    except ImportError as error:
        problem = f"this model needs another package: {_first_line(error)}"
        raise ModelUnavailableError(model, problem, "Install it with pip") from error
    except Exception as error:
        problem = f"this model cannot be loaded: {_first_line(error)}"
        advice = "Check that it is of the right kind and complete, or fetch it again"
        raise ModelError(model, problem, advice) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


@contextmanager
def keep_models() -> Iterator[None]:
    """Keep every model that is loaded meanwhile, for work on several videos."""
    keeper: list[Any] = []
    _keepers.append(keeper)
    try:
        yield
    finally:
        _keepers.remove(keeper)


def load_checkpoint(kind: Any, folder: Path, weights: Weights, *, show_progress: bool = False, **options: Any) -> Any:
    """Load a model for use, on the device and in the type that is asked for.

    Args:
        kind: The class that loads it, such as `AutoModelForSeq2SeqLM`.
        folder: Where its files are.
        weights: How it runs.
        show_progress: Show the progress bar of transformers.
        **options: More for `from_pretrained`.

    Raises:
        ModelError: The files lack a part of the model, which transformers would fill with random numbers: they were
            saved from another kind of model of the same family.
    """
    with nullcontext() if show_progress else without_progress_bars():
        model, report = kind.from_pretrained(
            folder, dtype=weights.torch_dtype, output_loading_info=True, trust_remote_code=False, **options
        )
    missing = sorted(report["missing_keys"])
    if missing:
        problem = f"its files lack {len(missing)} of the model's parts, such as {missing[0]}"
        raise ModelError(weights.model, problem, "Take a model that was trained for this, or fetch it again")
    return model.to(weights.torch_device)


def check_vocabulary(tokenizer: Any, model: Any, weights: Weights) -> None:
    """Make sure that a tokenizer has its words: transformers takes an empty one where the files are missing.

    Raises:
        ModelError: It knows less than half of the model's tokens.
    """
    known, needed = len(tokenizer), model.config.get_text_config().vocab_size
    if known < needed / 2:
        problem = f"its tokenizer knows {known} of {needed} tokens: files are missing"
        raise ModelError(weights.model, problem, "Put the tokenizer's files into its folder, or fetch it again")
