"""Training of the vision tower and the Q-Former on backgrounds of any brightness, by distillation.

The teacher, a frozen copy of the model, processes scenes on a dark background, on which it was trained. The student
learns to produce the same visual tokens on other backgrounds: no labels are needed, and the language model can stay as
it is.
"""

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from random import Random

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from langchain_videochat.embed import Video, VideoChatEmbedForConditionalGeneration, VideoChatEmbedProcessor
from langchain_videochat.evaluation.shapes.part_training import GeneratedBatches, plan_rounds, train_part
from langchain_videochat.evaluation.shapes.scene_samples import find_training_scene, render_compressed
from langchain_videochat.evaluation.shapes.vision_pretraining import LEARNING_RATE
from langchain_videochat.training.samples import Media

SCENES: dict[Media, int] = {"image": 32, "video": 16}
"""Scenes in a step."""

LR_SCALE = 0.25
"""Learning rates relative to training from scratch."""


def train_backgrounds(
    model: VideoChatEmbedForConditionalGeneration,
    processor: VideoChatEmbedProcessor,
    *,
    rounds: Sequence[int],
    show_progress: bool = True,
) -> float:
    """Train the visual tokens of images and clips, in turn, to be the same on any background as on a dark one.

    Args:
        model: The model. Everything before its language model is trained in place.
        processor: The model's processor.
        rounds: Number of steps in each round, with 32 images or 16 clips each. All have the same learning rates.
        show_progress: Show a progress bar.

    Returns:
        Loss of the last step: the squared error relative to the variance of the teacher's tokens.
    """
    # In training mode, the statistics of the vision tower's batch norms would change.
    teacher = deepcopy(model.eval()).requires_grad_(False)
    parts = (model.vision_tower, model.vision_layernorm, model.qformer, model.language_projection)
    parameters = [model.query_tokens, model.extra_query_tokens, *(each for part in parts for each in part.parameters())]

    def loss_function(dark: Tensor, others: Tensor) -> Tensor:
        targets = teacher.get_video_features(dark)
        return mse_loss(model.get_video_features(others), targets) / targets.var()

    for one in plan_rounds(rounds):
        loss = train_part(
            [model.vision_tower.layers, model.vision_tower.gmhra, model.qformer, model.language_projection],
            parameters,
            GeneratedBatches(partial(_generate_pairs, processor), one.steps),
            loss_function,
            learning_rate=LEARNING_RATE,
            lr_scale=LR_SCALE,
            name=f"Backgrounds, {one.title}" if show_progress else None,
        )
    return loss


def _generate_pairs(processor: VideoChatEmbedProcessor, step: int) -> tuple[Tensor, ...]:
    """Return images or clips, in turn, on a dark background, and the same ones on backgrounds of any brightness."""
    media: Media = "video" if step % 2 else "image"
    first = step * max(SCENES.values())
    pairs = []
    for number in range(first, first + SCENES[media]):
        scene = find_training_scene("train", number, media)
        pair = []
        for is_dark in (True, False):
            rng = Random(f"backgrounds {number}")  # noqa: S311 - no secret
            frames = render_compressed(scene, rng, any_background=not is_dark)[: 1 if media == "image" else None]
            pair.append(processor.preprocess(Video(frames)))
        pairs.append(pair)
    dark, others = (torch.stack(each) for each in zip(*pairs, strict=True))
    return dark, others
