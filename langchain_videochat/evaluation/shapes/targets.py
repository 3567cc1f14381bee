"""What is to be seen in a scene, in numbers: in each patch of its frames, of each figure, and in all."""

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
    Tracks,
    follow,
)

CORE = 0.65
"""Part of a figure's radius that a patch must reach to show it."""

UNIT = 0.1
"""Of where a figure's centre is, as a part of the picture's side."""

MIDDLE_RADIUS = 0.105
"""What is larger is large."""

SEEN = 0.5
"""What is more present than this is seen, and a colour that is further on the way to another is that one."""

ACTIONS: tuple[Action, ...] = (*MOVES, *CHANGES)
ROLES = ("hits none", "is hit", "hits another")

PROPERTIES = [len(SHAPES), len(COLORS), len(SIZES)]
"""Of how many a figure has one each."""

DEEDS = [1 + len(ACTIONS), 1 + len(ACTIONS), len(ROLES), 1 + len(COLORS)]
"""What it does in each half, 0 for nothing, its part in a collision, and what colour it turns, 0 for none."""

PLACES = [11, 11, MAX_FIGURES, MAX_FIGURES]
"""Where it is at first, across and down, in `UNIT`s, and how many others are left of it and above it."""

HAPPENINGS = [1 + len(ACTIONS), 1 + len(ACTIONS), 2]
"""What happens in each half of a clip, 0 for nothing, and whether there is a collision."""


def label_patches(scene: Scene, side: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Tell what each patch of a scene's frames shows.

    Args:
        scene: Followed through all of its frames.
        side: Patches of a side of the picture.

    Returns:
        Of the figure in a patch: its properties and deeds by their numbers, -1 where there is none, [frames, patches,
        7], and how far right and down its centre is from the picture's, in `UNIT`s, [frames, patches, 2]. By that a
        language model knows the figures apart, and what is left of what.

    Example:
        >>> from langchain_videochat.evaluation.shapes import draw_scene
        >>> labels, places = label_patches(draw_scene(0), side=8)
        >>> labels.shape, places.shape
        ((8, 64, 7), (8, 64, 2))
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


def label_figures(scene: Scene) -> NDArray[np.int64]:
    """Tell of each figure of a scene, in the order of the alphabet.

    Returns:
        Its properties at first, its deeds, in which tenths of the picture its centre is at first, across and down, and
        how many figures are left of it and above it, by their numbers; -1 where there is no further figure; [3, 11].

    Example:
        >>> from langchain_videochat.evaluation.shapes import draw_scene
        >>> label_figures(draw_scene(0)).tolist()[0]
        [1, 5, 0, 2, 0, 0, 0, 2, 2, 0, 0]
    """
    tracks = follow(scene)
    centers = tracks.centers[0]
    places = np.rint(centers / UNIT).astype(np.int64)
    ranks = centers.argsort(axis=0).argsort(axis=0)
    told = np.concatenate([_properties(scene, tracks)[0], _deeds(scene)[0], places, ranks], axis=-1)
    by_name = told[np.argsort([figure.kind for figure in scene.figures])]
    return np.pad(by_name, ((0, MAX_FIGURES - len(by_name)), (0, 0)), constant_values=-1)


def label_clip(scene: Scene) -> list[int]:
    """Tell what happens in each half, and whether there is a collision."""
    actions = {event.half: 1 + ACTIONS.index(event.action) for event in scene.events}
    return [actions.get(0, 0), actions.get(1, 0), int(scene.collision is not None)]


def _properties(scene: Scene, tracks: Tracks) -> NDArray[np.int64]:
    """Tell shape, colour and size of each figure at each frame by their numbers, [frames, figures, 3]."""
    shapes = np.array([SHAPES.index(figure.shape) for figure in scene.figures])
    first = np.array([COLORS.index(figure.color) for figure in scene.figures])
    last = np.array([COLORS.index(scene.new_color(number) or one.color) for number, one in enumerate(scene.figures)])
    colors = np.where(tracks.repaint > SEEN, last, first)
    sizes = (tracks.radii > MIDDLE_RADIUS).astype(np.int64)
    return np.stack([np.broadcast_to(shapes, colors.shape), colors, sizes], axis=-1)


def _deeds(scene: Scene) -> NDArray[np.int64]:
    """Tell what each figure does in each half, its part in a collision, and its new colour, the same at each frame."""
    deeds = np.zeros((len(scene.figures), len(DEEDS)), np.int64)
    for event in scene.events:
        deeds[event.actor, event.half] = 1 + ACTIONS.index(event.action)
        if event.color:
            deeds[event.actor, -1] = 1 + COLORS.index(event.color)
    if scene.collision:
        hitter, hit = scene.collision
        deeds[hitter, 2], deeds[hit, 2] = ROLES.index("hits another"), ROLES.index("is hit")
    return np.broadcast_to(deeds, (FRAMES, *deeds.shape))
