"""What is saved of a run: whole or not at all, and only what is trained."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from langchain_videochat.errors import ModelError
from langchain_videochat.training.config import TrainingConfig, make_config
from langchain_videochat.training.samples import Media
from langchain_videochat.utils.atomic import atomic_directory

FOLDER = "checkpoints"
WEIGHTS = "trained.safetensors"
OPTIMIZER = "optimizer.safetensors"
PROGRESS = "training.json"


@dataclass(frozen=True)
class Progress:
    """How far a run has come."""

    step: int
    """Steps that are done."""

    loss: float
    """Of the last one: the mean over the tokens of its answers."""

    skipped: int
    """Samples that could not be read."""

    samples: dict[Media, int]
    """How many there are of each medium."""


@dataclass(frozen=True)
class Checkpoint:
    """A run as it was saved."""

    folder: Path

    progress: Progress

    config: TrainingConfig
    """With which it was begun."""

    @property
    def weights(self) -> dict[str, Tensor]:
        """What differs from the model that the config names, by name.

        Raises:
            ModelError: The file is damaged.
        """
        return _load(self.folder / WEIGHTS)

    @property
    def optimizer(self) -> dict[str, Tensor]:
        """The optimizer's state, by kind and name.

        Raises:
            ModelError: The file is damaged.
        """
        return _load(self.folder / OPTIMIZER)


def save_checkpoint(
    config: TrainingConfig, progress: Progress, weights: Mapping[str, Tensor], optimizer: Mapping[str, Tensor]
) -> None:
    """Save a run; the checkpoint before it goes when this one is whole.

    Raises:
        ModelError: There is no room on the disk, or the folder cannot be written.
    """
    folder = config.output / FOLDER
    target = folder / f"step-{progress.step:08d}"
    with saving(target) as scratch:
        save_file(dict(weights), scratch / WEIGHTS)
        save_file(dict(optimizer), scratch / OPTIMIZER)
        told = {**vars(progress), "config": json.loads(config.model_dump_json())}
        (scratch / PROGRESS).write_text(json.dumps(told, indent=2))
    for other in folder.iterdir():
        if other != target:
            shutil.rmtree(other)


def find_checkpoint(output: Path) -> Checkpoint | None:
    """Find how far the run in a folder has come; None if it has saved nothing.

    Raises:
        ModelError: The checkpoint is damaged.
    """
    found = sorted((output / FOLDER).glob("step-*"))
    if not found:
        return None
    try:
        told = json.loads((found[-1] / PROGRESS).read_bytes())
        config = make_config(told.pop("config"), found[-1])
        return Checkpoint(found[-1], Progress(**told), config)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(found[-1], f"this checkpoint is damaged ({error})", "Remove it, and train anew") from error


@contextmanager
def saving(folder: Path) -> Iterator[Path]:
    """Provide a scratch folder that gets its name when all is in it.

    Raises:
        ModelError: It cannot be written.
    """
    try:
        with atomic_directory(folder) as scratch:
            yield scratch
    except (OSError, SafetensorError) as error:
        problem = f"this cannot be written ({error}); what was saved before it is whole"
        raise ModelError(folder, problem, "Make room on the disk, and go on with --resume") from error


def _load(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModelError(file, f"this checkpoint is damaged ({error})", "Remove it, and train anew") from error
