"""Merging the weights of a run into a complete model."""

from pathlib import Path

from langchain_videochat.embed import VideoChatEmbedConfig, add_lora, load_model
from langchain_videochat.errors import InputError
from langchain_videochat.models.hub import fetch_weights
from langchain_videochat.training.checkpoints import find_checkpoint, save_atomically
from langchain_videochat.training.trainable_weights import ADAPTER, load_trained_weights, merge_adapters


def merge(run: str | Path, output: str | Path) -> Path:
    """Merge the trained weights of a run into its model, and save that with its processor as `save_pretrained` does.

    All weights keep the dtype of the original model.

    Args:
        run: The output of `train`.
        output: Folder to write. It must not exist.

    Returns:
        `output`.

    Raises:
        InputError: The run has no checkpoint, or the output exists.
        ModelUnavailableError: The original model is no longer available.
        ModelError: A file is damaged, or the disk is full.

    Example:
        Use a trained model:

            merge("runs/stage2", "videochat-mine")
            VideoChatEmbed(model="videochat-mine")
    """
    run, output = Path(run), Path(output)
    if output.exists():
        raise InputError("output", f"{output} already exists", "Choose another folder, or remove this one")
    checkpoint = find_checkpoint(run)
    if checkpoint is None:
        raise InputError("run", f"{run} has no checkpoint", "Train first")
    folder = fetch_weights(checkpoint.config.model)
    dtype = VideoChatEmbedConfig.from_pretrained(folder).dtype or "float32"
    model, processor = load_model(folder, device="cpu", dtype=str(dtype).removeprefix("torch."), show_progress=False)
    weights = checkpoint.weights
    has_adapters = any(ADAPTER in name for name in weights)
    if has_adapters:
        add_lora(model)
    load_trained_weights(model, weights, checkpoint.folder)
    if has_adapters:
        merge_adapters(model)
    with save_atomically(output) as scratch:
        model.save_pretrained(scratch)
        processor.save_pretrained(scratch)
    return output
