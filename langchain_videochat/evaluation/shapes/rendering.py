"""Pictures of a scene.

Figures are drawn at the clip's own size: how much of a pixel one covers follows from its signed distance to the
figure's edge. This gives what drawing larger and scaling down gives, at a ninth of the work.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from langchain_videochat.evaluation.shapes.world import FRAMES, Color, Scene, Shape, Tracks, follow

SIDE = 64
"""Pixels of a side of the picture."""

PATCH = 24
"""Pixels of a side of what is drawn of a figure: the largest has a diameter of 19."""

PAINTS: dict[Color, tuple[float, float, float]] = {
    "red": (0.9, 0.15, 0.12),
    "green": (0.15, 0.75, 0.2),
    "blue": (0.15, 0.35, 0.95),
    "yellow": (0.95, 0.85, 0.15),
    "purple": (0.65, 0.2, 0.8),
    "white": (0.95, 0.95, 0.95),
}
"""RGB, 0 to 1."""

PAINT_SPREAD = 0.06
"""By which the red, green and blue of a figure differ from these."""

SHADE = (0.03, 0.2)
"""Of the ground, 0 to 1."""

TINT = 0.03
"""By which the ground may differ from grey."""

SLOPE = 0.08
"""By which the ground may grow lighter from one edge to the other."""

NOISE = (0, 8)
"""The most by which a value may be off, of 255; drawn for each clip."""

SOFTNESS = (0.8, 1.5)
"""Pixels over which the edge of a figure fades."""

Index = NDArray[np.intp]

Edges = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Straight lines: the directions in which they face, [lines, 2], and how far they are from the centre, [lines]."""


def _edges(degrees: Sequence[float], offsets: Sequence[float]) -> Edges:
    """Give lines by the angles at which they face, clockwise from the right, for a figure of radius 1."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1), np.array(offsets)


_TRIANGLE = _edges([90, -27.8, -152.2], [0.8, 0.467, 0.467])
_STAR = _edges([-90, -18, 54, 126, 198], [0.33] * 5)


def render(scene: Scene, seed: int) -> NDArray[np.uint8]:
    """Draw a clip.

    Args:
        scene: What is in it.
        seed: For what does not matter to the scene: shade and slope of the ground, paint, softness and noise.

    Returns:
        RGB, [8, 64, 64, 3].

    Example:
        >>> from langchain_videochat.evaluation.shapes import draw_scene
        >>> render(draw_scene(0), seed=0).shape
        (8, 64, 64, 3)
    """
    rng = np.random.default_rng(seed)
    tracks = follow(scene)
    frames = np.repeat(_ground(rng)[None], FRAMES, axis=0)
    softness = rng.uniform(*SOFTNESS)
    for number, figure in enumerate(scene.figures):
        cover, place = _cover(figure.shape, tracks, number, softness)
        paint = _paint(scene, number, tracks, rng)
        frames[place] += cover[..., None] * (paint[:, None, None] - frames[place])
    most = int(rng.integers(*NOISE, endpoint=True))
    frames *= 255
    frames += rng.integers(-most, most, size=frames.shape, dtype=np.int8, endpoint=True)
    return frames.clip(0, 255).astype(np.uint8)


def compress(frames: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Blur colours and edges as a codec does, at a part of the cost of writing a video and reading it.

    Args:
        frames: RGB, [T, H, W, 3].
        quality: JPEG's, 1 to 100.

    Returns:
        RGB, [T, H, W, 3].
    """
    strip = frames.reshape(-1, *frames.shape[2:])[..., ::-1]
    _, data = cv2.imencode(".jpg", strip, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)[..., ::-1].reshape(frames.shape)


def _ground(rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a dark ground of one shade that slopes a little, [64, 64, 3]."""
    steps = np.linspace(-0.5, 0.5, SIDE)
    across, down = rng.uniform(-SLOPE, SLOPE, size=2) / 2
    slope = np.add.outer(down * steps, across * steps)
    color = rng.uniform(*SHADE) + rng.uniform(-TINT, TINT, size=3)
    return np.asarray((slope[..., None] + color).clip(0, 1), dtype=np.float32)


def _paint(scene: Scene, number: int, tracks: Tracks, rng: np.random.Generator) -> NDArray[np.float32]:
    """Tell the colour of a figure at each frame, [frames, 3]."""
    first = scene.figures[number].color
    old, new = np.array(PAINTS[first]), np.array(PAINTS[scene.new_color(number) or first])
    repaint = tracks.repaint[:, number, None]
    spread = rng.uniform(-PAINT_SPREAD, PAINT_SPREAD, size=3)
    return np.asarray((old + repaint * (new - old) + spread).clip(0, 1), dtype=np.float32)


def _cover(shape: Shape, tracks: Tracks, number: int, softness: float) -> tuple[NDArray[np.float32], tuple[Index, ...]]:
    """Tell how much a figure covers of each pixel around it, [frames, 24, 24], and where these pixels lie."""
    centers = tracks.centers[:, number] * SIDE
    corners = np.rint(centers - PATCH / 2).clip(0, SIDE - PATCH).astype(np.intp)
    columns, rows = corners.T[..., None] + np.arange(PATCH)
    radii = tracks.radii[:, number, None, None] * SIDE
    x = (columns + 0.5 - centers[:, :1])[:, None, :] / radii
    y = (rows + 0.5 - centers[:, 1:])[:, :, None] / radii
    cover = (0.5 - _distance(shape, x, y) * radii / softness).clip(0, 1)
    cover *= tracks.presence[:, number, None, None]
    return cover.astype(np.float32), (np.arange(FRAMES)[:, None, None], rows[:, :, None], columns[:, None, :])


def _distance(shape: Shape, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tell how far points are outside the edge of a figure of radius 1, or inside it where this is negative."""
    if shape == "circle":
        return np.asarray(np.hypot(x, y) - 0.97)
    if shape == "square":
        return np.asarray(np.maximum(np.abs(x), np.abs(y)) - 0.86)
    if shape == "triangle":
        return np.asarray(_beyond(_TRIANGLE, x, y).max(axis=0))
    # Within a star are the points that lie outside one of its five lines at most: in its middle, or in a spike.
    return np.asarray(np.partition(_beyond(_STAR, x, y), -2, axis=0)[-2])


def _beyond(edges: Edges, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tell how far points are beyond each line."""
    normals, offsets = edges[0][..., None, None, None], edges[1][:, None, None, None]
    return normals[:, 0] * x + normals[:, 1] * y - offsets
