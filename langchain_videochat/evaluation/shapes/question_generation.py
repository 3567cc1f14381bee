"""Multiple-choice questions about a scene, which cannot be answered from their text.

The bundled model was trained on these texts: changing them requires training it again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from random import Random
from typing import Literal, TypeVar, get_args

import numpy as np

from langchain_videochat.evaluation.shapes.descriptions import (
    HALVES,
    create_distractor,
    describe,
    event_clause,
    event_infinitive,
)
from langchain_videochat.evaluation.shapes.world import (
    CHANGES,
    COLORS,
    MOVES,
    NEW_SIZES,
    SHAPES,
    SIZES,
    Action,
    Event,
    Scene,
    compute_trajectories,
)

PictureKind = Literal["color", "shape", "size", "count", "existence", "position"]
FramesKind = Literal["actor", "movers", "new color", "cause", "counterfactual"]
OrderKind = Literal["direction", "change", "first", "after", "when", "description"]
QuestionKind = PictureKind | FramesKind | OrderKind

Evidence = Literal["picture", "frames", "order"]
"""What the answer to a question depends on: any single frame, several frames, or the order of frames."""

EVIDENCE: dict[QuestionKind, Evidence] = {
    **dict.fromkeys(get_args(PictureKind), "picture"),
    **dict.fromkeys(get_args(FramesKind), "frames"),
    **dict.fromkeys(get_args(OrderKind), "order"),
}
"""What each kind of question requires: one frame, several frames in any order, or the order of all frames."""

KINDS: tuple[QuestionKind, ...] = tuple(EVIDENCE)
"""All kinds of questions."""

FREQUENCY: dict[QuestionKind, float] = {
    "color": 0.85,
    "shape": 0.87,
    "size": 0.85,
    "count": 0.87,
    "existence": 0.96,
    "position": 0.59,
    "actor": 0.47,
    "movers": 0.67,
    "new color": 0.06,
    "cause": 0.20,
    "counterfactual": 0.23,
    "direction": 0.52,
    "change": 0.26,
    "first": 0.58,
    "after": 0.42,
    "when": 0.87,
    "description": 1.0,
}
"""Fraction of scenes that allow a question of each kind."""

NUMBERS = ("none", "one", "two", "three")

ALONE = "it moves by itself"

MIN_OFFSET = 0.12
"""Minimum offset of figures in every frame, for questions about their relative position."""

MAX_OPTIONS = 4


@dataclass(frozen=True)
class ShapesQuestion:
    """A question about a clip."""

    kind: QuestionKind
    """Kind of question."""

    text: str
    """The question."""

    answer: str
    """The correct answer."""

    options: tuple[str, ...]
    """Two to four options in random order, including the answer."""

    @property
    def evidence(self) -> Evidence:
        """What the answer depends on."""
        return EVIDENCE[self.kind]

    @property
    def chance(self) -> float:
        """Accuracy of random guessing, 0 to 1."""
        return 1 / len(self.options)


Word = TypeVar("Word", bound=str)

Draft = tuple[str, str, Sequence[str]]
"""Text of a question, its answer, and wrong options."""


def generate_questions(scene: Scene, rng: Random) -> list[ShapesQuestion]:
    """Return a question of each kind that a scene allows, about random figures and events, with random options.

    Over many scenes, each option is correct equally often: accuracy above chance requires the video.

    Example:
        >>> from langchain_videochat.evaluation.shapes import draw_scene
        >>> question = generate_questions(draw_scene(0), Random(0))[0]
        >>> question.text, question.answer
        ('What color is the square?', 'white')
    """
    questions = []
    for kind, generate in _GENERATORS.items():
        draft = generate(scene, rng)
        if draft is None:
            continue
        text, answer, others = draft
        others = rng.sample(list(others), min(len(others), MAX_OPTIONS - 1))
        options = rng.sample([answer, *others], len(others) + 1)
        questions.append(ShapesQuestion(kind, text, answer, tuple(options)))
    return questions


def _is_always_visible(scene: Scene, number: int) -> bool:
    return not any(event.action in ("appears", "disappears") for event in scene.events_of(number))


def _constant_attributes(scene: Scene, number: int) -> set[str]:
    """Return the attributes that a figure has in every frame."""
    figure = scene.figures[number]
    words: set[str] = {figure.shape, figure.color, figure.size}
    for event in scene.events_of(number):
        if event.color:
            words.discard(figure.color)
        if event.action in NEW_SIZES:
            words.discard(figure.size)
    return words


def _all_attributes(scene: Scene, number: int) -> set[str]:
    """Return the attributes that a figure has in any frame."""
    figure = scene.figures[number]
    words: set[str] = {figure.shape, figure.color, figure.size}
    for event in scene.events_of(number):
        words |= {event.color or figure.color, NEW_SIZES.get(event.action, figure.size)}
    return words


def _is_unique(scene: Scene, number: int, words: Sequence[str]) -> bool:
    """Return whether attributes identify a figure in every frame."""
    others = (_all_attributes(scene, other) for other in range(len(scene.figures)) if other != number)
    return set(words) <= _constant_attributes(scene, number) and not any(set(words) <= ever for ever in others)


def _constant_figures(scene: Scene, attribute: Literal["color", "shape", "size"]) -> list[int]:
    """Return the figures that are visible in every frame and keep an attribute."""
    return [
        number
        for number, figure in enumerate(scene.figures)
        if _is_always_visible(scene, number) and getattr(figure, attribute) in _constant_attributes(scene, number)
    ]


def _without(words: Sequence[Word], *left_out: Word) -> list[Word]:
    return [word for word in words if word not in left_out]


def _ask_attribute(
    scene: Scene, rng: Random, *, text: str, asked: Literal["color", "shape"], known: Literal["color", "shape"]
) -> Draft | None:
    """Ask for an attribute of a figure that is identified by another attribute, with its size if necessary."""
    candidates = _constant_figures(scene, asked)
    if not candidates:
        return None
    number = rng.choice(candidates)
    figure = scene.figures[number]
    known_value, answer = getattr(figure, known), getattr(figure, asked)
    values: Sequence[str] = COLORS if asked == "color" else SHAPES
    for words in ([known_value], [figure.size, known_value]):
        if _is_unique(scene, number, words):
            return text.format(" ".join(words)), answer, _without(values, answer)
    return None


def _ask_size(scene: Scene, rng: Random) -> Draft | None:
    candidates = _constant_figures(scene, "size")
    if not candidates:
        return None
    figure = scene.figures[rng.choice(candidates)]
    return f"What size is {figure.name}?", figure.size, _without(SIZES, figure.size)


def _ask_count(scene: Scene, rng: Random) -> Draft | None:
    count = len(scene.figures)
    if not all(_is_always_visible(scene, number) for number in range(count)):
        return None
    return "How many objects are there?", NUMBERS[count], _without(NUMBERS[1:], NUMBERS[count])


def _ask_existence(scene: Scene, rng: Random) -> Draft | None:
    candidates = _constant_figures(scene, "color")
    if not candidates:
        return None
    if rng.choice((True, False)):
        return f"Is there a {scene.figures[rng.choice(candidates)].kind}?", "yes", ["no"]
    ever = [_all_attributes(scene, number) for number in range(len(scene.figures))]
    absent = [pair for pair in product(COLORS, SHAPES) if not any(words.issuperset(pair) for words in ever)]
    # In half of the cases, if possible, a color and a shape that exist, but not in one figure.
    recombined = [pair for pair in absent if set[str]().union(*ever).issuperset(pair)]
    color, shape = rng.choice(rng.choice([recombined, absent]) or absent)
    return f"Is there a {color} {shape}?", "no", ["yes"]


def _ask_position(scene: Scene, rng: Random) -> Draft | None:
    seen = [number for number in range(len(scene.figures)) if _is_always_visible(scene, number)]
    if len(seen) <= 1:
        return None
    one, other = rng.sample(seen, 2)
    centers = compute_trajectories(scene).centers
    offsets = centers[:, one] - centers[:, other]
    nearest = np.maximum(offsets.min(axis=0), -offsets.max(axis=0))
    axes = [axis for axis in (0, 1) if nearest[axis] >= MIN_OFFSET]
    if not axes:
        return None
    axis = rng.choice(axes)
    names = (("left", "right"), ("above", "below"))[axis]
    answer = names[int(offsets[0, axis] > 0)]
    relation = ("left or right of", "above or below")[axis]
    text = f"Is {scene.figures[one].name} {relation} {scene.figures[other].name}?"
    return text, answer, _without(names, answer)


def _ask_actor(scene: Scene, rng: Random) -> Draft | None:
    """Ask which object is the only one with a kind of action, or without any."""
    acting = {event.actor for event in scene.events}
    doers = {"stays as it is": set(range(len(scene.figures))) - acting}
    for event in scene.events:
        doers.setdefault(_verb(event.action), set()).add(event.actor)
    alone = [verb for verb, actors in doers.items() if len(actors) == 1]
    if len(scene.figures) == 1 or not alone:
        return None
    verb = rng.choice(alone)
    (actor,) = doers[verb]
    names = [figure.name for figure in scene.figures]
    return f"Which object {verb}?", names[actor], _without(names, names[actor])


def _ask_movers(scene: Scene, rng: Random) -> Draft | None:
    if len(scene.figures) == 1:
        return None
    answer = NUMBERS[len(scene.movers)]
    return "How many objects move?", answer, _without(NUMBERS[:3], answer)


def _ask_new_color(scene: Scene, rng: Random) -> Draft | None:
    turns = [(scene.figures[event.actor], event.color) for event in scene.events if event.color]
    if not turns:
        return None
    figure, color = rng.choice(turns)
    return f"What color does {figure.name} turn?", color, _without(COLORS, figure.color, color)


def _ask_cause(scene: Scene, rng: Random) -> Draft | None:
    """Ask why the second of two figures moves: all options are equally likely."""
    if len(scene.movers) <= 1:
        return None
    asked = scene.movers[1]
    hits = {number: f"{figure.name} hits it" for number, figure in enumerate(scene.figures) if number != asked}
    text = f"Why does {scene.figures[asked].name} move?"
    if scene.collision:
        return text, hits.pop(scene.collision[0]), [*hits.values(), ALONE]
    # Two independent movements are as frequent as collisions.
    return (text, ALONE, list(hits.values())) if rng.randrange(len(hits)) == 0 else None


def _ask_counterfactual(scene: Scene, rng: Random) -> Draft | None:
    """Ask what the second of two moving figures would do without the first."""
    if len(scene.movers) <= 1:
        return None
    first, second = (scene.figures[number].name for number in scene.movers)
    outcomes = ["it stays", f"it {scene.events[1].action}"]
    answer = outcomes[scene.collision is None]
    return f"Without {first}, what does {second} do?", answer, _without(outcomes, answer)


def _ask_direction(scene: Scene, rng: Random) -> Draft | None:
    moves = [event for event in scene.events if event.is_move]
    once = [event for event in moves if sum(other.actor == event.actor for other in moves) == 1]
    if not once:
        return None
    event = rng.choice(once)
    directions = [action.split()[1] for action in MOVES]
    answer = event.action.split()[1]
    return f"In which direction does {scene.figures[event.actor].name} move?", answer, _without(directions, answer)


def _ask_change(scene: Scene, rng: Random) -> Draft | None:
    changes = [event for event in scene.events if not event.is_move and len(scene.events_of(event.actor)) == 1]
    if not changes:
        return None
    event = rng.choice(changes)
    outcomes = [f"it {_verb(action)}" for action in CHANGES]
    answer = f"it {_verb(event.action)}"
    return f"What happens to {scene.figures[event.actor].name}?", answer, _without(outcomes, answer)


def _ask_first(scene: Scene, rng: Random) -> Draft | None:
    if len(scene.events) <= 1:
        return None
    clauses = [event_clause(scene, event) for event in scene.events]
    which = rng.randrange(2)
    return f"What happens {('first', 'last')[which]}?", clauses[which], [clauses[1 - which]]


def _ask_after(scene: Scene, rng: Random) -> Draft | None:
    """Ask what follows an event: the other event, or nothing after the last one."""
    if len(scene.events) <= 1 or scene.collision:
        return None
    last = rng.random() < 1 / 3
    event, other = reversed(scene.events) if last else scene.events
    alternatives = _alternative_events(scene, other, rng)
    if not alternatives:
        return None
    options = [event_clause(scene, other), "nothing"]
    answer = options[last]
    others = [*_without(options, answer), event_clause(scene, rng.choice(alternatives))]
    return f"What happens after {event_clause(scene, event)}?", answer, others


def _ask_when(scene: Scene, rng: Random) -> Draft | None:
    if not scene.events:
        return None
    event = rng.choice(scene.events)
    text = f"When does {scene.figures[event.actor].name} {event_infinitive(event)}?"
    return text, HALVES[event.half], [HALVES[1 - event.half]]


def _ask_description(scene: Scene, rng: Random) -> Draft | None:
    return "Describe the video.", describe(scene), [describe(create_distractor(scene, rng))]


def _verb(action: Action) -> str:
    """Return an action without its direction or color."""
    return "changes its color" if action == "turns" else action.split()[0]


def _alternative_events(scene: Scene, event: Event, rng: Random) -> list[Event]:
    """Return alternatives to an event: other movements for a movement, else other changes."""
    events = scene.events_of(event.actor)
    changes = CHANGES if len(events) == 1 else tuple(NEW_SIZES)
    actions: Sequence[Action] = MOVES if event.is_move else changes
    color = rng.choice(_without(COLORS, *(figure.color for figure in scene.figures)))
    done = {other.action for other in events}
    return [
        replace(event, action=action, color=color if action == "turns" else None)
        for action in actions
        if action not in done
    ]


_GENERATORS: dict[QuestionKind, Callable[[Scene, Random], Draft | None]] = {
    "color": partial(_ask_attribute, text="What color is the {}?", asked="color", known="shape"),
    "shape": partial(_ask_attribute, text="What shape is the {} object?", asked="shape", known="color"),
    "size": _ask_size,
    "count": _ask_count,
    "existence": _ask_existence,
    "position": _ask_position,
    "actor": _ask_actor,
    "movers": _ask_movers,
    "new color": _ask_new_color,
    "cause": _ask_cause,
    "counterfactual": _ask_counterfactual,
    "direction": _ask_direction,
    "change": _ask_change,
    "first": _ask_first,
    "after": _ask_after,
    "when": _ask_when,
    "description": _ask_description,
}
