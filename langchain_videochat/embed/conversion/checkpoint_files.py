"""Checkpoint files: memory-mapped tensors, read from pickles without executing code in them."""

import io
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from safetensors import safe_open
from torch import Tensor

from langchain_videochat.embed.conversion.pickle_checks import check_pickle
from langchain_videochat.errors import ModelError, ModelUnavailableError

NESTED_KEYS = ("model", "module", "state_dict")
"""Keys under which training programs save the weights, next to their own state."""

_LOCAL_HEADER_SIZE = 30
"""Size of a zip archive's local file header, without its variable fields."""

_LENGTHS_OFFSET = 26
"""Offset of the lengths of the variable fields, name and extra, in the header; two bytes each."""

_LEGACY_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_LEGACY_PREAMBLE = 3
"""Number of pickles before the checkpoint's in the format of PyTorch before 1.6: the magic number, the format version
and a description of the CPU. After the checkpoint come a pickle with the keys of the storages, and the storages."""

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
    program's config, is replaced by an inert object, and none of its code is executed. Memory use is proportional to
    the size of the pickle, and no tensor is larger than the file.

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
    except ModelError:
        raise
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
    file = torch.UntypedStorage.from_file(str(path), shared=False, nbytes=path.stat().st_size)
    mapped = cast("torch.UntypedStorage", file)
    read = _read_zip if zipfile.is_zipfile(path) else _read_legacy
    return read(path, mapped)


def _read_zip(path: Path, mapped: torch.UntypedStorage) -> Any:
    storages = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        # PyTorch does not compress, and a compressed pickle could be a thousand times as large as the file.
        entries = [info for info in archive.infolist() if info.compress_type == zipfile.ZIP_STORED]
        (pickled,) = [info.filename for info in entries if info.filename.endswith("/data.pkl")]
        folder = pickled.removesuffix("data.pkl") + "data/"
        for info in entries:
            if info.filename.startswith(folder):
                start = _data_offset(file, info)
                storages[info.filename.removeprefix(folder)] = mapped[start : start + info.file_size]
        stream = io.BytesIO(archive.read(pickled))
    check_pickle(stream, path)
    stream.seek(0)
    return _TensorUnpickler(stream, storages, mapped.nbytes()).load()


def _data_offset(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    file.seek(info.header_offset + _LENGTHS_OFFSET)
    return info.header_offset + _LOCAL_HEADER_SIZE + sum(struct.unpack("<HH", file.read(4)))


def _read_legacy(path: Path, mapped: torch.UntypedStorage) -> Any:
    """Read a file in the format of PyTorch before 1.6."""
    with path.open("rb") as file:
        for _ in range(_LEGACY_PREAMBLE + 2):
            check_pickle(file, path)
        file.seek(0)
        magic_number, *_ = [_InertUnpickler(file).load() for _ in range(_LEGACY_PREAMBLE)]
        if magic_number != _LEGACY_MAGIC_NUMBER:
            raise ValueError("not a file of torch.save")
        start = file.tell()
        # The positions of the storages depend on their dtypes, which a first pass finds.
        finder = _StorageFinder(file)
        finder.load()
        keys = _InertUnpickler(file).load()
        storages = dict(_legacy_storages(file, mapped, keys, finder.dtypes))
        file.seek(start)
        return _TensorUnpickler(file, storages, mapped.nbytes()).load()


def _legacy_storages(
    file: BinaryIO, mapped: torch.UntypedStorage, keys: Iterable[str], dtypes: Mapping[str, torch.dtype]
) -> Iterator[tuple[str, torch.UntypedStorage]]:
    for key in keys:
        (length,) = struct.unpack("<Q", file.read(8))
        start = file.tell()
        end = start + length * dtypes[key].itemsize
        yield key, mapped[start:end].clone()  # aligned, unlike the file
        file.seek(end)


class _InertUnpickler(pickle.Unpickler):
    """Unpickles plain values, and replaces every class or function with an inert class."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        return _DTYPES.get(name, _Inert) if module == "torch" else _Inert


class _StorageFinder(_InertUnpickler):
    """Finds the dtypes of storages, and skips the tensors."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.dtypes: dict[str, torch.dtype] = {}

    def persistent_load(self, pid: Any) -> Any:
        _, dtype, key, *_ = pid
        self.dtypes[key] = dtype


class _TensorUnpickler(_InertUnpickler):
    """Unpickles tensors of up to `max_bytes` too."""

    def __init__(self, file: BinaryIO, storages: Mapping[str, torch.UntypedStorage], max_bytes: int) -> None:
        super().__init__(file)
        self._storages = storages
        self._max_bytes = max_bytes

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._rebuild_tensor
        if module == "torch._utils" and name.startswith("_rebuild_parameter"):
            return _parameter_data
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        _, dtype, key, *_ = pid
        return self._storages[key], dtype

    def _rebuild_tensor(self, storage: tuple[torch.UntypedStorage, torch.dtype], offset: int, *shape: Any) -> Tensor:
        content, dtype = storage
        size, stride = shape[:2]
        # A stride of 0 repeats one element any number of times.
        if math.prod(size) * dtype.itemsize > self._max_bytes:
            raise ValueError(f"a tensor of {size} is larger than the file")
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
