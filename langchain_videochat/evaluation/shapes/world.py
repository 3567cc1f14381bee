"""Scenes of Shapes in Motion: figures and events, independent of their rendering."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from random import Random
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Shape = Literal["circle", "square", "triangle", "star"]
Color = Literal["red", "green", "blue", "yellow", "purple", "white"]
Size = Literal["small", "large"]
Move = Literal["moves left", "moves right", "moves up", "moves down"]
Change = Literal["grows", "shrinks", "turns", "disappears", "appears"]
Action = Move | Change

SHAPES: tuple[Shape, ...] = get_args(Shape)
COLORS: tuple[Color, ...] = get_args(Color)
SIZES: tuple[Size, ...] = get_args(Size)
MOVES: tuple[Move, ...] = get_args(Move)
CHANGES: tuple[Change, ...] = get_args(Change)

FRAMES = 8
"""Frames in a clip: as many as VideoChat-Embed samples."""

FRAME_RATE = 2
"""Frames per second."""

FRAMES_PER_HALF = FRAMES // 2
"""Frames in each half. An event starts and ends in one half, before the last frame of it."""

MAX_FIGURES = 3

MARGIN = 0.02
"""Minimum distance of a figure from the image border. All lengths are fractions of the image size."""

GAP = 0.06
"""Minimum distance of figures that do not collide: four pixels, enough to see that they do not touch."""

CONTACT_RADIUS: dict[Shape, float] = {"circle": 0.95, "square": 0.85, "triangle": 0.75, "star": 0.75}
"""Effective radius in a collision, relative to the radius: the mean of outer and inner radius."""

MAX_COLLISION_OFFSET = 0.25
"""Maximum offset of a collision from the centre, relative to the smaller radius."""

RADII: dict[Size, tuple[float, float]] = {"small": (0.07, 0.08), "large": (0.13, 0.145)}
"""Ranges of the outer radius. A figure that grows or shrinks changes its radius at least by a factor of 1.6."""

MOVE_DISTANCE = (0.2, 0.45)
"""Range of the length of a movement."""

DIRECTIONS: dict[Action, tuple[int, int]] = {
    "moves left": (-1, 0),
    "moves right": (1, 0),
    "moves up": (0, -1),
    "moves down": (0, 1),
}
"""Image coordinates: x to the right, y down."""

NEW_SIZES: dict[Action, Size] = {"grows": "large", "shrinks": "small"}
_OLD_SIZES: dict[Action, Size] = {"grows": "small", "shrinks": "large"}

PLACEMENT_ATTEMPTS = 8
"""Attempts to place figures before their sizes and movements are drawn again."""

EVENT_STARTS, EVENT_ENDS = (0.0, 0.5), (2.5, 3.0)
"""Ranges of the start and the end of an event, in frames from the start of a half."""

CHANGE_DURATION = 0.5
"""Duration of a color change, an appearance or a disappearance, in frames."""


@dataclass(frozen=True)
class Figure:
    """A figure in its initial state.

    Example:
        >>> Figure("circle", "red", "small", center=(0.2, 0.5), radius=0.07).name
        'the red circle'
    """

    shape: Shape
    """Shape; it never changes."""

    color: Color
    """Initial color."""

    size: Size
    """Initial size class."""

    center: tuple[float, float]
    """x and y, 0 to 1."""

    radius: float
    """Initial radius; the side of the frame is 1."""

    @property
    def kind(self) -> str:
        """Color and shape. Unique in a scene."""
        return f"{self.color} {self.shape}"

    @property
    def name(self) -> str:
        """Name in questions. Independent of changes."""
        return f"the {self.kind}"


@dataclass(frozen=True)
class Event:
    """A movement or change of one figure."""

    actor: int
    """Index of the figure."""

    action: Action
    """What happens."""

    start: float
    """Frame number, counted from 0."""

    end: float
    """Frame number. Movements and changes are linear from start to end."""

    extent: float = 0.0
    """Length of the movement, or the new radius."""

    color: Color | None = None
    """The new color."""

    cause: int | None = None
    """Index of the figure whose collision starts the movement."""

    @property
    def half(self) -> Literal[0, 1]:
        """0 in the first half of the clip, 1 in the second."""
        return 0 if self.start < FRAMES_PER_HALF else 1

    @property
    def is_move(self) -> bool:
        """Whether it is a movement, not a change of the figure."""
        return self.action in DIRECTIONS


@dataclass(frozen=True)
class Scene:
    """One to three figures, and up to two consecutive events."""

    figures: tuple[Figure, ...]
    """One to three figures."""

    events: tuple[Event, ...] = ()
    """In chronological order."""

    @property
    def collision(self) -> tuple[int, int] | None:
        """Indices of the hitting and the hit figure; None without a collision."""
        return next(((event.cause, event.actor) for event in self.events if event.cause is not None), None)

    @property
    def movers(self) -> tuple[int, ...]:
        """Indices of the moving figures, in the order in which they start."""
        return tuple(dict.fromkeys(event.actor for event in self.events if event.is_move))

    def events_of(self, actor: int) -> tuple[Event, ...]:
        """Return the events of a figure."""
        return tuple(event for event in self.events if event.actor == actor)

    def new_color(self, actor: int) -> Color | None:
        """Return the new color of a figure; None if it keeps its color."""
        return next((event.color for event in self.events_of(actor) if event.color), None)


@dataclass(frozen=True, eq=False)
class Trajectories:
    """State of each figure in each frame."""

    centers: NDArray[np.float64]
    """x and y, [frames, figures, 2]."""

    radii: NDArray[np.float64]
    """[frames, figures]."""

    presence: NDArray[np.float64]
    """Opacity: 1 where the figure is visible, 0 where it is not, [frames, figures]."""

    repaint: NDArray[np.float64]
    """Progress from the first color (0) to the new one (1), [frames, figures]."""


def compute_trajectories(scene: Scene) -> Trajectories:
    """Compute the state of all figures in all frames of a scene.

    Example:
        >>> compute_trajectories(draw_scene(0)).centers.shape[0]
        8
    """
    count = len(scene.figures)
    centers = np.tile([figure.center for figure in scene.figures], (FRAMES, 1, 1)).astype(float)
    radii = np.tile([figure.radius for figure in scene.figures], (FRAMES, 1))
    presence, repaint = np.ones((FRAMES, count)), np.zeros((FRAMES, count))
    for event in scene.events:
        progress = ((np.arange(FRAMES) - event.start) / (event.end - event.start)).clip(0, 1)
        actor = event.actor
        if event.is_move:
            centers[:, actor] += np.outer(progress * event.extent, DIRECTIONS[event.action])
        elif event.action in NEW_SIZES:
            radii[:, actor] += progress * (event.extent - radii[-1, actor])
        elif event.action == "turns":
            repaint[:, actor] = progress
        else:
            presence[:, actor] = progress if event.action == "appears" else 1 - progress
    return Trajectories(centers, radii, presence, repaint)


def draw_scene(seed: int, *, still: bool = False, color_change: bool = False) -> Scene:
    """Draw a random scene.

    All numbers of figures (1 to 3) and of moving figures (0 to 2) are equally likely, and so are shapes, colors,
    sizes, directions, changes, and whether the second of two moving figures was hit by the first: guessing is never
    better than chance.

    Args:
        seed: The same seed results in the same scene.
        still: Draw a scene without events.
        color_change: Draw a scene with a color change.

    Example:
        >>> draw_scene(7) == draw_scene(7)
        True
    """
    # The prefix makes other generators with the same seed independent.
    rng = Random(f"scene {seed}")  # noqa: S311 - no secret
    count = rng.randint(1, MAX_FIGURES)
    kinds = rng.sample([(shape, color) for shape in SHAPES for color in COLORS], count)
    plan = [] if still else _plan_events(rng, count)
    while color_change and all(step.action != "turns" for step in plan):
        plan = _plan_events(rng, count)
    figures = [
        Figure(shape, color, _initial_size(actor, plan, rng), center=(0.0, 0.0), radius=0.0)
        for actor, (shape, color) in enumerate(kinds)
    ]
    while True:
        scene = _place(_draw_extents(figures, plan, rng), rng)
        if scene:
            return scene


@dataclass(frozen=True)
class _PlannedEvent:
    """An event without exact times and extent."""

    actor: int
    action: Action
    half: int
    cause: int | None = None


def _plan_events(rng: Random, count: int) -> list[_PlannedEvent]:
    one, other = rng.sample(range(count), 2) if count > 1 else (0, 0)
    planners = [_no_mover, _one_mover, _two_movers]
    return rng.choice(planners[: count + 1])(rng, one, other)


def _no_mover(rng: Random, one: int, other: int) -> list[_PlannedEvent]:
    actors = rng.choice([[], [one], [one, other]])
    actions: Iterable[Action] = NEW_SIZES if actors == [one, one] else rng.choices(CHANGES, k=len(actors))
    return _schedule(rng, list(zip(actors, actions, strict=True)))


def _one_mover(rng: Random, mover: int, other: int) -> list[_PlannedEvent]:
    move = rng.choice(MOVES)
    again: list[Action] = [action for action in (*MOVES, *NEW_SIZES) if action != move]
    more: list[list[tuple[int, Action]]] = [[], [(mover, rng.choice(again))]]
    if other != mover:
        more.append([(other, rng.choice(CHANGES))])
    return _schedule(rng, [(mover, move), *rng.choice(more)])


def _two_movers(rng: Random, one: int, other: int) -> list[_PlannedEvent]:
    direction = rng.choice(MOVES)
    collision = [_PlannedEvent(one, direction, half=0), _PlannedEvent(other, direction, half=1, cause=one)]
    return rng.choice([collision, _schedule(rng, [(one, direction), (other, rng.choice(MOVES))])])


def _schedule(rng: Random, actions: list[tuple[int, Action]]) -> list[_PlannedEvent]:
    """Order events randomly, and put a single event into a random half."""
    rng.shuffle(actions)
    first = rng.choice((0, 1)) if len(actions) == 1 else 0
    return [_PlannedEvent(actor, action, first + number) for number, (actor, action) in enumerate(actions)]


def _initial_size(actor: int, plan: Sequence[_PlannedEvent], rng: Random) -> Size:
    """Draw the initial size of a figure, or return the one that its events require."""
    needed = (_OLD_SIZES[step.action] for step in plan if step.actor == actor and step.action in _OLD_SIZES)
    return next(needed, rng.choice(SIZES))


def _draw_extents(figures: Sequence[Figure], plan: Sequence[_PlannedEvent], rng: Random) -> Scene:
    """Draw the radii of figures and the times and extents of events."""
    sized = [replace(figure, radius=rng.uniform(*RADII[figure.size])) for figure in figures]
    max_distance = MOVE_DISTANCE[1]
    if any(step.cause is not None for step in plan):
        # Both figures and both movements must fit into the image.
        radii = sum(sized[step.actor].radius for step in plan)
        max_distance = min(max_distance, 1 - 2 * MARGIN - 2 * radii - MOVE_DISTANCE[0])
    spare = [color for color in COLORS if color not in {figure.color for figure in figures}]
    rng.shuffle(spare)
    return Scene(tuple(sized), tuple(_draw_event(step, max_distance, spare, rng) for step in plan))


def _draw_event(step: _PlannedEvent, max_distance: float, spare: list[Color], rng: Random) -> Event:
    """Draw the times and the extent of an event."""
    start, end = (FRAMES_PER_HALF * step.half + rng.uniform(*times) for times in (EVENT_STARTS, EVENT_ENDS))
    event = Event(step.actor, step.action, start, end, cause=step.cause)
    if event.is_move:
        return replace(event, extent=rng.uniform(MOVE_DISTANCE[0], max(MOVE_DISTANCE[0], max_distance)))
    if event.action in NEW_SIZES:
        return replace(event, extent=rng.uniform(*RADII[NEW_SIZES[event.action]]))
    moment = rng.uniform(start, end - CHANGE_DURATION)
    color = spare.pop() if event.action == "turns" else None
    return replace(event, start=moment, end=moment + CHANGE_DURATION, color=color)


def _place(scene: Scene, rng: Random) -> Scene | None:
    """Place the figures inside the image, without overlap; return None if that fails."""
    colliding = scene.collision
    if colliding:
        scene = _align_collision(scene, colliding, rng)
    trajectories = compute_trajectories(scene)
    reach = trajectories.radii[..., None] + MARGIN
    low = (reach - trajectories.centers).max(axis=0)
    high = (1 - reach - trajectories.centers).min(axis=0)
    pair = list(colliding or ())
    low[pair], high[pair] = low[pair].max(axis=0, initial=0), high[pair].min(axis=0, initial=1)
    if (low > high).any():
        return None
    for _ in range(PLACEMENT_ATTEMPTS):
        positions = np.array([[rng.random(), rng.random()] for _ in scene.figures])
        positions[pair[1:]] = positions[pair[:1]]
        shifts = low + positions * (high - low)
        if _are_clear(trajectories.centers + shifts, trajectories.radii, colliding):
            return _shift(scene, shifts)
    return None


def _shift(scene: Scene, shifts: NDArray[np.float64]) -> Scene:
    centers = (np.array([figure.center for figure in scene.figures]) + shifts).tolist()
    figures = (replace(figure, center=(x, y)) for figure, (x, y) in zip(scene.figures, centers, strict=True))
    return replace(scene, figures=tuple(figures))


def _align_collision(scene: Scene, colliding: tuple[int, int], rng: Random) -> Scene:
    """Place the hit figure where the movement of the other one, from the origin, ends in contact."""
    hitter, hit = colliding
    (move,) = scene.events_of(hitter)
    across, down = DIRECTIONS[move.action]
    figures = list(scene.figures)
    both = figures[hitter], figures[hit]
    ahead = move.extent + sum(CONTACT_RADIUS[figure.shape] * figure.radius for figure in both)
    aside = MAX_COLLISION_OFFSET * min(figure.radius for figure in both) * rng.uniform(-1, 1)
    figures[hit] = replace(figures[hit], center=(across * ahead + down * aside, down * ahead + across * aside))
    return replace(scene, figures=tuple(figures))


def _are_clear(centers: NDArray[np.float64], radii: NDArray[np.float64], colliding: tuple[int, int] | None) -> bool:
    """Return whether all figures that do not collide keep their distance in every frame."""
    for one, other in combinations(range(radii.shape[1]), 2):
        gap = np.abs(centers[:, one] - centers[:, other]).max(axis=-1) - radii[:, one] - radii[:, other]
        if {one, other} != set(colliding or ()) and gap.min() < GAP:
            return False
    return True
