"""What the vision tower learns before it meets a language model: each patch tells which figure it shows.

First on single pictures, the counterpart of EVA-CLIP. Then on clips with its relation aggregators, the counterpart of
UniFormerV2, of which the paper takes them: each patch also tells what happens to its figure, and the token of GMHRA
what happens at all.
"""

from collections.abc import Sequence
from copy import deepcopy
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, l1_loss
from torch.optim import AdamW
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from langchain_videochat.embed import Video, VideoChatEmbedForConditionalGeneration, VideoChatEmbedProcessor
from langchain_videochat.embed.vision_tower import VisionTower
from langchain_videochat.evaluation.shapes.samples import film, find_scene
from langchain_videochat.evaluation.shapes.world import (
    CHANGES,
    COLORS,
    FRAMES,
    MOVES,
    SHAPES,
    SIZES,
    Action,
    Scene,
    Tracks,
    follow,
)
from langchain_videochat.training.optimizers import make_schedule
from langchain_videochat.training.samples import Media

SCENES: dict[Media, int] = {"image": 64, "video": 32}
"""Scenes of a step."""

EVERY = 2
"""Frames of a scene from one that is taken as a picture to the next."""

LEARNING_RATE: dict[Media, float] = {"image": 3e-3, "video": 2e-3}
WARMUP, FLOOR = 0.1, 0.01
WEIGHT_DECAY = 0.02
BETAS = (0.9, 0.98)
CLIP = 1.0

CORE = 0.65
"""Part of a figure's radius that a patch must reach to show it."""

UNIT = 0.1
"""Of where a figure's centre is, as a part of the picture's side."""

MIDDLE_RADIUS = 0.105
"""What is larger is large."""

SEEN = 0.5
"""What is more present than this is seen, and a colour that is further on the way to another is that one."""

PRESENCE_WEIGHT = 3.0
"""Of whether there is a figure at all, beside each of what it is."""

ACTIONS: tuple[Action, ...] = (*MOVES, *CHANGES)
ROLES = ("hits none", "is hit", "hits another")

PROPERTIES = [len(SHAPES), len(COLORS), len(SIZES)]
"""Of how many a figure has one each."""

DEEDS = [1 + len(ACTIONS), 1 + len(ACTIONS), len(ROLES)]
"""What it does in each half, 0 for nothing, and its part in a collision."""

HAPPENINGS = [1 + len(ACTIONS), 1 + len(ACTIONS), 2]
"""What happens in each half of a clip, 0 for nothing, and whether there is a collision."""

CLASSES: dict[Media, list[int]] = {"image": PROPERTIES, "video": PROPERTIES + DEEDS}
"""What is told of the figure in a patch."""


def pretrain(
    model: VideoChatEmbedForConditionalGeneration,
    processor: VideoChatEmbedProcessor,
    media: Media,
    *,
    steps: int,
    seed: int = 0,
    show_progress: bool = True,
) -> float:
    """Teach a model's vision tower to see figures, and in clips what happens to them.

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
    samples = _Labelled(processor, media, model.config.vision_config, steps)
    width = model.config.vision_config.hidden_size
    of_patches = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1 + sum(CLASSES[media]) + 2))
    of_clips = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, sum(HAPPENINGS)))
    learnt = [*tower.parameters(), *of_patches.parameters(), *of_clips.parameters()]
    optimizer = AdamW(learnt, LEARNING_RATE[media], betas=BETAS, weight_decay=WEIGHT_DECAY)
    schedule = make_schedule(optimizer, steps=steps, warmup=WARMUP, floor=FLOOR)
    loader = DataLoader(samples, batch_size=None, num_workers=1)
    with tqdm(loader, desc=f"Vision tower, {media}s", unit="step", disable=not show_progress) as bar:
        for pixels, labels, places, happenings in bar:
            with torch.autocast("cpu", torch.bfloat16):
                tokens = tower(pixels)
                patches, clips = of_patches(_patch_tokens(tokens, labels)), of_clips(tokens[:, -1])
            loss = _compare(patches.float(), labels, places, CLASSES[media])
            if tower.gmhra:
                loss = loss + _miss(clips.float().split(HAPPENINGS, dim=-1), happenings)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(learnt, CLIP)
            optimizer.step()
            schedule.step()
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    model.vision_tower.load_state_dict(tower.state_dict(), strict=False)
    return loss.item()


def label_patches(scene: Scene, side: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Tell what each patch of a scene's frames shows.

    Args:
        scene: Followed through all of its frames.
        side: Patches of a side of the picture.

    Returns:
        Of the figure in a patch: its properties and deeds by their numbers, -1 where there is none, [frames, patches,
        6], and how far right and down its centre is from the picture's, in `UNIT`s, [frames, patches, 2]. By that a
        language model knows the figures apart, and what is left of what.

    Example:
        >>> from langchain_videochat.evaluation.shapes import draw_scene
        >>> labels, places = label_patches(draw_scene(0), side=8)
        >>> labels.shape, places.shape
        ((8, 64, 6), (8, 64, 2))
    """
    tracks = follow(scene)
    middles = (np.arange(side) + 0.5) / side
    patches = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2)
    apart = np.abs(tracks.centers[:, :, None] - patches)
    gaps = np.linalg.norm((apart - 0.5 / side).clip(0), axis=-1) / tracks.radii[..., None]
    gaps[tracks.presence <= SEEN] = np.inf
    nearest = gaps.argmin(axis=1)[:, None]
    is_shown = np.take_along_axis(gaps, nearest, axis=1)[:, 0] < CORE
    told = np.concatenate([_properties(scene, tracks), _deeds(scene)], axis=-1)
    labels = np.take_along_axis(told[:, :, None], nearest[..., None], axis=1)[:, 0]
    places = np.take_along_axis(tracks.centers[:, :, None] - 0.5, nearest[..., None], axis=1)[:, 0] / UNIT
    return np.where(is_shown[..., None], labels, -1), places.astype(np.float32)


def _properties(scene: Scene, tracks: Tracks) -> NDArray[np.int64]:
    """Tell shape, colour and size of each figure at each frame by their numbers, [frames, figures, 3]."""
    shapes = np.array([SHAPES.index(figure.shape) for figure in scene.figures])
    first = np.array([COLORS.index(figure.color) for figure in scene.figures])
    last = first.copy()
    for event in scene.events:
        if event.color:
            last[event.actor] = COLORS.index(event.color)
    colors = np.where(tracks.repaint > SEEN, last, first)
    sizes = (tracks.radii > MIDDLE_RADIUS).astype(np.int64)
    return np.stack([np.broadcast_to(shapes, colors.shape), colors, sizes], axis=-1)


def _deeds(scene: Scene) -> NDArray[np.int64]:
    """Tell what each figure does in each half, and its part in a collision, the same at each frame."""
    deeds = np.zeros((len(scene.figures), len(DEEDS)), np.int64)
    for event in scene.events:
        deeds[event.actor, event.half] = 1 + ACTIONS.index(event.action)
    if scene.collision:
        hitter, hit = scene.collision
        deeds[hitter, -1], deeds[hit, -1] = ROLES.index("hits another"), ROLES.index("is hit")
    return np.broadcast_to(deeds, (FRAMES, *deeds.shape))


def _happenings(scene: Scene) -> list[int]:
    """Tell what happens in each half, and whether there is a collision."""
    actions = {event.half: 1 + ACTIONS.index(event.action) for event in scene.events}
    return [actions.get(0, 0), actions.get(1, 0), int(scene.collision is not None)]


class _Labelled(Dataset[tuple[Tensor, ...]]):
    """Batches of pictures or clips, of what their patches show, and of what happens; worker processes call it."""

    def __init__(self, processor: VideoChatEmbedProcessor, media: Media, vision_config: Any, steps: int) -> None:
        self._processor = processor
        self._media: Media = media
        self._side = vision_config.image_size // vision_config.patch_size
        self._steps = steps

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> tuple[Tensor, ...]:
        if not 0 <= step < self._steps:
            raise IndexError(step)
        count = SCENES[self._media]
        clips = [self._show(number) for number in range(step * count, (step + 1) * count)]
        *shown, happenings = (torch.stack(each) for each in zip(*clips, strict=True))
        if self._media == "image":
            # Each frame is a picture of its own.
            shown = [each[:, ::EVERY].flatten(0, 1).unsqueeze(1) for each in shown]
        return *shown, happenings

    def _show(self, number: int) -> tuple[Tensor, ...]:
        rng = Random(f"{self._media}s {number}")  # noqa: S311 - no secret
        scene = find_scene("train", number)
        frames = film(scene, rng)
        labels, places = map(torch.from_numpy, label_patches(scene, self._side))
        return self._processor.pixels(Video(frames)), labels, places, torch.tensor(_happenings(scene))


def _tower(model: VideoChatEmbedForConditionalGeneration, media: Media) -> VisionTower:
    """Copy a vision tower; for pictures without what relates frames."""
    config = deepcopy(model.config)
    # The gradient of torch's own attention takes ten times as long in bf16 on a processor.
    config.vision_config._attn_implementation = "eager"
    if media == "image":
        config.gmhra_layers = config.local_mhra = 0
    tower = VisionTower(config)
    tower.load_state_dict(model.vision_tower.state_dict(), strict=False)
    return tower


def _patch_tokens(tokens: Tensor, labels: Tensor) -> Tensor:
    """Take the tokens of patches, [videos, frames, patches, width], from all of a vision tower's."""
    frames, patches = labels.shape[1:3]
    of_frames = tokens[:, : frames * (1 + patches)]
    return of_frames.unflatten(1, (frames, 1 + patches))[:, :, 1:]


def _compare(scores: Tensor, labels: Tensor, places: Tensor, classes: list[int]) -> Tensor:
    """Tell how wrong it is what patches say: all of them of whether there is a figure, and those with one of it."""
    is_shown = labels[..., 0] >= 0
    presence, *told, place = scores.split([1, *classes, 2], dim=-1)
    missed = binary_cross_entropy_with_logits(presence.squeeze(-1), is_shown.float())
    of_figures = _miss([each[is_shown] for each in told], labels[is_shown])
    return PRESENCE_WEIGHT * missed + of_figures + l1_loss(place[is_shown], places[is_shown])


def _miss(scores: Sequence[Tensor], labels: Tensor) -> Tensor:
    """Add up how far scores [rows, classes] are from labels [rows, kinds], kind by kind."""
    return torch.stack([cross_entropy(each, labels[:, kind]) for kind, each in enumerate(scores)]).sum()
