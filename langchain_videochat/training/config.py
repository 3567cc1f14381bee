"""What is trained on what, and how: read from a YAML file."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from langchain_videochat.errors import InputError
from langchain_videochat.training.samples import describe

Stage = Literal[1, 2]
Trained = Literal["interface", "interface+lora", "language", "all"]

FREE_TO_CHANGE = ("accumulation", "gradient_checkpointing", "save_every", "workers")
"""Fields that a run may be resumed with otherwise than it was begun: what is learnt stays the same."""

Share = Annotated[float, Field(ge=0, le=1)]


class DataFile(BaseModel):
    """A JSON file of samples: captions for stage 1, conversations for stage 2."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    file: Path
    """Where it is."""

    root: Path | None = None
    """Folder from which its paths count; its own if None."""


class TrainingConfig(BaseModel):
    """A stage of training (paper 3.2.1).

    Example:
        >>> config = TrainingConfig(
        ...     stage=1, model="videochat-start", output="aligned", epochs=1, batch_size=512,
        ...     learning_rate=1e-4, floor=0.01, num_frames=4, max_text_tokens=32,
        ... )
        >>> config.trains, config.weight_decay
        ('interface', 0.02)
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=())

    stage: Stage
    """1 aligns vision with language on captions, 2 tunes on instructions."""

    model: str
    """Folder of a VideoChat-Embed, as `videochat convert` and `--merge` write it, or its id on the hub."""

    start: Path | None = None
    """Output of an earlier stage on the same model, whose trained weights are put in first. Stage 2 needs it where
    `model` itself is not trained yet."""

    data: tuple[DataFile, ...] = ()
    """Files of samples; images and videos may stand in the same."""

    output: Path
    """Folder of this run: its checkpoints and TensorBoard's logs."""

    trains: Trained = "interface"
    """What learns: "interface" is GMHRA, local MHRA, the vision LayerNorm, extra queries and the projection;
    "interface+lora" adds low-rank adapters in the language model; "language" is all that comes after the vision tower;
    "all" is the whole model."""

    epochs: float | None = Field(default=None, gt=0)
    """How often each sample is seen; either this or `steps`."""

    steps: int | None = Field(default=None, ge=1)
    """How many times the weights are changed."""

    batch_size: int = Field(ge=1)
    """Samples of a step, of all devices together."""

    accumulation: int = Field(default=1, ge=1)
    """Each device goes through its share of them in so many parts, to save memory."""

    learning_rate: float = Field(gt=0)
    """The highest, after the warm-up."""

    warmup: Share = 0.2
    """Share of the steps in which the learning rate rises from 0."""

    floor: Share
    """The cosine, by which it falls then, ends at this share of it."""

    weight_decay: float = Field(default=0.02, ge=0)
    """Of AdamW, for all but biases and norms."""

    betas: tuple[Share, Share] = (0.9, 0.999)
    """Of AdamW."""

    clip: float = Field(default=1.0, gt=0)
    """The norm of all gradients together is brought down to this."""

    precision: Literal["bf16", "fp32"] = "bf16"
    """Of the computation, and of the weights that are not trained; those that are have 32 bits."""

    gradient_checkpointing: bool = False
    """Compute the layers anew for their gradients: a third slower, for a fraction of the memory."""

    num_frames: int = Field(ge=1)
    """Frames that are taken of a video."""

    max_text_tokens: int = Field(ge=1)
    """A conversation is cut so many tokens after the beginning of its first answer."""

    seed: int = Field(default=0, ge=0)
    """Decides on the order of the samples and on what is dropped out."""

    save_every: int = Field(default=1000, ge=1)
    """Steps from one checkpoint to the next."""

    workers: int = Field(default=2, ge=0)
    """Processes of each device that read samples ahead; 0 reads them in between."""

    @model_validator(mode="after")
    def _know_the_end(self) -> "TrainingConfig":
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        return self


def read_config(file: str | Path, stage: int | None = None) -> TrainingConfig:
    """Read a config from a YAML file, whose paths count from the working folder.

    Args:
        file: The YAML file.
        stage: Which stage it must be for; it need not say so itself then.

    Raises:
        InputError: It cannot be read, a field is unknown, missing or wrong, or it is for another stage.
    """
    try:
        fields = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        problem = f"it cannot be read ({' '.join(str(error).split())})"
        raise InputError(file, problem, "Check the path, and write YAML") from error
    if not isinstance(fields, dict):
        raise InputError(file, "it has no fields", "Write one a line, as `batch_size: 32`")
    if stage is not None and fields.setdefault("stage", stage) != stage:
        raise InputError(file, f"it is for stage {fields['stage']}, not {stage}", "Name the config of that stage")
    return make_config(fields, file)


def make_config(fields: dict[str, Any], subject: object) -> TrainingConfig:
    """Check the fields of a config.

    Raises:
        InputError: One is unknown, missing or wrong.
    """
    try:
        return TrainingConfig.model_validate(fields)
    except ValidationError as error:
        raise InputError(subject, describe(error), "See the fields of TrainingConfig") from error


def check_unchanged(config: TrainingConfig, begun: TrainingConfig) -> None:
    """Make sure that a run goes on as it was begun.

    Raises:
        InputError: Another field has changed than those of `FREE_TO_CHANGE`.
    """
    now, then = (json.loads(one.model_dump_json()) for one in (config, begun))
    for name in sorted(now.keys() - FREE_TO_CHANGE):
        if now[name] != then[name]:
            problem = f"it was {_short(then[name])} when the run began, and is {_short(now[name])} now"
            raise InputError(name, problem, "Change it back, or begin anew with another output")


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
