"""A run of training, from its config to its last checkpoint."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import get_model_state_dict
from tqdm.auto import tqdm

from langchain_videochat.embed import VideoChatEmbedForConditionalGeneration
from langchain_videochat.errors import InputError
from langchain_videochat.training.batches import Batches, load_batches
from langchain_videochat.training.checkpoints import Checkpoint, Progress, find_checkpoint, save_checkpoint
from langchain_videochat.training.config import TrainingConfig, check_unchanged
from langchain_videochat.training.mixing import Draw, Mixture, share
from langchain_videochat.training.models import is_aligned, load_for_training, put_weights, trained_names
from langchain_videochat.training.optimizers import WHOLE, make_optimizer, make_schedule, read_state, write_state
from langchain_videochat.training.samples import Media, Samples
from langchain_videochat.training.sources import count_steps, mix, read_samples
from langchain_videochat.training.training_step import TrainingStep
from langchain_videochat.utils.optional_dependencies import require_extra

if TYPE_CHECKING:
    from accelerate import Accelerator

LOGS = "logs"
"""Folder of TensorBoard's logs in that of a run."""


@dataclass(frozen=True)
class TrainingReport:
    """What became of a run; printed, a line."""

    output: Path
    """Its folder."""

    steps: int
    """How often the weights were changed, in all."""

    loss: float
    """Of the last step: the mean over the tokens of its answers."""

    losses: tuple[float, ...]
    """Of each step since the run was begun or resumed."""

    skipped: int
    """Samples that could not be read, in all."""

    def __str__(self) -> str:
        skipped = f"; {self.skipped:,} samples could not be read" if self.skipped else ""
        return f"{self.output}: {self.steps:,} steps, loss {self.loss:.4f}{skipped}"


def train(
    config: TrainingConfig,
    samples: Mapping[Media, Samples] | None = None,
    *,
    resume: bool = False,
    show_progress: bool = True,
) -> TrainingReport:
    """Train a VideoChat-Embed (paper 3.2.1).

    Started by accelerate's or torch's launcher, it trains on all devices that they name; the samples of a step and its
    loss are the same on one as on many. Checkpoints and TensorBoard's logs lie in `config.output`.

    Args:
        config: What is trained on what, and how.
        samples: Where samples come from, by medium; the files of `config.data` if None.
        resume: Go on from the last checkpoint, if there is one, with the very step and samples that come next.
        show_progress: Show a progress bar, with the loss and the time left.

    Raises:
        ModelUnavailableError: The model or a package is not here.
        ModelError: The model or a checkpoint is damaged, there is no room to save, or the loss is no number.
        InputError: The config makes no sense, or differs from that of the run that is resumed.
        SourceError: A file of samples is not there.
        NotEnoughMemoryError: The device has not the memory for a batch.

    Example:
        Align vision with language:

            train(read_config("examples/training/7b-stage1.yaml"))
    """
    samples = read_samples(config) if samples is None else samples
    mixture = mix(config, samples)
    steps = count_steps(config, mixture)
    checkpoint = _find_begin(config, mixture, resume=resume)
    progress = checkpoint.progress if checkpoint else Progress(0, math.nan, 0, dict(mixture.sizes))
    losses = []
    with _accelerated(config, done=progress.step) as accelerator:
        _check_shares(config, accelerator.num_processes)
        is_shown = show_progress and accelerator.is_main_process
        device = "cpu" if _is_sharded(accelerator) else str(accelerator.device)
        model, processor = load_for_training(config, device, show_progress=is_shown)
        frozen = _put_earlier_weights(model, config, checkpoint)
        names = trained_names(model)
        learner = _prepare(accelerator, model, config, steps, checkpoint)
        batches = Batches(samples, processor, config.max_text_tokens)
        draws = _draws(mixture, config, range(progress.step, steps), accelerator)
        loaded = load_batches(batches, draws, workers=config.workers, pin_memory=accelerator.device.type == "cuda")
        with tqdm(total=steps, desc="Training", initial=progress.step, unit="step", disable=not is_shown) as bar:
            for step in range(progress.step, steps):
                outcome = learner.learn(step, list(islice(loaded, config.accumulation)))
                losses.append(outcome.loss)
                progress = replace(
                    progress, step=step + 1, loss=outcome.loss, skipped=progress.skipped + outcome.skipped
                )
                accelerator.log({**vars(outcome), "skipped": progress.skipped}, step=progress.step)
                bar.set_postfix(loss=f"{outcome.loss:.3f}", refresh=False)
                bar.update()
                if progress.step % config.save_every == 0 or progress.step == steps:
                    _save(learner, config, progress, names, frozen)
    return TrainingReport(config.output, progress.step, progress.loss, tuple(losses), progress.skipped)


def _find_begin(config: TrainingConfig, mixture: Mixture, *, resume: bool) -> Checkpoint | None:
    """Find the checkpoint from which a run goes on."""
    checkpoint = find_checkpoint(config.output)
    if checkpoint is None:
        return None
    if not resume:
        problem = f"there is a run in {config.output}, saved after {checkpoint.progress.step:,} steps"
        raise InputError("output", problem, "Go on with --resume, or name another folder")
    check_unchanged(config, checkpoint.config)
    if checkpoint.progress.samples != dict(mixture.sizes):
        problem = f"there were {checkpoint.progress.samples} samples when the run began, and now {dict(mixture.sizes)}"
        raise InputError("data", problem, "Take the same files, or begin anew with another output")
    return checkpoint


@contextmanager
def _accelerated(config: TrainingConfig, *, done: int) -> Iterator["Accelerator"]:
    """Set up the devices and TensorBoard's logs, of which what is done anew is taken out."""
    require_extra("train", "training")
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    accelerator = Accelerator(
        cpu=not torch.accelerator.is_available(),
        mixed_precision="bf16" if config.precision == "bf16" else "no",
        log_with="tensorboard",
        project_dir=config.output,
    )
    try:
        accelerator.init_trackers(LOGS, init_kwargs={"tensorboard": {"purge_step": done + 1}})
        yield accelerator
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()
        # Or else the next run of this process could have no other precision.
        AcceleratorState._reset_state()


def _check_shares(config: TrainingConfig, processes: int) -> None:
    if config.batch_size % (processes * config.accumulation):
        problem = (
            f"{config.batch_size} samples cannot be shared out to {processes} devices in {config.accumulation} parts"
        )
        raise InputError("batch_size", problem, "Take a multiple of the devices times accumulation")


def _is_sharded(accelerator: "Accelerator") -> bool:
    """Tell whether the weights are spread over the devices: each then reads them into the processor's memory first."""
    from accelerate import DistributedType

    return bool(accelerator.distributed_type == DistributedType.FSDP)


def _put_earlier_weights(
    model: VideoChatEmbedForConditionalGeneration, config: TrainingConfig, checkpoint: Checkpoint | None
) -> dict[str, Tensor]:
    """Put in what was trained before; of that, what is frozen now is returned, since each checkpoint is to have it."""
    if checkpoint is None and config.start is not None:
        checkpoint = find_checkpoint(config.start)
        if checkpoint is None:
            problem = f"there is no checkpoint in {config.start}"
            raise InputError("start", problem, "Name the output of an earlier stage")
    if checkpoint is not None:
        weights = checkpoint.weights
        put_weights(model, weights, checkpoint.folder)
        names = trained_names(model)
        return {name: value for name, value in weights.items() if name not in names}
    if config.stage == 2 and not is_aligned(model):  # noqa: PLR2004 - the paper's second stage
        problem = f"stage 2 begins with the weights of stage 1, which {config.model} has not"
        raise InputError("start", problem, "Name the output of stage 1 as start, or a trained model")
    return {}


def _prepare(
    accelerator: "Accelerator",
    model: nn.Module,
    config: TrainingConfig,
    steps: int,
    checkpoint: Checkpoint | None,
) -> TrainingStep:
    """Bring the model to its devices, and the optimizer to where it was."""
    if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
        # The statistics of local MHRA are of the whole batch, as on one device.
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    optimizer = make_optimizer(model, config)
    prepared, _ = accelerator.prepare(model, optimizer)
    done = 0
    if checkpoint is not None:
        write_state(prepared, optimizer, checkpoint.optimizer)
        done = checkpoint.progress.step
    schedule = make_schedule(optimizer, steps=steps, warmup=config.warmup, floor=config.floor, done=done)
    return TrainingStep(accelerator, prepared, optimizer, schedule, config.clip, config.seed)


def _draws(mixture: Mixture, config: TrainingConfig, steps: range, accelerator: "Accelerator") -> Iterator[Draw]:
    """Tell which samples this process takes, part by part."""
    for step in steps:
        yield from share(
            mixture.draw(step),
            rank=accelerator.process_index,
            ranks=accelerator.num_processes,
            parts=config.accumulation,
        )


def _save(
    learner: TrainingStep, config: TrainingConfig, progress: Progress, names: set[str], frozen: Mapping[str, Tensor]
) -> None:
    """Save a checkpoint, by the main process; the others give it what they have."""
    state = read_state(learner.model, learner.optimizer)
    weights: dict[str, Any] = get_model_state_dict(learner.model, options=WHOLE)
    if learner.accelerator.is_main_process:
        trained = {name: value for name, value in weights.items() if name in names}
        save_checkpoint(config, progress, {**frozen, **trained}, state)
    learner.accelerator.wait_for_everyone()
