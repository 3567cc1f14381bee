"""How videochat-embed-tiny is trained, from nothing to a folder that `VideoChatEmbed` loads."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from transformers.utils import SAFE_WEIGHTS_NAME

from langchain_videochat.embed import (
    VideoChatEmbedForConditionalGeneration,
    VideoChatEmbedProcessor,
    load_model,
)
from langchain_videochat.evaluation.shapes.language_pretraining import Teller, pretrain_language
from langchain_videochat.evaluation.shapes.scene_samples import ShapesSamples, Task
from langchain_videochat.evaluation.shapes.tiny import new_model
from langchain_videochat.evaluation.shapes.vision_pretraining import pretrain_queries, pretrain_tower
from langchain_videochat.evaluation.shapes.world import FRAMES
from langchain_videochat.training.checkpoints import saving
from langchain_videochat.training.config import TrainingConfig
from langchain_videochat.training.merged_weights import merge
from langchain_videochat.training.samples import MEDIA, Media, Samples
from langchain_videochat.training.trainer import train

SETTINGS: dict[str, Any] = {
    "batch_size": 32,
    "learning_rate": 5e-4,
    "warmup": 0.05,
    "floor": 0.02,
    "betas": (0.9, 0.98),
    "num_frames": FRAMES,
    "max_text_tokens": 1024,
    # Many processors compute in bf16 fifty times slower than in 32 bits.
    "precision": "fp32",
    "workers": 1,
    "save_every": 100,
}
"""Of both stages."""

TELLER = "teller.safetensors"
"""What told the language model of figures, in the folder of that part."""

SAMPLES = 10**6
"""Samples that there are of a kind: more than are taken."""


@dataclass(frozen=True)
class Recipe:
    """How often the weights are changed in each part of the training, in rounds where there are several numbers.

    In a round the learning rate rises and falls, to half as much as in the one before.
    """

    pictures: int = 500
    """The vision tower alone, on pictures: the counterpart of EVA-CLIP."""

    language: tuple[int, ...] = (2000, 600)
    """The language model alone, on what there is to tell of scenes: the counterpart of Vicuna."""

    clips: int = 800
    """The vision tower with its relation aggregators, on clips: the counterpart of UniFormerV2."""

    queries: tuple[int, ...] = (400, 1200)
    """The Q-Former, on pictures and clips: the counterpart of BLIP-2's two stages."""

    stage1: int = 150
    """On clips with descriptions and pictures with captions (paper 3.2.1)."""

    stage2: int = 1000
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
    """Train a videochat-embed-tiny, in one to three hours of two cores.

    What was begun in the folder goes on from where it was saved last.

    Args:
        folder: Where each part of the training has its own.
        recipe: How long they last.
        seed: Decides on the first weights and on the order of the samples.
        local_mhra: Whether the vision tower has local relation aggregators. What is trained before clips is the same
            with and without them.
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
    pictures, language, clips, begin = (folder / name for name in ("pictures", "language", "clips", "begin"))
    shown: dict[str, Any] = {"seed": seed, "show_progress": show_progress}
    if not pictures.exists():
        model, processor = new_model(seed)
        pretrain_tower(model, processor, "image", steps=recipe.pictures, **shown)
        _save(model, processor, pictures)
    if not language.exists():
        model, processor = _load(pictures)
        teller = pretrain_language(model, processor, rounds=recipe.language, **shown)
        _save(model, processor, language, teller)
    if not clips.exists():
        model, processor = new_model(seed, local_mhra=local_mhra, gmhra=gmhra)
        model.load_state_dict(load_file(language / SAFE_WEIGHTS_NAME), strict=False)
        pretrain_tower(model, processor, "video", steps=recipe.clips, **shown)
        _save(model, processor, clips)
    if not begin.exists():
        model, processor = _load(clips)
        teller = Teller(model.config)
        teller.load_state_dict(load_file(language / TELLER))
        pretrain_queries(model, processor, teller, rounds=recipe.queries, **shown)
        _save(model, processor, begin)
    for config, samples in _stages(folder, recipe, seed):
        train(config, samples, resume=True, show_progress=show_progress)
    return merge(folder / "stage2", output)


def _load(folder: Path) -> tuple[VideoChatEmbedForConditionalGeneration, VideoChatEmbedProcessor]:
    return load_model(folder, device="cpu", dtype="float32", show_progress=False)


def _save(
    model: VideoChatEmbedForConditionalGeneration,
    processor: VideoChatEmbedProcessor,
    folder: Path,
    teller: Teller | None = None,
) -> None:
    with saving(folder) as scratch:
        model.half().save_pretrained(scratch)
        processor.save_pretrained(scratch)
        if teller is not None:
            save_file(teller.state_dict(), scratch / TELLER)


def _stages(folder: Path, recipe: Recipe, seed: int) -> Iterator[tuple[TrainingConfig, dict[Media, Samples]]]:
    stage1, stage2 = folder / "stage1", folder / "stage2"
    # The vision tower knows what it needs; so small a language model has nothing to lose.
    common: dict[str, Any] = {**SETTINGS, "model": str(folder / "begin"), "seed": seed, "trains": "language"}
    yield TrainingConfig(stage=1, output=stage1, steps=recipe.stage1, **common), _samples("captions")
    yield TrainingConfig(stage=2, start=stage1, output=stage2, steps=recipe.stage2, **common), _samples("questions")


def _samples(task: Task) -> dict[Media, Samples]:
    return {media: ShapesSamples("train", SAMPLES, media=media, task=task) for media in MEDIA}
