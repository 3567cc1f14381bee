"""Writing a model folder shard by shard, atomically."""

import json
import shutil
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from tqdm.auto import tqdm
from transformers import GenerationConfig, PreTrainedConfig, ProcessorMixin
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME

from langchain_videochat.embed.conversion.collected_weights import CollectedWeights
from langchain_videochat.errors import ModelError
from langchain_videochat.utils.atomic import atomic_directory

SHARD_SIZE = 2_000_000_000
"""Maximum bytes of a shard. Computed weights, such as a delta added to its base, are in memory one shard at a time."""


def write_model(
    output: Path,
    weights: CollectedWeights,
    config: PreTrainedConfig,
    processor: ProcessorMixin | None,
    language_model: Path,
    *,
    show_progress: bool,
) -> None:
    """Write a folder like `save_pretrained`, without having the whole model in memory. Written weights are removed.

    The generation config is copied from the folder of the language model, or derived from the config if there is none.

    Raises:
        ModelError: The folder cannot be written.
    """
    try:
        with atomic_directory(output) as folder:
            config.save_pretrained(folder)
            if processor is not None:
                processor.save_pretrained(folder)
            if (language_model / "generation_config.json").is_file():
                shutil.copy(language_model / "generation_config.json", folder)
            else:
                GenerationConfig.from_model_config(config.get_text_config()).save_pretrained(folder)
            _write_weights(folder, weights, show_progress=show_progress)
    except (OSError, SafetensorError) as error:
        problem = f"this folder cannot be written: {error}"
        raise ModelError(output, problem, "Free disk space, or choose another folder") from error


def _write_weights(folder: Path, weights: CollectedWeights, *, show_progress: bool) -> None:
    size = sum(tensor.nbytes for tensor in weights.tensors.values())
    shards = _plan_shards(weights)
    index: dict[str, str] = {}
    with tqdm(desc="Writing", total=size, unit="B", unit_scale=True, leave=False, disable=not show_progress) as bar:
        for number, names in enumerate(shards, start=1):
            file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
            shard = {name: weights.pop(name) for name in names}
            save_file(shard, folder / file, metadata={"format": "pt"})
            index |= dict.fromkeys(names, file)
            bar.update(sum(tensor.nbytes for tensor in shard.values()))
            del shard  # release its memory-mapped file
    (folder / SAFE_WEIGHTS_INDEX_NAME).write_text(
        json.dumps({"metadata": {"total_size": size}, "weight_map": index}, indent=2)
    )


def _plan_shards(weights: CollectedWeights) -> list[list[str]]:
    """Group weights into shards that are not too large and contain weights of one source file only."""
    shards: list[list[str]] = []
    room, last = 0, None
    for name, tensor in weights.tensors.items():
        room -= tensor.nbytes
        if room < 0 or weights.files[name] != last:
            shards.append([])
            room, last = SHARD_SIZE - tensor.nbytes, weights.files[name]
        shards[-1].append(name)
    return shards
