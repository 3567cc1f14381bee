"""What a model learns to see before it meets a language: what its parts tell is compared with what there is.

First the vision tower alone, patch by patch: on single pictures, the counterpart of EVA-CLIP, then on clips with its
relation aggregators, the counterpart of UniFormerV2, of which the paper takes them. Then the Q-Former, figure by
figure, to bring what the language model has learnt to read: the counterpart of BLIP-2's two stages.
"""

from collections.abc import Sequence
from copy import deepcopy
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, l1_loss, mse_loss

from langchain_videochat.embed import Video, VideoChatEmbedForConditionalGeneration, VideoChatEmbedProcessor
from langchain_videochat.embed.vision_tower import VisionTower
from langchain_videochat.evaluation.shapes.language_pretraining import FACTS, Teller
from langchain_videochat.evaluation.shapes.learning import Batches, learn, make_rounds
from langchain_videochat.evaluation.shapes.scene_samples import film, find_example
from langchain_videochat.evaluation.shapes.targets import (
    DEEDS,
    HAPPENINGS,
    PROPERTIES,
    label_clip,
    label_figures,
    label_patches,
)
from langchain_videochat.evaluation.shapes.world import MAX_FIGURES
from langchain_videochat.training.samples import Media

SCENES: dict[Media, int] = {"image": 64, "video": 32}
"""Scenes of a step."""

EVERY = 2
"""Frames of a scene from one that is taken as a picture to the next."""

PICTURES_RATE, RATE = 3e-3, 2e-3
"""Learning rates of AdamW: of the vision tower on pictures, and of all that follows."""

PRESENCE_WEIGHT = 3.0
"""Of whether there is a figure at all, beside each of what it is."""

CLASSES: dict[Media, list[int]] = {"image": PROPERTIES, "video": PROPERTIES + DEEDS}
"""What a patch tells of its figure."""

READABLE_WEIGHT = 10.0
"""Of how far queries are from what the language model reads, beside all that can be told from them."""


def pretrain_tower(
    model: VideoChatEmbedForConditionalGeneration,
    processor: VideoChatEmbedProcessor,
    media: Media,
    *,
    steps: int,
    seed: int = 0,
    show_progress: bool = True,
) -> float:
    """Teach a model's vision tower to see figures, and in clips what happens to them.

    Each patch tells which figure it shows, and in clips the token of GMHRA what happens at all.

    Args:
        model: Its tower is changed in place: in pictures without its relation aggregators.
        processor: That of the model.
        media: What it is shown.
        steps: How often the weights are changed, by 256 pictures or frames each time.
        seed: Decides on how the head begins that is trained with it, and is thrown away.
        show_progress: Show a progress bar.

    Returns:
        The last step's loss.
    """
    torch.manual_seed(seed)
    tower = _tower(model, media)
    width = model.config.vision_config.hidden_size
    of_patches = _head(width, 1 + sum(CLASSES[media]) + 2)
    of_clips = _head(width, sum(HAPPENINGS))

    def miss(pixels: Tensor, labels: Tensor, places: Tensor, happenings: Tensor) -> Tensor:
        tokens = tower(pixels)
        patches, clips = of_patches(_patch_tokens(tokens, labels)), of_clips(tokens[:, -1])
        patches, found = patches.split([1 + sum(CLASSES[media]), 2], dim=-1)
        is_shown = labels[..., 0] >= 0
        loss = _compare(patches, labels, CLASSES[media]) + l1_loss(found[is_shown], places[is_shown])
        return loss + _miss(clips.split(HAPPENINGS, dim=-1), happenings) if tower.gmhra else loss

    loss = learn(
        [tower.layers, tower.gmhra],
        [*tower.parameters(), *of_patches.parameters(), *of_clips.parameters()],
        _Patches(processor, media, model.config.vision_config, range(steps)),
        miss,
        rate=PICTURES_RATE if media == "image" else RATE,
        name=f"Vision tower, {media}s" if show_progress else None,
    )
    model.vision_tower.load_state_dict(tower.state_dict(), strict=False)
    return loss


def pretrain_queries(
    model: VideoChatEmbedForConditionalGeneration,
    processor: VideoChatEmbedProcessor,
    teller: Teller,
    *,
    rounds: Sequence[int],
    seed: int = 0,
    show_progress: bool = True,
) -> float:
    """Teach a model's Q-Former to gather what the vision tower sees, on pictures and clips in turn.

    What each query brings to the language model tells of one figure, as it reads it from the teller.

    Args:
        model: Its Q-Former, queries and projection are changed in place.
        processor: That of the model.
        teller: What the language model has learnt to read.
        rounds: How often the weights are changed in each round, by 64 pictures or 32 clips each time.
        seed: Decides on how the head begins that is trained with them, and is thrown away after each round.
        show_progress: Show a progress bar.

    Returns:
        The last step's loss.
    """
    order = torch.arange(model.config.num_visual_tokens) % MAX_FIGURES
    parts = (model.vision_layernorm, model.qformer, model.language_projection)
    learnt = [model.query_tokens, model.extra_query_tokens, *(each for part in parts for each in part.parameters())]
    # In training its batch norms would learn on.
    model.vision_tower.requires_grad_(False).eval()
    teller.requires_grad_(False)
    for one in make_rounds(rounds):
        torch.manual_seed(seed)
        of_figures = _head(model.config.text_config.hidden_size, 1 + sum(FACTS))

        def miss(pixels: Tensor, labels: Tensor, of_figures: nn.Module = of_figures) -> Tensor:
            brought, wanted = model.get_video_features(pixels), teller(labels)
            told = _compare(of_figures(brought), labels[:, order], FACTS)
            return told + READABLE_WEIGHT * mse_loss(brought, wanted) / wanted.var()

        loss = learn(
            [model.qformer, model.language_projection],
            [*learnt, *of_figures.parameters()],
            _Figures(processor, one.steps),
            miss,
            rate=RATE,
            share=one.share,
            name=f"Q-Former, {one.title}" if show_progress else None,
        )
    model.vision_tower.requires_grad_(True)
    return loss


class _Patches(Batches):
    """Pictures or clips, what their patches show, and what happens."""

    def __init__(self, processor: VideoChatEmbedProcessor, media: Media, vision_config: Any, steps: range) -> None:
        super().__init__(steps)
        self._processor = processor
        self._media: Media = media
        self._side = vision_config.image_size // vision_config.patch_size

    def _make(self, step: int) -> tuple[Tensor, ...]:
        count = SCENES[self._media]
        clips = [self._show(number) for number in range(step * count, (step + 1) * count)]
        *shown, happenings = (torch.stack(each) for each in zip(*clips, strict=True))
        if self._media == "image":
            # Each frame is a picture of its own.
            shown = [each[:, ::EVERY].flatten(0, 1).unsqueeze(1) for each in shown]
        return *shown, happenings

    def _show(self, number: int) -> tuple[Tensor, ...]:
        rng = Random(f"{self._media}s {number}")  # noqa: S311 - no secret
        scene = find_example("train", number, "video")
        frames = film(scene, rng)
        labels, places = map(torch.from_numpy, label_patches(scene, self._side))
        return self._processor.pixels(Video(frames)), labels, places, torch.tensor(label_clip(scene))


class _Figures(Batches):
    """Pictures and clips in turn, and what there is to tell of their figures."""

    def __init__(self, processor: VideoChatEmbedProcessor, steps: range) -> None:
        super().__init__(steps)
        self._processor = processor

    def _make(self, step: int) -> tuple[Tensor, ...]:
        media: Media = "video" if step % 2 else "image"
        first = step * max(SCENES.values())
        shown = [self._show(media, number) for number in range(first, first + SCENES[media])]
        pixels, labels = (torch.stack(each) for each in zip(*shown, strict=True))
        return pixels, labels

    def _show(self, media: Media, number: int) -> tuple[Tensor, ...]:
        rng = Random(f"figures {number}")  # noqa: S311 - no secret
        scene = find_example("train", number, media)
        frames = film(scene, rng)[: 1 if media == "image" else None]
        return self._processor.pixels(Video(frames)), torch.from_numpy(label_figures(scene))


def _tower(model: VideoChatEmbedForConditionalGeneration, media: Media) -> VisionTower:
    """Copy a vision tower; for pictures without what relates frames."""
    config = deepcopy(model.config)
    if media == "image":
        config.gmhra_layers = config.local_mhra = 0
    tower = VisionTower(config)
    tower.load_state_dict(model.vision_tower.state_dict(), strict=False)
    return tower


def _head(width: int, scores: int) -> nn.Module:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, scores))


def _patch_tokens(tokens: Tensor, labels: Tensor) -> Tensor:
    """Take the tokens of patches, [videos, frames, patches, width], from all of a vision tower's."""
    frames, patches = labels.shape[1:3]
    of_frames = tokens[:, : frames * (1 + patches)]
    return of_frames.unflatten(1, (frames, 1 + patches))[:, :, 1:]


def _compare(scores: Tensor, labels: Tensor, classes: list[int]) -> Tensor:
    """Tell how wrong it is what tokens say: all of them of whether there is a figure, and those with one of it."""
    is_shown = labels[..., 0] >= 0
    presence, *told = scores.split([1, *classes], dim=-1)
    missed = binary_cross_entropy_with_logits(presence.squeeze(-1), is_shown.float())
    return PRESENCE_WEIGHT * missed + _miss([each[is_shown] for each in told], labels[is_shown])


def _miss(scores: Sequence[Tensor], labels: Tensor) -> Tensor:
    """Add up how far scores [rows, classes] are from labels [rows, kinds], kind by kind."""
    return torch.stack([cross_entropy(each, labels[:, kind]) for kind, each in enumerate(scores)]).sum()
