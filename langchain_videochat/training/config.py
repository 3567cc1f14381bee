"""Training configuration, read from a YAML file."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from langchain_videochat.errors import InputError
from langchain_videochat.training.samples import describe_error

Stage = Literal[1, 2]
Trainable = Literal["interface", "interface+lora", "language", "all"]

CHANGEABLE_ON_RESUME = ("gradient_accumulation_steps", "gradient_checkpointing", "save_steps", "num_workers")
"""Fields that may change when a run is resumed, because they don't affect the result."""

Ratio = Annotated[float, Field(ge=0, le=1)]


class DataFile(BaseModel):
    """A JSON file of samples: captions for stage 1, conversations for stage 2."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    file: Path
    """Path of the JSON file."""

    root: Path | None = None
    """Directory that the paths in the file are relative to; the file's own directory if None."""


class TrainingConfig(BaseModel):
    """Configuration of one training stage (paper 3.2.1).

    Example:
        >>> config = TrainingConfig(
        ...     stage=1, model="videochat-start", output="aligned", epochs=1, batch_size=512,
        ...     learning_rate=1e-4, min_lr_ratio=0.01, num_frames=4, max_text_tokens=32,
        ... )
        >>> config.trainable, config.weight_decay
        ('interface', 0.02)
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=())

    stage: Stage
    """1 aligns vision with language on captions; 2 tunes on instructions."""

    model: str
    """Folder of a VideoChat-Embed written by `videochat convert` or `--merge`, or its id on the Hugging Face Hub."""

    init_from: Path | None = None
    """Output of an earlier stage on the same model, whose trained weights are loaded first. Required for stage 2
    unless `model` itself has been trained."""

    data: tuple[DataFile, ...] = ()
    """Files of samples; a file may contain both images and videos."""

    output: Path
    """Output directory for checkpoints and TensorBoard logs."""

    trainable: Trainable = "interface"
    """Weights to train: "interface" trains GMHRA, local MHRA, the vision LayerNorm, the extra queries and the
    projection; "interface+lora" adds LoRA adapters in the language model; "language" trains everything after the
    vision tower; "all" trains the whole model."""

    epochs: float | None = Field(default=None, gt=0)
    """Number of epochs; mutually exclusive with `steps`."""

    steps: int | None = Field(default=None, ge=1)
    """Number of optimizer steps; mutually exclusive with `epochs`."""

    batch_size: int = Field(ge=1)
    """Samples per optimizer step over all devices, so that a step computes the same on any number of devices."""

    gradient_accumulation_steps: int = Field(default=1, ge=1)
    """Number of forward and backward passes in which each device processes its share of a batch. More passes need
    less memory."""

    learning_rate: float = Field(gt=0)
    """Peak learning rate, reached after the warm-up."""

    warmup_ratio: Ratio = 0.2
    """Fraction of the steps over which the learning rate rises linearly from 0."""

    min_lr_ratio: Ratio
    """Lower limit of the cosine decay, as a fraction of `learning_rate`."""

    weight_decay: float = Field(default=0.02, ge=0)
    """AdamW's weight decay, applied to all weights except biases and norms."""

    betas: tuple[Ratio, Ratio] = (0.9, 0.999)
    """AdamW's betas."""

    max_grad_norm: float = Field(default=1.0, gt=0)
    """Maximum norm for gradient clipping."""

    precision: Literal["bf16", "fp32"] = "bf16"
    """Precision of the computation and of frozen weights. Trained weights are always kept in fp32."""

    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: about a third slower, for a fraction of the memory."""

    num_frames: int = Field(ge=1)
    """Frames sampled from each video."""

    max_text_tokens: int = Field(ge=1)
    """Maximum number of tokens from the start of a conversation's first answer; later ones are cut off."""

    seed: int = Field(default=0, ge=0)
    """Seed for the order of the samples and for dropout."""

    save_steps: int = Field(default=1000, ge=1)
    """Number of steps between checkpoints."""

    num_workers: int = Field(default=2, ge=0)
    """Data loading processes per device; 0 loads data in the main process."""

    @model_validator(mode="after")
    def _check_length(self) -> "TrainingConfig":
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        return self


def read_config(file: str | Path, stage: int | None = None) -> TrainingConfig:
    """Read a config from a YAML file. Its paths are relative to the working directory.

    Args:
        file: The YAML file.
        stage: The stage that the config must be for; the file may then omit its own.

    Raises:
        InputError: The file cannot be read, a field is unknown, missing or invalid, or the stage differs.
    """
    try:
        fields = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        problem = f"the file cannot be read ({' '.join(str(error).split())})"
        raise InputError(file, problem, "Check the path and the YAML syntax") from error
    if not isinstance(fields, dict):
        raise InputError(file, "the file has no fields", "Write one field per line, for example `batch_size: 32`")
    if stage is not None and fields.setdefault("stage", stage) != stage:
        raise InputError(file, f"this config is for stage {fields['stage']}, not {stage}", "Use that stage's config")
    return parse_config(fields, file)


def parse_config(fields: dict[str, Any], subject: object) -> TrainingConfig:
    """Build a config from its fields. `subject` names their origin in errors.

    Raises:
        InputError: A field is unknown, missing or invalid.
    """
    try:
        return TrainingConfig.model_validate(fields)
    except ValidationError as error:
        raise InputError(subject, describe_error(error), "See the fields of TrainingConfig") from error


def check_unchanged(config: TrainingConfig, original: TrainingConfig) -> None:
    """Check that a resumed run has the config that it was started with.

    Raises:
        InputError: A field that is not in `CHANGEABLE_ON_RESUME` differs.
    """
    now, before = (json.loads(each.model_dump_json()) for each in (config, original))
    for name in sorted(now.keys() - CHANGEABLE_ON_RESUME):
        if now[name] != before[name]:
            values = (json.dumps(value, ensure_ascii=False) for value in (before[name], now[name]))
            problem = "it was {} when the run started and is now {}".format(*values)
            raise InputError(name, problem, "Change it back, or start over with another output")
