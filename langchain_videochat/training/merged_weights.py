"""From a run, which has only what was trained, to a whole model that others can load."""

from pathlib import Path

from langchain_videochat.embed import VideoChatEmbedConfig, add_lora, load_model
from langchain_videochat.errors import InputError
from langchain_videochat.models.hub import fetch_weights
from langchain_videochat.training.checkpoints import find_checkpoint, saving
from langchain_videochat.training.models import ADAPTER, merge_adapters, put_weights


def merge(run: str | Path, output: str | Path) -> Path:
    """Write the model of a run as one folder, as `save_pretrained` does, with its processor.

    All weights keep the type that the model was saved in.

    Args:
        run: The output of `train`.
        output: Folder to write. It must not exist.

    Raises:
        InputError: There is no checkpoint in the run, or the output exists.
        ModelUnavailableError: The model that was trained is not here any more.
        ModelError: A file is damaged, or there is no room to write.

    Example:
        Use what was trained:

            merge("runs/stage2", "videochat-mine")
            VideoChatEmbed(model="videochat-mine")
    """
    run, output = Path(run), Path(output)
    if output.exists():
        raise InputError("output", f"{output} is there already", "Name another folder, or remove this one")
    checkpoint = find_checkpoint(run)
    if checkpoint is None:
        raise InputError("run", f"there is no checkpoint in {run}", "Train first")
    folder = fetch_weights(checkpoint.config.model)
    dtype = VideoChatEmbedConfig.from_pretrained(folder).dtype or "float32"
    model, processor = load_model(folder, device="cpu", dtype=str(dtype).removeprefix("torch."), show_progress=False)
    weights = checkpoint.weights
    is_adapted = any(ADAPTER in name for name in weights)
    if is_adapted:
        add_lora(model)
    put_weights(model, weights, checkpoint.folder)
    if is_adapted:
        merge_adapters(model)
    with saving(output) as scratch:
        model.save_pretrained(scratch)
        processor.save_pretrained(scratch)
    return output
