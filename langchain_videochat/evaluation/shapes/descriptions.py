"""Descriptions of scenes.

The bundled model was trained on these texts: changing them requires training it again.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from random import Random

from langchain_videochat.evaluation.shapes.world import (
    COLORS,
    NEW_SIZES,
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
    """Describe a scene in the style of the paper's Table 5: in chronological order, without times.

    Example:
        >>> from langchain_videochat.evaluation.shapes import draw_scene
        >>> describe(draw_scene(0))
        'First, there is a small white square. Then, the white square moves right. Finally, nothing happens.'
    """
    sentences = [f"First, there {'are' if ' and ' in caption(scene) else 'is'} {caption(scene)}."]
    clauses = [_half_clause(scene, half) for half in (0, 1)] if scene.events else ["nothing happens"]
    sentences += [f"{word}, {each}." for word, each in zip(("Then", "Finally"), clauses, strict=False)]
    return " ".join(sentences)


def caption(scene: Scene) -> str:
    """Return a caption of the first frame, with the figures in alphabetical order.

    From left to right, the order of figures above each other would depend on fractions of a pixel: that caused most of
    the model's errors in descriptions of three figures.

    Example:
        >>> from langchain_videochat.evaluation.shapes import draw_scene
        >>> caption(draw_scene(1))
        'a large blue triangle and a small white triangle'
    """
    late = {event.actor for event in scene.events if event.action == "appears"}
    figures = [figure for number, figure in enumerate(scene.figures) if number not in late]
    names = [introduce(figure) for figure in sorted(figures, key=lambda figure: figure.kind)]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) or "nothing"


def describe_still(scene: Scene, rng: Random) -> str:
    """Describe a scene without events by a list, by attributes, by positions, or by spatial relations, at random.

    Example:
        >>> from langchain_videochat.evaluation.shapes import draw_scene
        >>> scene = draw_scene(1, still=True)
        >>> for seed in (2, 1, 5, 0):
        ...     print(describe_still(scene, Random(seed)))
        a small blue triangle and a small white triangle
        the white object is a small triangle and the blue object is a small triangle
        the blue triangle is at 0.5, 0.1 and the white triangle is at 0.1, 0.1
        the blue triangle is right of the white triangle
    """
    return rng.choice((_list_figures, _describe_attributes, _list_positions, _list_relations))(scene, rng)


def describe_by_figure(scene: Scene, rng: Random) -> str:
    """Describe what each figure of a clip does, and in which half, in random order of the figures.

    Example:
        >>> from langchain_videochat.evaluation.shapes import draw_scene
        >>> describe_by_figure(draw_scene(1), Random(0))
        'the blue triangle shrinks in the second half and the white triangle turns red in the first half'
    """
    numbers = rng.sample(range(len(scene.figures)), len(scene.figures))
    return " and ".join(f"{scene.figures[number].name} {_actions(scene, number)}" for number in numbers)


def introduce(figure: Figure) -> str:
    """Return a noun phrase with all attributes of a figure.

    Example:
        >>> introduce(Figure("circle", "red", "small", center=(0.5, 0.5), radius=0.07))
        'a small red circle'
    """
    return f"a {figure.size} {figure.kind}"


def event_clause(scene: Scene, event: Event) -> str:
    """Return a main clause about an event, for example "the red circle turns blue"."""
    return f"{scene.figures[event.actor].name} {_action(event)}"


def event_infinitive(event: Event) -> str:
    """Return the infinitive for an event, for example "turn blue"."""
    verb, *rest = _action(event).split()
    return " ".join([verb.removesuffix("s"), *rest])


def create_distractor(scene: Scene, rng: Random) -> Scene:
    """Return a different, equally likely scene, whose description is a wrong option.

    If two figures act independently, their order is swapped; otherwise each event is replaced by its opposite, or one
    color is changed if there are no events.
    """
    first, *others = scene.figures
    if not scene.events:
        return replace(scene, figures=(replace(first, color=_spare_color(scene, rng)), *others))
    if len({event.actor for event in scene.events}) > 1 and not scene.collision:
        one, other = scene.events
        return replace(scene, events=(replace(other, start=one.start), replace(one, start=other.start)))
    figures = [replace(figure, size=_initial_size(scene, number)) for number, figure in enumerate(scene.figures)]
    color = _spare_color(scene, rng)
    events = [
        replace(event, action=_OPPOSITES.get(event.action, event.action), color=event.color and color)
        for event in scene.events
    ]
    return Scene(tuple(figures), tuple(events))


def _list_figures(scene: Scene, rng: Random) -> str:
    return caption(scene)


def _describe_attributes(scene: Scene, rng: Random) -> str:
    figures = rng.sample(scene.figures, len(scene.figures))
    return " and ".join(_describe_attribute(figure, scene.figures, rng) for figure in figures)


def _describe_attribute(figure: Figure, figures: Sequence[Figure], rng: Random) -> str:
    """Describe the other attributes of a figure, which one or two attributes identify."""
    phrases = []
    if [other.shape for other in figures].count(figure.shape) == 1:
        phrases.append(f"the {figure.shape} is {figure.size} and {figure.color}")
    if [other.color for other in figures].count(figure.color) == 1:
        phrases.append(f"the {figure.color} object is a {figure.size} {figure.shape}")
    return rng.choice(phrases or [f"{figure.name} is {figure.size}"])


def _list_positions(scene: Scene, rng: Random) -> str:
    figures = rng.sample(scene.figures, len(scene.figures))
    return " and ".join(f"{figure.name} is at {figure.center[0]:.1f}, {figure.center[1]:.1f}" for figure in figures)


def _list_relations(scene: Scene, rng: Random) -> str:
    pairs = [rng.sample(pair, 2) for pair in combinations(scene.figures, 2)]
    return " and ".join(_relation(*pair) for pair in pairs) or caption(scene)


def _relation(one: Figure, other: Figure) -> str:
    """Describe the position of a figure relative to another, along the axis of the larger distance."""
    across, down = one.center[0] - other.center[0], one.center[1] - other.center[1]
    if abs(across) > abs(down):
        return f"{one.name} is {'left' if across < 0 else 'right'} of {other.name}"
    return f"{one.name} is {'above' if down < 0 else 'below'} {other.name}"


def _half_clause(scene: Scene, half: int) -> str:
    event = next((event for event in scene.events if event.half == half), None)
    if event is None:
        return "nothing happens"
    if event.action == "appears":
        return f"{introduce(scene.figures[event.actor])} appears"
    if scene.collision and scene.collision[0] == event.actor:
        return f"{event_clause(scene, event)} and hits {scene.figures[scene.collision[1]].name}"
    return event_clause(scene, event)


def _actions(scene: Scene, number: int) -> str:
    actions = [f"{_action(event)} {HALVES[event.half]}" for event in scene.events_of(number)]
    return " and ".join(actions) or "stays as it is"


def _action(event: Event) -> str:
    return f"{event.action} {event.color}" if event.color else event.action


def _initial_size(scene: Scene, number: int) -> Size:
    """Return the initial size that a figure needs if all of its events are replaced by their opposites."""
    size = scene.figures[number].size
    resized = any(event.action in NEW_SIZES for event in scene.events_of(number))
    return next(other for other in SIZES if (other != size) == resized)


def _spare_color(scene: Scene, rng: Random) -> Color:
    """Return a color that no figure of a scene ever has."""
    used = {figure.color for figure in scene.figures} | {event.color for event in scene.events}
    return rng.choice([color for color in COLORS if color not in used])
