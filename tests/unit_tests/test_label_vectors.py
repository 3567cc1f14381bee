"""Vectors of labels on disk."""

import gc
import io
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.nn.modules.module import register_module_forward_hook

from langchain_videochat.media import FrameBatch
from langchain_videochat.perception.tags import Tags
from tests.tiny_vision import WORDS, tiny_siglip


@pytest.fixture
def count_texts() -> Iterator[Callable[[], int]]:
    """Return the number of texts that text encoders have processed so far."""
    sizes = []

    def count(module: torch.nn.Module, _: Any, output: Any) -> None:
        if isinstance(module, transformers.SiglipTextModel):
            sizes.append(len(output[0]))

    hook = register_module_forward_hook(count)
    yield lambda: sum(sizes)
    hook.remove()


@pytest.fixture
def label_vectors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep the vectors of labels in a new folder."""
    monkeypatch.setattr("langchain_videochat.perception.label_vectors.FOLDER", tmp_path / "vectors")
    return tmp_path / "vectors"


def damage(folder: Path, content: bytes) -> None:
    (file,) = folder.iterdir()
    file.write_bytes(content)


def zeros(shape: tuple[int, ...], dtype: type = np.float32) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(shape, dtype))
    return buffer.getvalue()


def scores(model: Path, labels: Sequence[str]) -> dict[str, float | None]:
    """Return the scores of labels for a frame, by a model that is loaded for them."""
    gc.collect()  # the model of the last call
    tags = Tags(model, labels=labels, min_score=0.0)
    frame = np.random.default_rng(0).integers(0, 256, (1, 48, 64, 3), dtype=np.uint8)
    return {one.text: one.score for one in [*tags.perceive(FrameBatch(frame, np.zeros(1))), *tags.finish(2.0)]}


def test_vectors_of_labels_are_kept_on_disk(
    label_vectors: Path, tmp_path: Path, count_texts: Callable[[], int]
) -> None:
    siglip = tiny_siglip(tmp_path / "siglip")
    first = scores(siglip, WORDS[:5])
    assert count_texts() == 5
    assert scores(siglip, WORDS[:5]) == first
    assert count_texts() == 5

    scores(siglip, WORDS[:4])
    assert count_texts() == 9
    assert len(list(label_vectors.iterdir())) == 2


def test_vectors_of_another_model_at_the_same_path_are_not_used(
    label_vectors: Path, tmp_path: Path, count_texts: Callable[[], int]
) -> None:
    siglip = tiny_siglip(tmp_path / "siglip")
    scores(siglip, WORDS[:5])
    weights = load_file(siglip / "model.safetensors")
    save_file({name: -tensor for name, tensor in weights.items()}, siglip / "model.safetensors", {"format": "pt"})

    changed = scores(siglip, WORDS[:5])
    assert count_texts() == 10
    shutil.rmtree(label_vectors)
    assert scores(siglip, WORDS[:5]) == changed


@pytest.mark.parametrize(
    "content", [b"", b"noise", zeros((4, 8)), zeros((5,)), zeros((5, 8), np.float64), zeros((5, 8))[:-3]]
)
def test_damaged_vectors_of_labels_are_computed_again(label_vectors: Path, tmp_path: Path, content: bytes) -> None:
    siglip = tiny_siglip(tmp_path / "siglip")
    expected = scores(siglip, WORDS[:5])
    damage(label_vectors, content)
    assert scores(siglip, WORDS[:5]) == expected
    assert scores(siglip, WORDS[:5]) == expected


def test_tags_need_no_place_for_vectors(label_vectors: Path, tmp_path: Path) -> None:
    label_vectors.touch()  # not a folder
    assert scores(tiny_siglip(tmp_path / "siglip"), ["fjord", "glacier"]).keys() == {"fjord", "glacier"}
