"""Shapes in Motion: what is in a scene and what happens in it, as data that says everything but how it is drawn."""

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
"""Frames of a clip: as many as VideoChat-Embed looks at."""

FRAME_RATE = 2
"""Frames a second."""

HALF = FRAMES // 2
"""Frames of each half. An event lies within one, and is over before the half's last frame."""

MAX_FIGURES = 3

MARGIN = 0.02
"""Between a figure and the edge of the picture. Lengths are parts of the picture's side."""

GAP = 0.06
"""Between figures that do not collide: four pixels, so that none seems to touch another."""

REACH: dict[Shape, float] = {"circle": 0.95, "square": 0.85, "triangle": 0.75, "star": 0.75}
"""Part of its radius at which a figure touches another: midway between its spikes and what lies between these."""

ASIDE = 0.25
"""Part of the smaller radius by which a collision may be off the centre."""

RADII: dict[Size, tuple[float, float]] = {"small": (0.07, 0.08), "large": (0.13, 0.145)}
"""From a figure's centre to its outermost point. What grows or shrinks takes the other size: by 1.6 times at least."""

DISTANCE = (0.2, 0.45)
"""How far a figure moves."""

DIRECTIONS: dict[Action, tuple[int, int]] = {
    "moves left": (-1, 0),
    "moves right": (1, 0),
    "moves up": (0, -1),
    "moves down": (0, 1),
}
"""Right and down, as in a picture."""

NEW_SIZE: dict[Action, Size] = {"grows": "large", "shrinks": "small"}
_OLD_SIZE: dict[Action, Size] = {"grows": "small", "shrinks": "large"}

PLACES = 8
"""Placements of the same figures that are tried before their sizes and ways are drawn anew."""

STARTS, ENDS = (0.0, 0.5), (2.5, 3.0)
"""Frames from the beginning of a half between which an event starts, and ends."""

MOMENT = 0.5
"""Frames that it takes to change colour, to appear or to disappear."""


@dataclass(frozen=True)
class Figure:
    """An object of the world, as it is at first.

    Example:
        >>> Figure("circle", "red", "small", center=(0.2, 0.5), radius=0.07).name
        'the red circle'
    """

    shape: Shape
    color: Color
    size: Size

    center: tuple[float, float]
    """To the right and down, 0 to 1."""

    radius: float

    @property
    def kind(self) -> str:
        """Colour and shape: no two figures of a scene share both."""
        return f"{self.color} {self.shape}"

    @property
    def name(self) -> str:
        """What it is called in questions, whatever happens to it."""
        return f"the {self.kind}"


@dataclass(frozen=True)
class Event:
    """Something that happens to one figure."""

    actor: int
    """Which figure."""

    action: Action

    start: float
    """Frames from the first."""

    end: float
    """Frames; what happens goes steadily from start to end."""

    extent: float = 0.0
    """How far it moves, or the radius that it takes."""

    color: Color | None = None
    """What colour it turns."""

    cause: int | None = None
    """The figure that hits it and sets it going."""

    @property
    def half(self) -> Literal[0, 1]:
        """Whether it happens in the first half of the clip or in the second."""
        return 0 if self.start < HALF else 1

    @property
    def is_move(self) -> bool:
        """Whether it is a movement, no change of the figure itself."""
        return self.action in DIRECTIONS


@dataclass(frozen=True)
class Scene:
    """One to three figures, and up to two events one after the other."""

    figures: tuple[Figure, ...]

    events: tuple[Event, ...] = ()
    """In the order of time."""

    @property
    def collision(self) -> tuple[int, int] | None:
        """The figure that hits another, and this other one; None where there is none."""
        return next(((event.cause, event.actor) for event in self.events if event.cause is not None), None)

    @property
    def movers(self) -> tuple[int, ...]:
        """The figures that move, in the order in which they begin."""
        return tuple(dict.fromkeys(event.actor for event in self.events if event.is_move))

    def events_of(self, actor: int) -> tuple[Event, ...]:
        """List what happens to a figure."""
        return tuple(event for event in self.events if event.actor == actor)

    def new_color(self, actor: int) -> Color | None:
        """Tell what colour a figure turns; None if it keeps its own."""
        return next((event.color for event in self.events_of(actor) if event.color), None)


@dataclass(frozen=True, eq=False)
class Tracks:
    """Where and how each figure is at each frame."""

    centers: NDArray[np.float64]
    """[frames, figures, 2]."""

    radii: NDArray[np.float64]
    """[frames, figures]."""

    presence: NDArray[np.float64]
    """1 where it is seen, 0 where it is not, [frames, figures]."""

    repaint: NDArray[np.float64]
    """0 in the first colour, 1 in the one that it turns, [frames, figures]."""


def follow(scene: Scene) -> Tracks:
    """Follow the figures of a scene through its frames.

    Example:
        >>> follow(draw_scene(0)).centers.shape[0]
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
        elif event.action in NEW_SIZE:
            radii[:, actor] += progress * (event.extent - radii[-1, actor])
        elif event.action == "turns":
            repaint[:, actor] = progress
        else:
            presence[:, actor] = progress if event.action == "appears" else 1 - progress
    return Tracks(centers, radii, presence, repaint)


def draw_scene(seed: int, *, still: bool = False, turning: bool = False) -> Scene:
    """Draw a scene.

    How many figures there are (1 to 3) and how many of them move (0 to 2) is equally likely, and so are shapes,
    colours, sizes, directions, changes, and whether the second of two that move was hit by the first: nothing can
    be guessed better than by chance.

    Args:
        seed: The same seed gives the same scene.
        still: Whether nothing happens.
        turning: Whether a figure turns another colour for certain.

    Example:
        >>> draw_scene(7) == draw_scene(7)
        True
    """
    # Not the seed alone: who draws by the same seed elsewhere shall not draw the same.
    rng = Random(f"scene {seed}")  # noqa: S311 - no secret
    count = rng.randint(1, MAX_FIGURES)
    kinds = rng.sample([(shape, color) for shape in SHAPES for color in COLORS], count)
    steps = [] if still else _draw_plot(rng, count)
    while turning and all(step.action != "turns" for step in steps):
        steps = _draw_plot(rng, count)
    figures = [
        Figure(shape, color, _first_size(actor, steps, rng), center=(0.0, 0.0), radius=0.0)
        for actor, (shape, color) in enumerate(kinds)
    ]
    while True:
        scene = _place(_size_up(figures, steps, rng), rng)
        if scene:
            return scene


@dataclass(frozen=True)
class _Step:
    """An event before it is known how far it goes and when exactly."""

    actor: int
    action: Action
    half: int
    cause: int | None = None


def _draw_plot(rng: Random, count: int) -> list[_Step]:
    one, other = rng.sample(range(count), 2) if count > 1 else (0, 0)
    plots = [_no_mover, _one_mover, _two_movers]
    return rng.choice(plots[: count + 1])(rng, one, other)


def _no_mover(rng: Random, one: int, other: int) -> list[_Step]:
    actors = rng.choice([[], [one], [one, other]])
    actions: Iterable[Action] = NEW_SIZE if actors == [one, one] else rng.choices(CHANGES, k=len(actors))
    return _in_turn(rng, list(zip(actors, actions, strict=True)))


def _one_mover(rng: Random, mover: int, other: int) -> list[_Step]:
    move = rng.choice(MOVES)
    again: list[Action] = [action for action in (*MOVES, *NEW_SIZE) if action != move]
    more: list[list[tuple[int, Action]]] = [[], [(mover, rng.choice(again))]]
    if other != mover:
        more.append([(other, rng.choice(CHANGES))])
    return _in_turn(rng, [(mover, move), *rng.choice(more)])


def _two_movers(rng: Random, one: int, other: int) -> list[_Step]:
    direction = rng.choice(MOVES)
    collision = [_Step(one, direction, half=0), _Step(other, direction, half=1, cause=one)]
    return rng.choice([collision, _in_turn(rng, [(one, direction), (other, rng.choice(MOVES))])])


def _in_turn(rng: Random, deeds: list[tuple[int, Action]]) -> list[_Step]:
    """Put what happens into an order, and a single event into either half."""
    rng.shuffle(deeds)
    first = rng.choice((0, 1)) if len(deeds) == 1 else 0
    return [_Step(actor, action, first + number) for number, (actor, action) in enumerate(deeds)]


def _first_size(actor: int, steps: Sequence[_Step], rng: Random) -> Size:
    """Draw the size of a figure, or tell the one that it must have for what happens to it."""
    needed = (_OLD_SIZE[step.action] for step in steps if step.actor == actor and step.action in _OLD_SIZE)
    return next(needed, rng.choice(SIZES))


def _size_up(figures: Sequence[Figure], steps: Sequence[_Step], rng: Random) -> Scene:
    """Draw how large figures are, how far they move and when."""
    sized = [replace(figure, radius=rng.uniform(*RADII[figure.size])) for figure in figures]
    farthest = DISTANCE[1]
    if any(step.cause is not None for step in steps):
        # Two movements in a row, and both figures, must fit into the picture.
        radii = sum(sized[step.actor].radius for step in steps)
        farthest = min(farthest, 1 - 2 * MARGIN - 2 * radii - DISTANCE[0])
    spare = [color for color in COLORS if color not in {figure.color for figure in figures}]
    rng.shuffle(spare)
    return Scene(tuple(sized), tuple(_time(step, farthest, spare, rng) for step in steps))


def _time(step: _Step, farthest: float, spare: list[Color], rng: Random) -> Event:
    """Draw when an event happens, and how far it goes."""
    start, end = (HALF * step.half + rng.uniform(*times) for times in (STARTS, ENDS))
    event = Event(step.actor, step.action, start, end, cause=step.cause)
    if event.is_move:
        return replace(event, extent=rng.uniform(DISTANCE[0], max(DISTANCE[0], farthest)))
    if event.action in NEW_SIZE:
        return replace(event, extent=rng.uniform(*RADII[NEW_SIZE[event.action]]))
    moment = rng.uniform(start, end - MOMENT)
    return replace(event, start=moment, end=moment + MOMENT, color=spare.pop() if event.action == "turns" else None)


def _place(scene: Scene, rng: Random) -> Scene | None:
    """Put the figures where they stay within the picture and clear of each other; None where they do not."""
    together = scene.collision
    if together:
        scene = _line_up(scene, together, rng)
    tracks = follow(scene)
    reach = tracks.radii[..., None] + MARGIN
    low = (reach - tracks.centers).max(axis=0)
    high = (1 - reach - tracks.centers).min(axis=0)
    pair = list(together or ())
    low[pair], high[pair] = low[pair].max(axis=0, initial=0), high[pair].min(axis=0, initial=1)
    if (low > high).any():
        return None
    for _ in range(PLACES):
        shares = np.array([[rng.random(), rng.random()] for _ in scene.figures])
        shares[pair[1:]] = shares[pair[:1]]
        shifts = low + shares * (high - low)
        if _are_clear(tracks.centers + shifts, tracks.radii, together):
            return _shift(scene, shifts)
    return None


def _shift(scene: Scene, shifts: NDArray[np.float64]) -> Scene:
    centers = (np.array([figure.center for figure in scene.figures]) + shifts).tolist()
    figures = (replace(figure, center=(x, y)) for figure, (x, y) in zip(scene.figures, centers, strict=True))
    return replace(scene, figures=tuple(figures))


def _line_up(scene: Scene, together: tuple[int, int], rng: Random) -> Scene:
    """Put a figure where another one, at the origin, will end its way touching it."""
    hitter, hit = together
    (move,) = scene.events_of(hitter)
    across, down = DIRECTIONS[move.action]
    figures = list(scene.figures)
    both = figures[hitter], figures[hit]
    ahead = move.extent + sum(REACH[figure.shape] * figure.radius for figure in both)
    aside = ASIDE * min(figure.radius for figure in both) * rng.uniform(-1, 1)
    figures[hit] = replace(figures[hit], center=(across * ahead + down * aside, down * ahead + across * aside))
    return replace(scene, figures=tuple(figures))


def _are_clear(centers: NDArray[np.float64], radii: NDArray[np.float64], together: tuple[int, int] | None) -> bool:
    """Tell whether all figures, but those that collide, keep their distance in every frame."""
    for one, other in combinations(range(radii.shape[1]), 2):
        apart = np.abs(centers[:, one] - centers[:, other]).max(axis=-1) - radii[:, one] - radii[:, other]
        if {one, other} != set(together or ()) and apart.min() < GAP:
            return False
    return True
