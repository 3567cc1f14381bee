"""Label vectors on disk: computing those of the built-in tags takes as long as embedding minutes of video."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

from langchain_videochat.models.weights import Weights
from langchain_videochat.utils.atomic import atomic_file

FOLDER = platformdirs.user_cache_path("langchain-videochat") / "label-vectors"
"""Folder of the files."""


def cached_vectors(
    weights: Weights, texts: Sequence[str], compute: Callable[[Sequence[str]], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Return the vectors of texts, [texts, dimensions], from disk or from the model.

    Args:
        weights: The model. Vectors on disk are not used if one of its files has changed since.
        texts: Labels within the prompt of the model.
        compute: Embeds texts.
    """
    path = FOLDER / f"{_digest(weights, texts)}.npy"
    vectors = _read(path, len(texts))
    if vectors is None:
        vectors = compute(texts)
        with suppress(OSError):  # a full or read-only disk costs time only
            _write(path, vectors)
    return vectors


def _digest(weights: Weights, texts: Sequence[str]) -> str:
    parts = [*_files(weights.fetch()), str(weights.torch_dtype), *texts]
    return sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()


def _files(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        state = path.stat()
        yield f"{path.resolve()} {state.st_size} {state.st_mtime_ns}"


def _read(path: Path, count: int) -> NDArray[np.float32] | None:
    """Return vectors from a file; None if it does not exist or is damaged."""
    try:
        vectors: NDArray[np.float32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    is_whole = vectors.ndim == 2 and len(vectors) == count and vectors.dtype == np.float32  # noqa: PLR2004
    return vectors if is_whole and np.isfinite(vectors).all() else None


def _write(path: Path, vectors: NDArray[np.float32]) -> None:
    with atomic_file(path) as file:
        np.save(file, vectors)
