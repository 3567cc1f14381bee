"""The training recipe of videochat-embed-tiny, from scratch to a folder that `VideoChatEmbed` loads."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from transformers.utils import SAFE_WEIGHTS_NAME

from langchain_videochat.embed import VideoChatEmbedForConditionalGeneration, VideoChatEmbedProcessor, load_model
from langchain_videochat.evaluation.shapes.background_training import train_backgrounds
from langchain_videochat.evaluation.shapes.language_pretraining import FactEmbedding, pretrain_language
from langchain_videochat.evaluation.shapes.scene_samples import SampleTask, ShapesSamples
from langchain_videochat.evaluation.shapes.tiny_model import new_model
from langchain_videochat.evaluation.shapes.varied_samples import VariedSamples
from langchain_videochat.evaluation.shapes.vision_pretraining import pretrain_queries, pretrain_tower
from langchain_videochat.evaluation.shapes.world import FRAMES
from langchain_videochat.training.checkpoints import save_atomically
from langchain_videochat.training.config import TrainingConfig
from langchain_videochat.training.merged_model import merge
from langchain_videochat.training.samples import MEDIA, Media, Samples
from langchain_videochat.training.trainer import train

SETTINGS: dict[str, Any] = {
    "batch_size": 32,
    "learning_rate": 5e-4,
    "warmup_ratio": 0.05,
    "min_lr_ratio": 0.02,
    "betas": (0.9, 0.98),
    "num_frames": FRAMES,
    "max_text_tokens": 1024,
    # Many CPUs are fifty times slower in bf16. With native bf16, it would halve the time.
    "precision": "fp32",
    "num_workers": 1,
    "save_steps": 100,
}
"""Settings of both stages, and of the last part."""

FACTS_FILE = "facts.safetensors"
"""File of the fact embeddings, in the folder of the language model."""

SAMPLES = 10**6
"""Size of each sample source: more than a run needs."""


@dataclass(frozen=True)
class Recipe:
    """Number of steps in each part of the training. Several numbers are rounds with decreasing learning rates."""

    pictures: int = 500
    """Vision tower on images: the counterpart of EVA-CLIP."""

    language: tuple[int, ...] = (2000, 600)
    """Language model on symbolic descriptions of scenes: the counterpart of Vicuna."""

    clips: int = 800
    """Vision tower with relation aggregators on clips: the counterpart of UniFormerV2."""

    queries: tuple[int, ...] = (400, 1200)
    """Q-Former on images and clips: the counterpart of BLIP-2's two stages."""

    stage1: int = 150
    """Clips with descriptions and images with captions (paper 3.2.1)."""

    stage2: int = 1000
    """Clips and images with questions (paper 3.2.1)."""

    backgrounds: tuple[int, ...] = (250, 350)
    """Vision tower and Q-Former on backgrounds of any brightness. So far, all were dark."""

    varied: int = 700
    """Questions about one or two clips or images on such backgrounds. So far, each conversation had one. 0 leaves out
    this part and the previous one."""


def train_tiny(
    folder: str | Path,
    recipe: Recipe = Recipe(),
    *,
    seed: int = 0,
    local_mhra: bool = True,
    gmhra: bool = True,
    show_progress: bool = True,
) -> Path:
    """Train videochat-embed-tiny, in two to four hours on two cores. Interrupted runs resume.

    Args:
        folder: Folder for the parts of the training, one subfolder each.
        recipe: Number of steps of each part.
        seed: Seed of the initial weights and the order of samples.
        local_mhra: Use local relation aggregators in the vision tower. Parts before clips do not depend on it.
        gmhra: Use global relation aggregators in the vision tower.
        show_progress: Show progress bars.

    Returns:
        Folder of the trained model, inside `folder`.

    Example:
        Train a model and load it:

            VideoChatEmbed(model=str(train_tiny("runs/tiny")))
    """
    folder = Path(folder)
    output = folder / "videochat-embed-tiny"
    if output.exists():
        return output
    pictures, language, clips, joined = (folder / name for name in ("pictures", "language", "clips", "joined"))
    options: dict[str, Any] = {"seed": seed, "show_progress": show_progress}
    if not pictures.exists():
        model, processor = new_model(seed)
        pretrain_tower(model, processor, "image", steps=recipe.pictures, **options)
        _save(model, processor, pictures)
    if not language.exists():
        model, processor = _load(pictures)
        facts = pretrain_language(model, processor, rounds=recipe.language, **options)
        _save(model, processor, language, facts)
    if not clips.exists():
        model, processor = new_model(seed, local_mhra=local_mhra, gmhra=gmhra)
        model.load_state_dict(load_file(language / SAFE_WEIGHTS_NAME), strict=False)
        pretrain_tower(model, processor, "video", steps=recipe.clips, **options)
        _save(model, processor, clips)
    if not joined.exists():
        model, processor = _load(clips)
        facts = FactEmbedding(model.config)
        facts.load_state_dict(load_file(language / FACTS_FILE))
        pretrain_queries(model, processor, facts, rounds=recipe.queries, **options)
        _save(model, processor, joined)
    for config, samples in _stages(folder, recipe, seed):
        train(config, samples, resume=True, show_progress=show_progress)
    if not recipe.varied:
        return merge(folder / "stage2", output)
    plain, backgrounds, varied = (folder / name for name in ("plain", "backgrounds", "varied"))
    if not plain.exists():
        merge(folder / "stage2", plain)
    if not backgrounds.exists():
        model, processor = _load(plain)
        train_backgrounds(model, processor, rounds=recipe.backgrounds, show_progress=show_progress)
        _save(model, processor, backgrounds)
    config = TrainingConfig(stage=2, output=varied, steps=recipe.varied, **_settings(backgrounds, seed))
    train(config, _varied_samples(), resume=True, show_progress=show_progress)
    return merge(varied, output)


def _load(folder: Path) -> tuple[VideoChatEmbedForConditionalGeneration, VideoChatEmbedProcessor]:
    return load_model(folder, device="cpu", dtype="float32", show_progress=False)


def _save(
    model: VideoChatEmbedForConditionalGeneration,
    processor: VideoChatEmbedProcessor,
    folder: Path,
    facts: FactEmbedding | None = None,
) -> None:
    with save_atomically(folder) as scratch:
        model.half().save_pretrained(scratch)
        processor.save_pretrained(scratch)
        if facts is not None:
            save_file(facts.state_dict(), scratch / FACTS_FILE)


def _stages(folder: Path, recipe: Recipe, seed: int) -> Iterator[tuple[TrainingConfig, dict[Media, Samples]]]:
    stage1, stage2 = folder / "stage1", folder / "stage2"
    common = _settings(folder / "joined", seed)
    yield TrainingConfig(stage=1, output=stage1, steps=recipe.stage1, **common), _samples("captions")
    yield TrainingConfig(stage=2, init_from=stage1, output=stage2, steps=recipe.stage2, **common), _samples("questions")


def _settings(model: Path, seed: int) -> dict[str, Any]:
    # The vision tower is trained already; the language model has no pre-trained knowledge to forget.
    return {**SETTINGS, "model": str(model), "seed": seed, "trainable": "language"}


def _samples(task: SampleTask) -> dict[Media, Samples]:
    return {media: ShapesSamples("train", SAMPLES, media=media, task=task) for media in MEDIA}


def _varied_samples() -> dict[Media, Samples]:
    return {media: VariedSamples("train", SAMPLES, media=media) for media in MEDIA}
