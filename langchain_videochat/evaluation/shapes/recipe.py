"""How videochat-embed-tiny is trained, from nothing to a folder that `VideoChatEmbed` loads."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_videochat.embed import (
    VideoChatEmbedForConditionalGeneration,
    VideoChatEmbedProcessor,
    load_model,
)
from langchain_videochat.evaluation.shapes.pretraining import pretrain_queries, pretrain_tower
from langchain_videochat.evaluation.shapes.samples import ShapesSamples, Task
from langchain_videochat.evaluation.shapes.tiny import new_model
from langchain_videochat.evaluation.shapes.world import FRAMES
from langchain_videochat.training.checkpoints import saving
from langchain_videochat.training.config import TrainingConfig
from langchain_videochat.training.merging import merge
from langchain_videochat.training.samples import Media, Samples
from langchain_videochat.training.trainer import train

SETTINGS: dict[str, Any] = {
    "warmup": 0.05,
    "floor": 0.02,
    "betas": (0.9, 0.98),
    "num_frames": FRAMES,
    "max_text_tokens": 1024,
    "precision": "bf16",
    "workers": 1,
    "save_every": 100,
}
"""Of all stages."""

BATCH, RATE = 32, 1e-3
"""Samples of a step of stages 1 and 2, and their learning rate. Stage 0 has twice as much of both."""

SAMPLES = 10**6
"""Samples that there are of a kind: more than are taken."""


@dataclass(frozen=True)
class Recipe:
    """How often the weights are changed in each part of the training."""

    pictures: int = 1200
    """The vision tower alone, on pictures: the counterpart of EVA-CLIP."""

    clips: int = 2000
    """The vision tower with its relation aggregators, on clips: the counterpart of UniFormerV2."""

    queries: int = 1200
    """The Q-Former, on pictures and clips: the counterpart of BLIP-2's first stage."""

    stage0: int = 1200
    """All but the vision tower, on pictures with captions: the counterpart of BLIP-2's second stage and of Vicuna."""

    stage1: int = 4000
    """On clips with descriptions and pictures with captions (paper 3.2.1)."""

    stage2: int = 8000
    """On clips and pictures with questions (paper 3.2.1)."""


def train_tiny(
    folder: str | Path,
    recipe: Recipe = Recipe(),
    *,
    seed: int = 0,
    local_mhra: bool = True,
    gmhra: bool = True,
    show_progress: bool = True,
) -> Path:
    """Train a videochat-embed-tiny. What was begun in the folder goes on from where it was saved last.

    Args:
        folder: Where each part of the training has its own.
        recipe: How long they last.
        seed: Decides on the first weights and on the order of the samples.
        local_mhra: Whether the vision tower has local relation aggregators.
        gmhra: Whether it has global ones.
        show_progress: Show progress bars.

    Returns:
        The folder of the trained model, in the one given.

    Example:
        Train one, and ask it:

            VideoChatEmbed(model=str(train_tiny("runs/tiny")))
    """
    folder = Path(folder)
    output = folder / "videochat-embed-tiny"
    if output.exists():
        return output
    tower, begin = folder / "tower", folder / "begin"
    if not tower.exists():
        model, processor = new_model(seed, local_mhra=local_mhra, gmhra=gmhra)
        pretrain_tower(model, processor, "image", steps=recipe.pictures, seed=seed, show_progress=show_progress)
        pretrain_tower(model, processor, "video", steps=recipe.clips, seed=seed, show_progress=show_progress)
        _save(model, processor, tower)
    if not begin.exists():
        model, processor = load_model(tower, device="cpu", dtype="float32", show_progress=False)
        pretrain_queries(model, processor, steps=recipe.queries, seed=seed, show_progress=show_progress)
        _save(model, processor, begin)
    for config, samples in _stages(folder, recipe, seed):
        train(config, samples, resume=True, show_progress=show_progress)
    return merge(folder / "stage2", output)


def _save(model: VideoChatEmbedForConditionalGeneration, processor: VideoChatEmbedProcessor, folder: Path) -> None:
    with saving(folder) as scratch:
        model.half().save_pretrained(scratch)
        processor.save_pretrained(scratch)


def _stages(folder: Path, recipe: Recipe, seed: int) -> Iterator[tuple[TrainingConfig, dict[Media, Samples]]]:
    stage0, stage1, stage2 = (folder / name for name in ("stage0", "stage1", "stage2"))
    # The vision tower knows what it needs; so small a language model has nothing to lose.
    common = {**SETTINGS, "model": str(folder / "begin"), "seed": seed, "trains": "language"}
    doubled = {**common, "batch_size": 2 * BATCH, "learning_rate": 2 * RATE}
    usual = {**common, "batch_size": BATCH, "learning_rate": RATE}
    pictures, clips = _samples("image", "captions"), _samples("video", "captions")
    yield TrainingConfig(stage=1, output=stage0, steps=recipe.stage0, **doubled), {"image": pictures}
    yield (
        TrainingConfig(stage=1, start=stage0, output=stage1, steps=recipe.stage1, **usual),
        {"image": pictures, "video": clips},
    )
    yield (
        TrainingConfig(stage=2, start=stage1, output=stage2, steps=recipe.stage2, **usual),
        {"image": _samples("image", "questions"), "video": _samples("video", "questions")},
    )


def _samples(media: Media, task: Task) -> Samples:
    return ShapesSamples("train", SAMPLES, media=media, task=task)
