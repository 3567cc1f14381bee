"""Checkpoint files: memory-mapped tensors, read from pickles without executing code in them."""

import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import safe_open
from torch import Tensor

from langchain_videochat.errors import ModelError, ModelUnavailableError

NESTED_KEYS = ("model", "module", "state_dict")
"""Keys under which training programs save the weights, next to their own state."""

_LOCAL_HEADER_SIZE = 30
"""Size of a zip archive's local file header, without its variable fields."""

_LENGTHS_OFFSET = 26
"""Offset of the lengths of the variable fields, name and extra, in the header; two bytes each."""

_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
"""Dtypes by the storage classes that pickles name."""


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint, memory-mapped.

    From a pickle, only tensors, dicts, lists and plain values are loaded. Everything else in it, such as a training
    program's config, is replaced by an inert object, and none of its code is executed.

    Args:
        path: A `.safetensors` file, or a file written by `torch.save`, such as `.pth`, `.pt` or `.bin`. The weights may
            be nested under the key "model", "module" or "state_dict".

    Raises:
        ModelUnavailableError: The file does not exist.
        ModelError: The file is damaged or not a checkpoint.
    """
    path = Path(path)
    if path.is_dir():
        raise ModelError(path, "this is a folder", "Give a checkpoint file")
    if not path.is_file():
        raise ModelUnavailableError(path, "no such file", "Check the path")
    try:
        weights = _find_weights(_read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path))
    except Exception as error:  # a damaged pickle may raise anything
        problem = "this file is damaged or not a checkpoint"
        raise ModelError(path, problem, "Download it again, or save only its weights") from error
    if not weights:
        raise ModelError(path, "the file contains no weights", "Give a checkpoint with a dict of named weights")
    return weights


def _find_weights(checkpoint: Any) -> dict[str, Tensor]:
    for key in NESTED_KEYS:
        if isinstance(checkpoint, dict) and isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
    entries = checkpoint.items() if isinstance(checkpoint, dict) else ()
    return {str(name): tensor.detach() for name, tensor in entries if isinstance(tensor, Tensor)}


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict


def _read_pickle(path: Path) -> Any:
    if not zipfile.is_zipfile(path):
        return torch.load(path, "cpu", weights_only=True)  # the format of PyTorch before 1.6
    mapped = torch.UntypedStorage.from_file(str(path), shared=False, nbytes=path.stat().st_size)
    storages = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        (pickled,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        folder = pickled.removesuffix("data.pkl") + "data/"
        for info in archive.infolist():
            if info.filename.startswith(folder) and info.compress_type == zipfile.ZIP_STORED:
                start = _data_offset(file, info)
                storages[info.filename.removeprefix(folder)] = mapped[start : start + info.file_size]
        with archive.open(pickled) as stream:
            return _TensorUnpickler(stream, storages).load()


def _data_offset(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    file.seek(info.header_offset + _LENGTHS_OFFSET)
    return info.header_offset + _LOCAL_HEADER_SIZE + sum(struct.unpack("<HH", file.read(4)))


class _TensorUnpickler(pickle.Unpickler):
    """Unpickles tensors, and replaces every other class or function by an inert class."""

    def __init__(self, file: Any, storages: dict[str, torch.UntypedStorage]) -> None:
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch._utils" and name.startswith("_rebuild_parameter"):
            return _parameter_data
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        # A new class each time: a pickle that sets attributes of one must not affect others.
        return type("_Inert", (_Inert,), {"__slots__": ()})

    def persistent_load(self, pid: Any) -> Any:
        _, dtype, key, *_ = pid
        return self._storages[key], dtype


def _rebuild_tensor(storage: tuple[torch.UntypedStorage, torch.dtype], offset: int, *shape: Any) -> Tensor:
    content, dtype = storage
    size, stride = shape[:2]
    return torch.empty(0, dtype=dtype).set_(content, offset, size, stride)


def _parameter_data(data: Any, *_: Any) -> Any:
    return data


class _Inert:
    """Accepts everything that a pickle does with an object, and does nothing."""

    __slots__ = ()

    def __new__(cls, *_: Any, **__: Any) -> "_Inert":
        return super().__new__(cls)

    def __call__(self, *_: Any, **__: Any) -> "_Inert":
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def append(self, *_: Any) -> None:
        """Ignore an item of a list."""

    extend = add = update = append
