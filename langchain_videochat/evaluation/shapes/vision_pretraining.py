"""Pre-training of the vision tower and the Q-Former on labels of scenes, before they are joined to the language model.

First the vision tower learns to label patches: on images, the counterpart of EVA-CLIP, then on clips with its relation
aggregators, the counterpart of UniFormerV2, from which the paper takes them. Then the Q-Former learns to produce tokens
that the language model can read, figure by figure: the counterpart of BLIP-2's two stages. Trained from text alone,
shapes and directions were still at chance after 40,000 clips.
"""

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from random import Random

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, l1_loss, mse_loss

from langchain_videochat.embed import Video, VideoChatEmbedForConditionalGeneration, VideoChatEmbedProcessor
from langchain_videochat.embed.vision_tower import VisionTower
from langchain_videochat.evaluation.shapes.language_pretraining import FACT_CLASSES, FactEmbedding
from langchain_videochat.evaluation.shapes.part_training import GeneratedBatches, plan_rounds, train_part
from langchain_videochat.evaluation.shapes.scene_samples import find_training_scene, render_compressed
from langchain_videochat.evaluation.shapes.targets import (
    CLIP_CLASSES,
    EVENT_CLASSES,
    PROPERTY_CLASSES,
    label_clip,
    label_figures,
    label_patches,
)
from langchain_videochat.evaluation.shapes.world import MAX_FIGURES
from langchain_videochat.training.samples import Media

SCENES: dict[Media, int] = {"image": 64, "video": 32}
"""Scenes in a step."""

FRAME_STEP = 2
"""Every n-th frame of a scene is used as an image."""

IMAGE_LEARNING_RATE, LEARNING_RATE = 3e-3, 2e-3
"""Learning rates of AdamW: for the vision tower on images, and for everything else."""

PRESENCE_WEIGHT = 3.0
"""Loss weight of the presence of a figure, relative to each of its labels."""

CLASSES: dict[Media, list[int]] = {"image": PROPERTY_CLASSES, "video": PROPERTY_CLASSES + EVENT_CLASSES}
"""Classes of the labels of a patch."""

EMBEDDING_WEIGHT = 10.0
"""Loss weight of the distance between queries and fact embeddings, relative to the labels."""


def pretrain_tower(
    model: VideoChatEmbedForConditionalGeneration,
    processor: VideoChatEmbedProcessor,
    media: Media,
    *,
    steps: int,
    seed: int = 0,
    show_progress: bool = True,
) -> float:
    """Train the vision tower to label figures, and in clips their events.

    A temporary head labels each patch; in clips, another one labels the whole clip from the token of GMHRA.

    Args:
        model: The model. Its vision tower is trained in place, on images without its relation aggregators.
        processor: The model's processor.
        media: Train on images or on clips.
        steps: Number of steps, with 256 images or frames each.
        seed: Seed of the heads.
        show_progress: Show a progress bar.

    Returns:
        Loss of the last step.
    """
    torch.manual_seed(seed)
    tower = _tower(model, media)
    vision_config = model.config.vision_config
    side = vision_config.image_size // vision_config.patch_size
    patch_head = _head(vision_config.hidden_size, 1 + sum(CLASSES[media]) + 2)
    clip_head = _head(vision_config.hidden_size, sum(CLIP_CLASSES))

    def loss_function(pixels: Tensor, labels: Tensor, positions: Tensor, clip_labels: Tensor) -> Tensor:
        tokens = tower(pixels)
        frames, patches = labels.shape[1:3]
        # Each frame has a class token before its patches; the token of GMHRA is the last one.
        patch_tokens = tokens[:, : frames * (1 + patches)].unflatten(1, (frames, 1 + patches))[:, :, 1:]
        patch_scores, predicted = patch_head(patch_tokens).split([1 + sum(CLASSES[media]), 2], dim=-1)
        is_shown = labels[..., 0] >= 0
        loss = _figure_loss(patch_scores, labels, CLASSES[media])
        loss = loss + l1_loss(predicted[is_shown], positions[is_shown])
        if not tower.gmhra:
            return loss
        return loss + _sum_of_losses(clip_head(tokens[:, -1]).split(CLIP_CLASSES, dim=-1), clip_labels)

    loss = train_part(
        [tower.layers, tower.gmhra],
        [*tower.parameters(), *patch_head.parameters(), *clip_head.parameters()],
        GeneratedBatches(partial(_generate_patches, processor, media, side), range(steps)),
        loss_function,
        learning_rate=IMAGE_LEARNING_RATE if media == "image" else LEARNING_RATE,
        name=f"Vision tower, {media}s" if show_progress else None,
    )
    model.vision_tower.load_state_dict(tower.state_dict(), strict=False)
    return loss


def pretrain_queries(
    model: VideoChatEmbedForConditionalGeneration,
    processor: VideoChatEmbedProcessor,
    facts: FactEmbedding,
    *,
    rounds: Sequence[int],
    seed: int = 0,
    show_progress: bool = True,
) -> float:
    """Train the Q-Former to produce the fact embeddings of figures, on images and clips in turn.

    Each projected query describes one figure: it should equal its fact embedding, and a temporary head labels it.

    Args:
        model: The model. Its Q-Former, queries and projection are trained in place.
        processor: The model's processor.
        facts: Fact embeddings that the language model was trained with.
        rounds: Number of steps in each round, with 64 images or 32 clips each.
        seed: Seed of the head, which is created for each round.
        show_progress: Show a progress bar.

    Returns:
        Loss of the last step.
    """
    order = torch.arange(model.config.num_visual_tokens) % MAX_FIGURES
    parts = (model.vision_layernorm, model.qformer, model.language_projection)
    parameters = [model.query_tokens, model.extra_query_tokens, *(each for part in parts for each in part.parameters())]
    # In training mode, its batch norms would change.
    model.vision_tower.requires_grad_(False).eval()
    facts.requires_grad_(False)
    for one in plan_rounds(rounds):
        torch.manual_seed(seed)
        head = _head(model.config.text_config.hidden_size, 1 + sum(FACT_CLASSES))

        def loss_function(pixels: Tensor, labels: Tensor, head: nn.Module = head) -> Tensor:
            queries, targets = model.get_video_features(pixels), facts(labels)
            loss = _figure_loss(head(queries), labels[:, order], FACT_CLASSES)
            return loss + EMBEDDING_WEIGHT * mse_loss(queries, targets) / targets.var()

        loss = train_part(
            [model.qformer, model.language_projection],
            [*parameters, *head.parameters()],
            GeneratedBatches(partial(_generate_figures, processor), one.steps),
            loss_function,
            learning_rate=LEARNING_RATE,
            lr_scale=one.lr_scale,
            name=f"Q-Former, {one.title}" if show_progress else None,
        )
    model.vision_tower.requires_grad_(True)
    return loss


def _generate_patches(processor: VideoChatEmbedProcessor, media: Media, side: int, step: int) -> tuple[Tensor, ...]:
    """Return images or clips, with the labels and positions of their patches, and the labels of the clips."""
    clips = []
    for number in range(step * SCENES[media], (step + 1) * SCENES[media]):
        scene = find_training_scene("train", number, "video")
        rng = Random(f"{media}s {number}")  # noqa: S311 - no secret
        pixels = processor.preprocess(Video(render_compressed(scene, rng)))
        labels, positions = map(torch.from_numpy, label_patches(scene, side))
        clips.append((pixels, labels, positions, torch.tensor(label_clip(scene))))
    *frames, clip_labels = (torch.stack(each) for each in zip(*clips, strict=True))
    if media == "image":
        # Each frame becomes an image.
        frames = [each[:, ::FRAME_STEP].flatten(0, 1).unsqueeze(1) for each in frames]
    return *frames, clip_labels


def _generate_figures(processor: VideoChatEmbedProcessor, step: int) -> tuple[Tensor, ...]:
    """Return images or clips, in turn, with the labels of their figures."""
    media: Media = "video" if step % 2 else "image"
    first = step * max(SCENES.values())
    pixels, labels = [], []
    for number in range(first, first + SCENES[media]):
        rng = Random(f"figures {number}")  # noqa: S311 - no secret
        scene = find_training_scene("train", number, media)
        frames = render_compressed(scene, rng)[: 1 if media == "image" else None]
        pixels.append(processor.preprocess(Video(frames)))
        labels.append(torch.from_numpy(label_figures(scene)))
    return torch.stack(pixels), torch.stack(labels)


def _tower(model: VideoChatEmbedForConditionalGeneration, media: Media) -> VisionTower:
    """Return a copy of the vision tower, for images without relation aggregators."""
    config = deepcopy(model.config)
    if media == "image":
        config.gmhra_layers = config.local_mhra = 0
    tower = VisionTower(config)
    tower.load_state_dict(model.vision_tower.state_dict(), strict=False)
    return tower


def _head(width: int, scores: int) -> nn.Module:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, scores))


def _figure_loss(scores: Tensor, labels: Tensor, classes: list[int]) -> Tensor:
    """Return the loss of the presence of figures, plus the loss of the labels where there is a figure."""
    is_shown = labels[..., 0] >= 0
    presence, *label_scores = scores.split([1, *classes], dim=-1)
    presence_loss = binary_cross_entropy_with_logits(presence.squeeze(-1), is_shown.float())
    return PRESENCE_WEIGHT * presence_loss + _sum_of_losses([each[is_shown] for each in label_scores], labels[is_shown])


def _sum_of_losses(scores: Sequence[Tensor], labels: Tensor) -> Tensor:
    """Return the cross entropy of scores, [rows, classes], and labels, [rows, kinds], summed over kinds."""
    return torch.stack([cross_entropy(each, labels[:, kind]) for kind, each in enumerate(scores)]).sum()
