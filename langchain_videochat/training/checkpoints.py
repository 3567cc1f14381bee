"""Checkpoints of a run: written atomically, with only the weights that were trained."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.training.config import TrainingConfig, parse_config
from langchain_videochat.training.samples import Media
from langchain_videochat.utils.atomic import atomic_directory

FOLDER = "checkpoints"
WEIGHTS = "trained.safetensors"
OPTIMIZER = "optimizer.safetensors"
PROGRESS = "training.json"


@dataclass(frozen=True)
class TrainingProgress:
    """Progress of a run."""

    step: int
    """Completed steps."""

    loss: float
    """Loss of the last step: the mean over its answer tokens."""

    skipped: int
    """Samples that could not be read."""

    samples: dict[Media, int]
    """Number of samples of each media type."""


@dataclass(frozen=True)
class Checkpoint:
    """A saved run, with the config that it was started with.

    Its properties read files, and raise ModelError if these are damaged.
    """

    folder: Path
    progress: TrainingProgress
    config: TrainingConfig

    @property
    def weights(self) -> dict[str, Tensor]:
        """The trained weights, by name."""
        return _load(self.folder / WEIGHTS)

    @property
    def optimizer(self) -> dict[str, Tensor]:
        """The optimizer's state, as returned by `get_optimizer_state`."""
        return _load(self.folder / OPTIMIZER)


def save_checkpoint(
    config: TrainingConfig, progress: TrainingProgress, weights: Mapping[str, Tensor], optimizer: Mapping[str, Tensor]
) -> None:
    """Save a checkpoint, then remove earlier ones.

    Raises:
        ModelError: The disk is full, or the folder cannot be written.
    """
    folder = config.output / FOLDER
    target = folder / f"step-{progress.step:08d}"
    with save_atomically(target) as scratch:
        save_file(dict(weights), scratch / WEIGHTS)
        save_file(dict(optimizer), scratch / OPTIMIZER)
        fields = {**vars(progress), "config": json.loads(config.model_dump_json())}
        (scratch / PROGRESS).write_text(json.dumps(fields, indent=2))
    for other in folder.iterdir():
        if other != target:
            shutil.rmtree(other)


def find_checkpoint(output: Path) -> Checkpoint | None:
    """Return the latest checkpoint in a run's output directory; None if there is none.

    Raises:
        ModelError: The checkpoint is damaged, or was saved by another version of this package.
    """
    folder = max((output / FOLDER).glob("step-*"), default=None)
    if folder is None:
        return None
    try:
        fields = json.loads((folder / PROGRESS).read_bytes())
        config = parse_config(fields.pop("config"), folder)
        return Checkpoint(folder, TrainingProgress(**fields), config)
    except InputError as error:
        problem = f"this checkpoint was saved by another version of langchain-videochat ({error.problem})"
        raise ModelError(folder, problem, "Use that version, or start over with another output") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"this checkpoint is damaged ({error})"
        raise ModelError(folder, problem, "Remove it, and train again") from error


@contextmanager
def save_atomically(folder: Path) -> Iterator[Path]:
    """Provide a scratch folder that is renamed to its final name once everything is written.

    Raises:
        ModelError: The folder cannot be written.
    """
    try:
        with atomic_directory(folder) as scratch:
            yield scratch
    except (OSError, SafetensorError) as error:
        problem = f"this folder cannot be written ({error}); earlier checkpoints are intact"
        raise ModelError(folder, problem, "Free disk space, then continue with --resume") from error


def _load(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModelError(file, f"this checkpoint is damaged ({error})", "Remove it, and train again") from error
