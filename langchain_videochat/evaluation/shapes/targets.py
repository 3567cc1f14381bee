"""Training targets for perception: labels of patches, figures and clips."""

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.evaluation.shapes.world import (
    CHANGES,
    COLORS,
    FRAMES,
    MAX_FIGURES,
    MOVES,
    SHAPES,
    SIZES,
    Action,
    Scene,
    Trajectories,
    compute_trajectories,
)

PATCH_REACH = 0.65
"""Distance from a figure's centre within which a patch shows the figure, relative to the radius."""

POSITION_UNIT = 0.1
"""Unit of positions, relative to the image size."""

SIZE_THRESHOLD = 0.105
"""Radius above which a figure is large."""

VISIBLE_THRESHOLD = 0.5
"""Opacity above which a figure is visible, and progress above which a color change is complete."""

ACTIONS: tuple[Action, ...] = (*MOVES, *CHANGES)
ROLES = ("hits none", "is hit", "hits another")

PROPERTY_CLASSES = [len(SHAPES), len(COLORS), len(SIZES)]
"""Numbers of shapes, colors and sizes."""

EVENT_CLASSES = [1 + len(ACTIONS), 1 + len(ACTIONS), len(ROLES), 1 + len(COLORS)]
"""Numbers of actions in each half (0 is none), roles in a collision, and new colors (0 is none)."""

POSITION_CLASSES = [11, 11, MAX_FIGURES, MAX_FIGURES]
"""Numbers of initial positions (x and y in `POSITION_UNIT`), and of figures to the left and above.

Trained with the rank from left to right only, the model distinguished left from right (92 %), but not above from below
(49 % after 80,000 conversations): it compares ranks, not positions."""

CLIP_CLASSES = [1 + len(ACTIONS), 1 + len(ACTIONS), 2]
"""Numbers of actions in each half of a clip (0 is none), and of the values of whether there is a collision."""


def label_patches(scene: Scene, side: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return labels of the figure in each patch of each frame, which is `side` patches wide and high.

    Returns:
        Class indices of properties and events, -1 in patches without a figure, [frames, patches, 7], and the position
        of the figure's centre relative to the image centre, in `POSITION_UNIT`, [frames, patches, 2]. Positions let a
        language model distinguish the figures and compare their positions.

    Example:
        >>> from langchain_videochat.evaluation.shapes import draw_scene
        >>> labels, positions = label_patches(draw_scene(0), side=8)
        >>> labels.shape, positions.shape
        ((8, 64, 7), (8, 64, 2))
    """
    trajectories = compute_trajectories(scene)
    middles = (np.arange(side) + 0.5) / side
    patches = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2)
    distances = np.abs(trajectories.centers[:, :, None] - patches)
    gaps = np.linalg.norm((distances - 0.5 / side).clip(0), axis=-1) / trajectories.radii[..., None]
    gaps[trajectories.presence <= VISIBLE_THRESHOLD] = np.inf
    nearest = gaps.argmin(axis=1)[:, None]
    is_shown = np.take_along_axis(gaps, nearest, axis=1)[:, 0] < PATCH_REACH
    facts = np.concatenate([_properties(scene, trajectories), _events(scene)], axis=-1)
    labels = np.take_along_axis(facts[:, :, None], nearest[..., None], axis=1)[:, 0]
    centers = np.take_along_axis(trajectories.centers[:, :, None] - 0.5, nearest[..., None], axis=1)[:, 0]
    return np.where(is_shown[..., None], labels, -1), (centers / POSITION_UNIT).astype(np.float32)


def label_figures(scene: Scene) -> NDArray[np.int64]:
    """Return labels of the figures of a scene, in alphabetical order.

    Returns:
        Class indices of initial properties, events, the position of the centre in tenths of the image size, and the
        numbers of figures to the left and above; -1 for missing figures; [3, 11].

    Example:
        >>> from langchain_videochat.evaluation.shapes import draw_scene
        >>> label_figures(draw_scene(0)).tolist()[0]
        [1, 5, 0, 2, 0, 0, 0, 2, 2, 0, 0]
    """
    trajectories = compute_trajectories(scene)
    centers = trajectories.centers[0]
    positions = np.rint(centers / POSITION_UNIT).astype(np.int64)
    ranks = centers.argsort(axis=0).argsort(axis=0)
    facts = np.concatenate([_properties(scene, trajectories)[0], _events(scene)[0], positions, ranks], axis=-1)
    by_name = facts[np.argsort([figure.kind for figure in scene.figures])]
    return np.pad(by_name, ((0, MAX_FIGURES - len(by_name)), (0, 0)), constant_values=-1)


def label_clip(scene: Scene) -> list[int]:
    """Return the action in each half, and whether there is a collision."""
    actions = {event.half: 1 + ACTIONS.index(event.action) for event in scene.events}
    return [actions.get(0, 0), actions.get(1, 0), int(scene.collision is not None)]


def _properties(scene: Scene, trajectories: Trajectories) -> NDArray[np.int64]:
    """Return shape, color and size of each figure in each frame, [frames, figures, 3]."""
    shapes = np.array([SHAPES.index(figure.shape) for figure in scene.figures])
    first = np.array([COLORS.index(figure.color) for figure in scene.figures])
    last = np.array([COLORS.index(scene.new_color(number) or one.color) for number, one in enumerate(scene.figures)])
    colors = np.where(trajectories.repaint > VISIBLE_THRESHOLD, last, first)
    sizes = (trajectories.radii > SIZE_THRESHOLD).astype(np.int64)
    return np.stack([np.broadcast_to(shapes, colors.shape), colors, sizes], axis=-1)


def _events(scene: Scene) -> NDArray[np.int64]:
    """Return actions, role in a collision and new color of each figure, the same in each frame."""
    labels = np.zeros((len(scene.figures), len(EVENT_CLASSES)), np.int64)
    for event in scene.events:
        labels[event.actor, event.half] = 1 + ACTIONS.index(event.action)
        if event.color:
            labels[event.actor, -1] = 1 + COLORS.index(event.color)
    if scene.collision:
        hitter, hit = scene.collision
        labels[hitter, 2], labels[hit, 2] = ROLES.index("hits another"), ROLES.index("is hit")
    return np.broadcast_to(labels, (FRAMES, *labels.shape))
