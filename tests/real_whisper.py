"""The real weights of Whisper base in each format."""

import json
import re
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from examples.whisper_base import whisper_folder
from tests.whisper_formats import save_transformers

TYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)
"""Types of numbers in CTranslate2's files."""

PARTS = {"weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}

LAYERS = {
    "self_attention/layer_norm": ("attn_ln",),
    "self_attention/linear_0": ("attn.query", "attn.key", "attn.value"),
    "self_attention/linear_1": ("attn.out",),
    "attention/layer_norm": ("cross_attn_ln",),
    "attention/linear_0": ("cross_attn.query",),
    "attention/linear_1": ("cross_attn.key", "cross_attn.value"),
    "attention/linear_2": ("cross_attn.out",),
    "ffn/layer_norm": ("mlp_ln",),
    "ffn/linear_0": ("mlp.0",),
    "ffn/linear_1": ("mlp.2",),
}
"""Layers of CTranslate2, and those of openai-whisper that each joins."""


def save_real_whisper(folder: Path) -> dict[str, Path]:
    """Return the path of Whisper base in each format.

    Args:
        folder: Where to save what is not there yet.
    """
    ctranslate2 = whisper_folder()
    heads = json.loads((ctranslate2 / "config.json").read_text())["alignment_heads"]
    openai = _save_openai(_read(ctranslate2 / "model.bin"), folder / "base.pt")
    transformers = save_transformers(openai, folder / "whisper-base", heads)
    return {"ctranslate2": ctranslate2, "openai": openai, "transformers": transformers}


def _read(file: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a file of CTranslate2."""
    data, place = file.read_bytes(), 0

    def number(size: int) -> int:
        nonlocal place
        place += size
        return int.from_bytes(data[place - size : place], "little")

    def text() -> str:
        nonlocal place
        length = number(2)
        place += length
        return data[place - length : place - 1].decode()

    def array() -> NDArray[np.generic]:
        nonlocal place
        shape = [number(4) for _ in range(number(1))]
        kind, size = np.dtype(TYPES[number(1)]), number(4)
        place += size
        return np.frombuffer(data, kind, size // kind.itemsize, place - size).reshape(shape)

    number(4), text(), number(4)
    return {text(): torch.from_numpy(array().copy()) for _ in range(number(4))}


def _split(block: str, old: str, part: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the parameters of openai-whisper in one of CTranslate2."""
    names = LAYERS[old]
    split = zip(names, tensor.chunk(len(names)), strict=True)
    # Keys have no bias in openai-whisper.
    return {f"{block}.{name}.{part}": one for name, one in split if not (name.endswith("key") and part == "bias")}


def _save_openai(tensors: dict[str, torch.Tensor], file: Path) -> Path:
    """Save tensors of CTranslate2 under the names of openai-whisper."""
    state = {
        "encoder.positional_embedding": tensors["encoder/position_encodings/encodings"],
        "decoder.positional_embedding": tensors["decoder/position_encodings/encodings"],
        "decoder.token_embedding.weight": tensors["decoder/embeddings/weight"],
    }

    def rename(new: str, old: str, parts: tuple[str, str] = ("weight", "bias")) -> None:
        state.update(zip((f"{new}.weight", f"{new}.bias"), (tensors[f"{old}/{part}"] for part in parts), strict=True))

    for new, old in (("encoder.conv1", "encoder/conv1"), ("encoder.conv2", "encoder/conv2")):
        rename(new, old)
    for new, old in (("encoder.ln_post", "encoder/layer_norm"), ("decoder.ln", "decoder/layer_norm")):
        rename(new, old, ("gamma", "beta"))
    for name, tensor in tensors.items():
        if match := re.fullmatch(r"(encoder|decoder)/layer_(\d+)/(.+)/(weight|bias|gamma|beta)", name):
            side, layer, old, part = match.groups()
            state.update(_split(f"{side}.blocks.{layer}", old, PARTS[part], tensor))
    channels, mels, _ = tensors["encoder/conv1/weight"].shape
    vocabulary, width = tensors["decoder/embeddings/weight"].shape
    dims = {"n_mels": mels, "n_vocab": vocabulary, "n_audio_state": channels, "n_text_state": width}
    for kind, side in (("audio", "encoder"), ("text", "decoder")):
        dims[f"n_{kind}_ctx"] = len(tensors[f"{side}/position_encodings/encodings"])
        dims[f"n_{kind}_head"] = int(tensors[f"{side}/num_heads"])
        dims[f"n_{kind}_layer"] = 1 + max(
            int(name.split(".")[2]) for name in state if name.startswith(f"{side}.blocks")
        )
    # As the published file, in half precision; slices of a larger tensor would be saved whole.
    torch.save({"dims": dims, "model_state_dict": {name: one.half().clone() for name, one in state.items()}}, file)
    return file
