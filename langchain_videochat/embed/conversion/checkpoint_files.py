"""Tensors in checkpoint files: mapped into memory, and read from pickles without running what these hold."""

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

NESTS = ("model", "module", "state_dict")
"""Entries under which training programs save the weights, beside their own state."""

_LOCAL_HEADER = 30
"""Bytes before a name in a zip archive."""

_NAME_LENGTH = 26
"""Where in these bytes the lengths of the name and of an extra field stand, two bytes each."""

_TYPES = {
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
"""How a pickle names the types of tensors."""


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint.

    They are mapped into memory: what is not used is never read, and nothing stays when they are dropped. Of a pickle,
    only tensors, dicts, lists and plain values are made; everything else in it, such as a training program's
    configuration or optimizer, becomes an object that does nothing, and no code of it is run.

    Args:
        path: `.safetensors`, or what `torch.save` has written, as `.pth`, `.pt` or `.bin`. The weights may lie in the
            entry "model", "module" or "state_dict" of it.

    Raises:
        ModelUnavailableError: There is no such file.
        ModelError: It is damaged, or of another kind.
    """
    path = Path(path)
    if path.is_dir():
        raise ModelError(path, "this is a folder", "Give the checkpoint file in it")
    if not path.is_file():
        raise ModelUnavailableError(path, "there is no such file", "Check the path")
    try:
        weights = _find_weights(_read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path))
    except Exception as error:  # a damaged pickle may raise anything
        problem = "this is no checkpoint, or a damaged one"
        raise ModelError(path, problem, "Fetch it again, or save its weights alone") from error
    if not weights:
        raise ModelError(path, "there are no weights in it", "Give a checkpoint with the weights by their names")
    return weights


def _find_weights(checkpoint: Any) -> dict[str, Tensor]:
    for nest in NESTS:
        if isinstance(checkpoint, dict) and isinstance(checkpoint.get(nest), dict):
            checkpoint = checkpoint[nest]
    entries = checkpoint.items() if isinstance(checkpoint, dict) else ()
    return {str(name): tensor.detach() for name, tensor in entries if isinstance(tensor, Tensor)}


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict


def _read_pickle(path: Path) -> Any:
    if not zipfile.is_zipfile(path):
        return torch.load(path, "cpu", weights_only=True)  # as torch wrote them before 1.6
    content = torch.UntypedStorage.from_file(str(path), shared=False, nbytes=path.stat().st_size)
    storages = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        (pickled,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        folder = pickled.removesuffix("data.pkl") + "data/"
        for info in archive.infolist():
            if info.filename.startswith(folder) and info.compress_type == zipfile.ZIP_STORED:
                start = _first_byte(file, info)
                storages[info.filename.removeprefix(folder)] = content[start : start + info.file_size]
        with archive.open(pickled) as stream:
            return _TensorUnpickler(stream, storages).load()


def _first_byte(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    file.seek(info.header_offset + _NAME_LENGTH)
    return info.header_offset + _LOCAL_HEADER + sum(struct.unpack("<HH", file.read(4)))


class _TensorUnpickler(pickle.Unpickler):
    """Makes tensors, and of everything else that would be a class or a function, something that does nothing."""

    def __init__(self, file: Any, storages: dict[str, torch.UntypedStorage]) -> None:
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch._utils" and name.startswith("_rebuild_parameter"):
            return _take_data
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        # A class of its own, so that a pickle that sets attributes of it changes nothing for others.
        return type("_Nothing", (_Nothing,), {"__slots__": ()})

    def persistent_load(self, pid: Any) -> Any:
        _, dtype, key, *_ = pid
        return self._storages[key], dtype


def _rebuild_tensor(storage: tuple[torch.UntypedStorage, torch.dtype], offset: int, *shape: Any) -> Tensor:
    content, dtype = storage
    size, stride = shape[:2]
    return torch.empty(0, dtype=dtype).set_(content, offset, size, stride)


def _take_data(data: Any, *_: Any) -> Any:
    """Take what a parameter holds."""
    return data


class _Nothing:
    """Takes whatever a pickle does with it, and does nothing."""

    __slots__ = ()

    def __new__(cls, *_: Any, **__: Any) -> "_Nothing":
        return super().__new__(cls)

    def __call__(self, *_: Any, **__: Any) -> "_Nothing":
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def append(self, *_: Any) -> None:
        """Take an item of a list."""

    extend = add = update = append
