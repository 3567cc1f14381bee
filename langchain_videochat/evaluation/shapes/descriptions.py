"""Scenes in words."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from random import Random

from langchain_videochat.evaluation.shapes.world import (
    COLORS,
    NEW_SIZE,
    SIZES,
    Action,
    Color,
    Event,
    Figure,
    Scene,
    Size,
)

HALVES = ("in the first half", "in the second half")

_OPPOSITES: dict[Action, Action] = {
    "moves left": "moves right",
    "moves right": "moves left",
    "moves up": "moves down",
    "moves down": "moves up",
    "grows": "shrinks",
    "shrinks": "grows",
    "appears": "disappears",
    "disappears": "appears",
}


def describe(scene: Scene) -> str:
    """Describe a scene in the manner of the paper's Table 5: in the order of time, without naming times.

    Example:
        >>> from langchain_videochat.evaluation.shapes import draw_scene
        >>> describe(draw_scene(0))
        'First, there is a small white square. Then, the white square moves right. Finally, nothing happens.'
    """
    sentences = [f"First, there {'are' if ' and ' in caption(scene) else 'is'} {caption(scene)}."]
    happenings = [_happening(scene, half) for half in (0, 1)] if scene.events else [_NOTHING]
    sentences += [f"{word}, {what}." for word, what in zip(("Then", "Finally"), happenings, strict=False)]
    return " ".join(sentences)


def caption(scene: Scene) -> str:
    """Name what a scene's first picture shows, in the order of the alphabet.

    Not from left to right: where one figure is above another, that would hang on a part of a pixel.

    Example:
        >>> from langchain_videochat.evaluation.shapes import draw_scene
        >>> caption(draw_scene(1))
        'a large blue triangle and a small white triangle'
    """
    late = {event.actor for event in scene.events if event.action == "appears"}
    figures = [figure for number, figure in enumerate(scene.figures) if number not in late]
    names = [introduce(figure) for figure in sorted(figures, key=lambda figure: figure.kind)]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) or "nothing"


def state(scene: Scene, rng: Random) -> str:
    """Say what a picture shows in one of four ways: what there is, how each figure is, where, or beside what.

    Each way needs another look: at all figures, from one property to the others, to a place, and to two of them.

    Args:
        scene: One in which nothing happens.
        rng: Chooses the way.

    Example:
        >>> from langchain_videochat.evaluation.shapes import draw_scene
        >>> scene = draw_scene(1, still=True)
        >>> for seed in (2, 1, 5, 0):
        ...     print(state(scene, Random(seed)))
        a small blue triangle and a small white triangle
        the white object is a small triangle and the blue object is a small triangle
        the blue triangle is at 0.5, 0.1 and the white triangle is at 0.1, 0.1
        the blue triangle is right of the white triangle
    """
    return rng.choice((_name_all, _qualify_all, _locate_all, _compare_all))(scene, rng)


def recount(scene: Scene, rng: Random) -> str:
    """Say what each figure of a clip does, and in which half, in any order.

    Example:
        >>> from langchain_videochat.evaluation.shapes import draw_scene
        >>> recount(draw_scene(1), Random(0))
        'the blue triangle shrinks in the second half and the white triangle turns red in the first half'
    """
    numbers = rng.sample(range(len(scene.figures)), len(scene.figures))
    return " and ".join(f"{scene.figures[number].name} {_deeds(scene, number)}" for number in numbers)


def introduce(figure: Figure) -> str:
    """Name a figure with all that is seen of it.

    Example:
        >>> introduce(Figure("circle", "red", "small", center=(0.5, 0.5), radius=0.07))
        'a small red circle'
    """
    return f"a {figure.size} {figure.kind}"


def clause(scene: Scene, event: Event) -> str:
    """Tell what happens, as "the red circle turns blue"."""
    return f"{scene.figures[event.actor].name} {_deed(event)}"


def bare_deed(event: Event) -> str:
    """Tell what happens in the form that follows "does", as "turn blue"."""
    verb, *rest = _deed(event).split()
    return " ".join([verb.removesuffix("s"), *rest])


def alter(scene: Scene, rng: Random) -> Scene:
    """Make a scene of which another description is true, one that is as likely as the scene itself.

    Where two figures act of their own accord their order is reversed; else all that happens is turned into its
    opposite; where nothing happens, one colour is another.
    """
    first, *others = scene.figures
    if not scene.events:
        return replace(scene, figures=(replace(first, color=_spare_color(scene, rng)), *others))
    if len({event.actor for event in scene.events}) > 1 and not scene.collision:
        one, other = scene.events
        return replace(scene, events=(replace(other, start=one.start), replace(one, start=other.start)))
    figures = [replace(figure, size=_first_size(scene, number)) for number, figure in enumerate(scene.figures)]
    color = _spare_color(scene, rng)
    events = [
        replace(event, action=_OPPOSITES.get(event.action, event.action), color=event.color and color)
        for event in scene.events
    ]
    return Scene(tuple(figures), tuple(events))


def _name_all(scene: Scene, rng: Random) -> str:
    return caption(scene)


def _qualify_all(scene: Scene, rng: Random) -> str:
    figures = rng.sample(scene.figures, len(scene.figures))
    return " and ".join(_qualify(figure, scene.figures, rng) for figure in figures)


def _qualify(figure: Figure, figures: Sequence[Figure], rng: Random) -> str:
    """Tell the other properties of a figure that one of them, or two, set apart."""
    ways = []
    if [other.shape for other in figures].count(figure.shape) == 1:
        ways.append(f"the {figure.shape} is {figure.size} and {figure.color}")
    if [other.color for other in figures].count(figure.color) == 1:
        ways.append(f"the {figure.color} object is a {figure.size} {figure.shape}")
    return rng.choice(ways or [f"{figure.name} is {figure.size}"])


def _locate_all(scene: Scene, rng: Random) -> str:
    figures = rng.sample(scene.figures, len(scene.figures))
    return " and ".join(f"{figure.name} is at {figure.center[0]:.1f}, {figure.center[1]:.1f}" for figure in figures)


def _compare_all(scene: Scene, rng: Random) -> str:
    pairs = [rng.sample(pair, 2) for pair in combinations(scene.figures, 2)]
    return " and ".join(_compare(*pair) for pair in pairs) or caption(scene)


def _compare(one: Figure, other: Figure) -> str:
    """Tell where a figure is beside another, along the axis on which they are farther apart."""
    across, down = one.center[0] - other.center[0], one.center[1] - other.center[1]
    if abs(across) > abs(down):
        return f"{one.name} is {'left' if across < 0 else 'right'} of {other.name}"
    return f"{one.name} is {'above' if down < 0 else 'below'} {other.name}"


_NOTHING = "nothing happens"


def _happening(scene: Scene, half: int) -> str:
    event = next((event for event in scene.events if event.half == half), None)
    if event is None:
        return _NOTHING
    if event.action == "appears":
        return f"{introduce(scene.figures[event.actor])} appears"
    if scene.collision and scene.collision[0] == event.actor:
        return f"{clause(scene, event)} and hits {scene.figures[scene.collision[1]].name}"
    return clause(scene, event)


def _deeds(scene: Scene, number: int) -> str:
    deeds = [f"{_deed(event)} {HALVES[event.half]}" for event in scene.events_of(number)]
    return " and ".join(deeds) or "stays as it is"


def _deed(event: Event) -> str:
    return f"{event.action} {event.color}" if event.color else event.action


def _first_size(scene: Scene, number: int) -> Size:
    """Tell the size at which a figure can begin, if the opposite of all that happens is to happen to it."""
    size = scene.figures[number].size
    resized = any(event.action in NEW_SIZE for event in scene.events_of(number))
    return next(other for other in SIZES if (other != size) == resized)


def _spare_color(scene: Scene, rng: Random) -> Color:
    """Choose a colour that nothing in a scene ever has."""
    used = {figure.color for figure in scene.figures} | {event.color for event in scene.events}
    return rng.choice([color for color in COLORS if color not in used])
