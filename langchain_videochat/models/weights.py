"""Pretrained models in use: their device, sharing, and checks after loading."""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from langchain_videochat.errors import InputError, ModelError, ModelUnavailableError, VideoChatError
from langchain_videochat.models.hub import fetch_weights, find_weights, without_progress_bars

if TYPE_CHECKING:
    import torch

ModelT = TypeVar("ModelT")
WeightsT = TypeVar("WeightsT", bound="Weights")

_shared: "WeakValueDictionary[tuple[Any, Weights], Any]" = WeakValueDictionary()
_kept: dict[int, list[Any]] = {}
_loading = threading.RLock()


def _renew_lock() -> None:
    global _loading  # noqa: PLW0603
    _loading = threading.RLock()


if hasattr(os, "register_at_fork"):
    # Another thread may have been loading, which would keep the lock locked in the child.
    os.register_at_fork(after_in_child=_renew_lock)


@dataclass(frozen=True)
class Weights:
    """Pretrained weights, and the device and dtype to load them with."""

    model: str
    """An id on the Hugging Face Hub, the name of a bundled model, or a path."""

    device: str = "auto"
    """A torch device; "auto" is the GPU if there is one."""

    dtype: str = "auto"
    """A torch dtype; "auto" is bfloat16 on GPUs, and on CPUs that compute in it (AVX-512 BF16, AMX); else float32."""

    revision: str | None = None
    """Branch, tag or commit on the Hub; the main branch if None."""

    files: tuple[str, ...] = ()
    """Glob patterns of the files; those of a transformers model if empty."""

    def find(self) -> Path | None:
        """Return the folder of the files on this machine; None if they have to be downloaded."""
        return find_weights(self.model, self.revision, self.files)

    def fetch(self) -> Path:
        """Return the folder of the files, downloading them with a progress bar if necessary.

        Raises:
            ModelUnavailableError: The files are not on this machine and cannot be downloaded.
        """
        return fetch_weights(self.model, self.revision, self.files)

    @property
    def torch_device(self) -> "torch.device":
        """The device.

        Raises:
            InputError: The device is not available.
        """
        import torch

        if self.device == "auto":
            return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
        try:
            return torch.empty(0, device=self.device).device
        except (RuntimeError, AssertionError) as error:
            raise InputError("device", f"{self.device!r} is not available", 'Use "auto" or "cpu"') from error

    @property
    def torch_dtype(self) -> "torch.dtype":
        """The dtype.

        Raises:
            InputError: The dtype is not a floating-point type of torch.
        """
        import torch

        if self.dtype == "auto":
            return torch.bfloat16 if self.torch_device.type != "cpu" or _cpu_computes_in_bfloat16() else torch.float32
        dtype = getattr(torch, self.dtype, None)
        if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
            raise InputError("dtype", f"unknown dtype {self.dtype!r}", 'Use "auto", "float32", "float16" or "bfloat16"')
        return dtype


def _cpu_computes_in_bfloat16() -> bool:
    """Return whether bfloat16 is faster than float32 on this CPU: others convert each number to float32 and back."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


@dataclass(frozen=True)
class FolderWeights(Weights):
    """Pretrained weights whose files are known to be on this machine."""

    folder: Path = Path()
    """Where they are."""


def silence_bitsandbytes() -> None:
    """Keep bitsandbytes, which sentence-transformers imports with peft, from warning that there is no GPU."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def share(load: Callable[[WeightsT], ModelT], weights: WeightsT) -> ModelT:
    """Return the model that was loaded with the same function and weights, or load it.

    It stays in memory while it is referenced. Perceivers are created for each segment of a video; `keep_models` keeps
    their models in the meantime. Errors are those of `model_errors`.
    """
    with _loading:
        model = _shared.get((load, weights))
        if model is None:
            with model_errors(weights.model):
                model = _shared[load, weights] = load(weights)
        for models in tuple(_kept.values()):
            models.append(model)
        return model


@contextmanager
def model_errors(model: str) -> Iterator[None]:
    """Convert errors while loading a model to errors that name the model.

    Raises:
        ModelUnavailableError: A package is missing.
        ModelError: Anything else.
    """
    try:
        yield
    except VideoChatError:
        raise
    except ImportError as error:
        problem = f"a package is missing: {_first_line(error)}"
        raise ModelUnavailableError(model, problem, "Install it with pip") from error
    except Exception as error:
        problem = f"cannot be loaded: {_first_line(error)}"
        advice = "Check that it is complete and of the right kind, or download it again"
        raise ModelError(model, problem, advice) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


@contextmanager
def keep_models() -> Iterator[None]:
    """Keep all models that are loaded inside the context in memory, for work on several videos."""
    models: list[Any] = []
    _kept[id(models)] = models
    try:
        yield
    finally:
        del _kept[id(models)]


def load_checkpoint(
    model_class: Any,
    folder: Path,
    weights: Weights,
    *,
    show_progress: bool = False,
    trust_remote_code: bool = False,
    **options: Any,
) -> Any:
    """Load a transformers model on the device and in the dtype of its weights.

    Args:
        model_class: The class that loads it, such as `AutoModelForSeq2SeqLM`.
        folder: The folder of its files.
        weights: Device and dtype.
        show_progress: Show the progress bar of transformers.
        trust_remote_code: Run code in the folder.
        **options: Further arguments of `from_pretrained`.

    Raises:
        ModelError: Weights are missing, which transformers would initialize randomly.
    """
    with nullcontext() if show_progress else without_progress_bars():
        model, report = model_class.from_pretrained(
            folder,
            dtype=weights.torch_dtype,
            output_loading_info=True,
            trust_remote_code=trust_remote_code,
            **options,
        )
    check_missing(report["missing_keys"], weights)
    return model if "device_map" in options else model.to(weights.torch_device)


def check_missing(names: Iterable[str], weights: Weights) -> None:
    """Check the names of weights that a model's files lack, which transformers initializes randomly.

    Raises:
        ModelError: There are any.
    """
    missing = sorted(names)
    if missing:
        problem = f"{len(missing)} weights are missing, for example {missing[0]}"
        raise ModelError(weights.model, problem, "Use a model that was trained for this task, or download it again")


def check_vocabulary(tokenizer: Any, model: Any, weights: Weights) -> None:
    """Check the size of a tokenizer: transformers creates an empty one if its files are missing.

    Raises:
        ModelError: It has less than half of the model's tokens.
    """
    size, expected = len(tokenizer), model.config.get_text_config().vocab_size
    if size < expected / 2:
        problem = f"the tokenizer has {size} of {expected} tokens, so its files are missing"
        raise ModelError(weights.model, problem, "Add the tokenizer's files to the folder, or download it again")
