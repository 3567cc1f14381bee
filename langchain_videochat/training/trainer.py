"""A training run, from its config to its last checkpoint."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import get_model_state_dict
from tqdm.auto import tqdm

from langchain_videochat.embed import VideoChatEmbedForConditionalGeneration
from langchain_videochat.errors import InputError
from langchain_videochat.training.batch_sampler import MediaBatchSampler, split_batch
from langchain_videochat.training.batches import BatchDataset, load_batches
from langchain_videochat.training.checkpoints import Checkpoint, TrainingProgress, find_checkpoint, save_checkpoint
from langchain_videochat.training.config import TrainingConfig, check_unchanged
from langchain_videochat.training.optimizers import (
    FULL_STATE,
    build_lr_scheduler,
    build_optimizer,
    get_optimizer_state,
    set_optimizer_state,
)
from langchain_videochat.training.samples import Media, Samples
from langchain_videochat.training.trainable_weights import (
    is_aligned,
    load_for_training,
    load_trained_weights,
    trainable_names,
)
from langchain_videochat.training.training_data import count_steps, load_samples
from langchain_videochat.training.training_step import TrainingStep
from langchain_videochat.utils.optional_dependencies import require_extra

if TYPE_CHECKING:
    from accelerate import Accelerator

LOGS = "logs"
"""Directory of the TensorBoard logs in the output directory."""


@dataclass(frozen=True)
class TrainingReport:
    """The result of a run; `str()` gives one line."""

    output: Path
    """The output directory."""

    steps: int
    """Total number of optimizer steps."""

    loss: float
    """Loss of the last step: the mean over its answer tokens."""

    losses: tuple[float, ...]
    """Losses of the steps since the run was started or resumed."""

    skipped: int
    """Total number of samples that could not be read."""

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

    With the launcher of accelerate or PyTorch, this trains on all of its devices; the samples and the loss of a step
    don't depend on their number. Checkpoints and TensorBoard logs are written to `config.output`.

    Args:
        config: The training config.
        samples: Samples by media type; the files of `config.data` if None.
        resume: Resume from the last checkpoint, if there is one, at the exact step and sample.
        show_progress: Show a progress bar with the loss and the remaining time.

    Raises:
        ModelUnavailableError: The model or a package is not available.
        ModelError: The model or a checkpoint is damaged, the disk is full, or the loss is not finite.
        InputError: The config is invalid, or differs from that of the resumed run.
        SourceError: A data file does not exist.
        NotEnoughMemoryError: The device ran out of memory.

    Example:
        Align vision with language:

            train(read_config("examples/training/7b-stage1.yaml"))
    """
    samples = load_samples(config) if samples is None else samples
    sampler = MediaBatchSampler.of(samples, config.batch_size, config.seed)
    steps = count_steps(config, sampler)
    checkpoint = _find_checkpoint(config, sampler, resume=resume)
    progress = checkpoint.progress if checkpoint else TrainingProgress(0, math.nan, 0, dict(sampler.sizes))
    losses = []
    with _open_accelerator(config, completed_steps=progress.step) as accelerator:
        _check_batch_size(config, accelerator.num_processes)
        is_shown = show_progress and accelerator.is_main_process
        # Weights that will be sharded over the devices are first loaded into CPU memory.
        device = "cpu" if accelerator.distributed_type == "FSDP" else str(accelerator.device)
        model, processor = load_for_training(config, device, show_progress=is_shown)
        frozen = _load_earlier_weights(model, config, checkpoint)
        names = trainable_names(model)
        training_step = _prepare(accelerator, model, config, steps, checkpoint)
        parts = config.gradient_accumulation_steps
        process = {"rank": accelerator.process_index, "world_size": accelerator.num_processes}
        split = (split_batch(sampler.batch(step), **process, parts=parts) for step in range(progress.step, steps))
        batches = load_batches(
            BatchDataset(samples, processor, config.max_text_tokens),
            chain.from_iterable(split),
            num_workers=config.num_workers,
            pin_memory=accelerator.device.type == "cuda",
        )
        with tqdm(total=steps, desc="Training", initial=progress.step, unit="step", disable=not is_shown) as bar:
            for step in range(progress.step, steps):
                result = training_step.run(step, list(islice(batches, parts)))
                losses.append(result.loss)
                progress = replace(progress, step=step + 1, loss=result.loss, skipped=progress.skipped + result.skipped)
                accelerator.log({**vars(result), "skipped": progress.skipped}, step=progress.step)
                bar.set_postfix(loss=f"{result.loss:.3f}", refresh=False)
                bar.update()
                if progress.step % config.save_steps == 0 or progress.step == steps:
                    _save(training_step, config, progress, names, frozen)
    return TrainingReport(config.output, progress.step, progress.loss, tuple(losses), progress.skipped)


def _find_checkpoint(config: TrainingConfig, sampler: MediaBatchSampler, *, resume: bool) -> Checkpoint | None:
    checkpoint = find_checkpoint(config.output)
    if checkpoint is None:
        return None
    if not resume:
        problem = f"{config.output} already has a run, saved after {checkpoint.progress.step:,} steps"
        raise InputError("output", problem, "Continue it with --resume, or choose another output")
    check_unchanged(config, checkpoint.config)
    if checkpoint.progress.samples != dict(sampler.sizes):
        problem = f"it had {checkpoint.progress.samples} samples when the run started and has {dict(sampler.sizes)} now"
        raise InputError("data", problem, "Use the same files, or start over with another output")
    return checkpoint


@contextmanager
def _open_accelerator(config: TrainingConfig, *, completed_steps: int) -> Iterator["Accelerator"]:
    """Set up the devices and the TensorBoard logs, from which steps that will be repeated are purged."""
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
        accelerator.init_trackers(LOGS, init_kwargs={"tensorboard": {"purge_step": completed_steps + 1}})
        yield accelerator
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()
        # Otherwise another run in this process could not use another precision.
        AcceleratorState._reset_state()


def _check_batch_size(config: TrainingConfig, processes: int) -> None:
    parts = config.gradient_accumulation_steps
    if config.batch_size % (processes * parts):
        problem = f"{config.batch_size} is not divisible by {processes} devices x {parts} gradient accumulation steps"
        raise InputError("batch_size", problem, "Use a multiple of that product")


def _load_earlier_weights(
    model: VideoChatEmbedForConditionalGeneration, config: TrainingConfig, checkpoint: Checkpoint | None
) -> dict[str, Tensor]:
    """Load the weights of a checkpoint or an earlier stage.

    Return those that are frozen in this run: each of its checkpoints must contain them.
    """
    if checkpoint is None and config.init_from is not None:
        checkpoint = find_checkpoint(config.init_from)
        if checkpoint is None:
            raise InputError("init_from", f"{config.init_from} has no checkpoint", "Use the output of an earlier stage")
    if checkpoint is not None:
        weights = checkpoint.weights
        load_trained_weights(model, weights, checkpoint.folder)
        names = trainable_names(model)
        return {name: value for name, value in weights.items() if name not in names}
    if config.stage == 2 and not is_aligned(model):  # noqa: PLR2004 - the paper's second stage
        problem = f"stage 2 needs the weights of stage 1, which {config.model} does not have"
        raise InputError("init_from", problem, "Set init_from to the output of stage 1, or use a trained model")
    return {}


def _prepare(
    accelerator: "Accelerator", model: nn.Module, config: TrainingConfig, steps: int, checkpoint: Checkpoint | None
) -> TrainingStep:
    """Move the model to its devices, and restore the state of the optimizer."""
    if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
        # As on one device, the statistics of local MHRA are computed over the whole batch.
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    optimizer = build_optimizer(model, config)
    prepared, _ = accelerator.prepare(model, optimizer)
    if checkpoint is not None:
        set_optimizer_state(prepared, optimizer, checkpoint.optimizer)
    lr_scheduler = build_lr_scheduler(
        optimizer,
        steps=steps,
        warmup_ratio=config.warmup_ratio,
        min_lr_ratio=config.min_lr_ratio,
        completed_steps=checkpoint.progress.step if checkpoint else 0,
    )
    return TrainingStep(accelerator, prepared, optimizer, lr_scheduler, config.max_grad_norm, config.seed)


def _save(
    training_step: TrainingStep,
    config: TrainingConfig,
    progress: TrainingProgress,
    names: set[str],
    frozen: Mapping[str, Tensor],
) -> None:
    """Save a checkpoint from the main process. All processes must call this, to gather sharded state."""
    state = get_optimizer_state(training_step.model, training_step.optimizer)
    weights: dict[str, Any] = get_model_state_dict(training_step.model, options=FULL_STATE)
    if training_step.accelerator.is_main_process:
        trained = {name: value for name, value in weights.items() if name in names}
        save_checkpoint(config, progress, {**frozen, **trained}, state)
    training_step.accelerator.wait_for_everyone()
