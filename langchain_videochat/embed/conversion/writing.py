"""A model's folder, written piece by piece, and shown when it is whole."""

import json
import shutil
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from tqdm.auto import tqdm
from transformers import GenerationConfig, PreTrainedConfig, ProcessorMixin
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME

from langchain_videochat.embed.conversion.gathering import GatheredWeights
from langchain_videochat.errors import ModelError
from langchain_videochat.utils.atomic import atomic_directory

SHARD_SIZE = 2_000_000_000
"""Bytes of a file at most: what is computed, as the sums of a delta and its base, is held in memory for one of them."""


def write_model(
    output: Path,
    weights: GatheredWeights,
    config: PreTrainedConfig,
    processor: ProcessorMixin | None,
    generation: Path,
    *,
    show_progress: bool,
) -> None:
    """Write a folder as `save_pretrained` does, without having the model in memory.

    Args:
        output: The folder. It appears when everything is in it.
        weights: What is written; they are taken out.
        config: The model's.
        processor: The model's, if there is one.
        generation: A folder that may have the file `generation_config.json`.
        show_progress: Show a progress bar.

    Raises:
        ModelError: The folder cannot be written.
    """
    try:
        with atomic_directory(output) as folder:
            config.save_pretrained(folder)
            if processor is not None:
                processor.save_pretrained(folder)
            if (generation / "generation_config.json").is_file():
                shutil.copy(generation / "generation_config.json", folder)
            else:
                GenerationConfig.from_model_config(config.get_text_config()).save_pretrained(folder)
            _write_weights(folder, weights, show_progress=show_progress)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            output, f"this cannot be written: {error}", "Make room there, or name another folder"
        ) from error


def _write_weights(folder: Path, weights: GatheredWeights, *, show_progress: bool) -> None:
    size = sum(tensor.nbytes for tensor in weights.tensors.values())
    shards = _split(weights)
    index: dict[str, str] = {}
    with tqdm(desc="Writing", total=size, unit="B", unit_scale=True, leave=False, disable=not show_progress) as bar:
        for number, names in enumerate(shards, start=1):
            file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
            shard = {name: weights.take(name) for name in names}
            save_file(shard, folder / file, metadata={"format": "pt"})
            index |= dict.fromkeys(names, file)
            bar.update(sum(tensor.nbytes for tensor in shard.values()))
            del shard  # and with it, what was mapped of the file that it came from
    (folder / SAFE_WEIGHTS_INDEX_NAME).write_text(
        json.dumps({"metadata": {"total_size": size}, "weight_map": index}, indent=2)
    )


def _split(weights: GatheredWeights) -> list[list[str]]:
    """Split the weights, so that no shard is too large, nor holds weights of two files."""
    shards: list[list[str]] = []
    room, last = 0, None
    for name, tensor in weights.tensors.items():
        room -= tensor.nbytes
        if room < 0 or weights.files[name] != last:
            shards.append([])
            room, last = SHARD_SIZE - tensor.nbytes, weights.files[name]
        shards[-1].append(name)
    return shards
