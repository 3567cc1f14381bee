"""Questions about a scene, with the one right answer among others that the question's text makes as likely."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from random import Random
from typing import Literal, TypeVar, get_args

import numpy as np

from langchain_videochat.evaluation.shapes.descriptions import HALVES, alter, bare_deed, clause, describe
from langchain_videochat.evaluation.shapes.world import (
    CHANGES,
    COLORS,
    MOVES,
    NEW_SIZE,
    SHAPES,
    SIZES,
    Action,
    Event,
    Scene,
    follow,
)

PictureKind = Literal["color", "shape", "size", "count", "existence", "position"]
FramesKind = Literal["actor", "movers", "new color", "cause", "counterfactual"]
OrderKind = Literal["direction", "change", "first", "after", "when", "description"]
Kind = PictureKind | FramesKind | OrderKind

Evidence = Literal["picture", "frames", "order"]
"""What an answer needs: any one frame, several in whatever order, or all in theirs."""

EVIDENCE: dict[Kind, Evidence] = {
    **dict.fromkeys(get_args(PictureKind), "picture"),
    **dict.fromkeys(get_args(FramesKind), "frames"),
    **dict.fromkeys(get_args(OrderKind), "order"),
}
"""What the answer to each kind of question needs: any one frame, several in whatever order, or all in theirs."""

KINDS: tuple[Kind, ...] = tuple(EVIDENCE)
"""All kinds of questions."""

FREQUENCY: dict[Kind, float] = {
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
"""Share of the scenes about which a question of each kind can be asked."""

NUMBERS = ("none", "one", "two", "three")

ALONE = "it moves by itself"

BESIDE = 0.12
"""By which a figure is left of another or above it, in every frame, where this is asked. Part of the picture's side."""

MAX_OPTIONS = 4


@dataclass(frozen=True)
class Question:
    """Something that is asked about a clip, in words or with options to choose from."""

    kind: Kind

    text: str

    answer: str

    options: tuple[str, ...]
    """Two to four, in random order; the answer is one of them."""

    @property
    def evidence(self) -> Evidence:
        """What the answer needs."""
        return EVIDENCE[self.kind]

    @property
    def is_temporal(self) -> bool:
        """Whether the answer needs the order of the frames."""
        return self.evidence == "order"

    @property
    def chance(self) -> float:
        """How often a guess is right, 0 to 1."""
        return 1 / len(self.options)


Word = TypeVar("Word", bound=str)

Asked = tuple[str, str, Sequence[str]]
"""A question, its answer, and what else may be offered."""


def ask(scene: Scene, rng: Random) -> list[Question]:
    """Ask all that can be asked about a scene, one question of each kind.

    No answer follows from the question and its options alone: over many scenes each option is as often right.

    Args:
        scene: What is asked about.
        rng: Chooses among figures, events and options.

    Example:
        >>> from langchain_videochat.evaluation.shapes import draw_scene
        >>> question = ask(draw_scene(0), Random(0))[0]
        >>> question.text, question.answer
        ('What color is the square?', 'white')
    """
    questions = []
    for kind, asker in _ASKERS.items():
        asked = asker(scene, rng)
        if asked is None:
            continue
        text, answer, others = asked
        others = rng.sample(list(others), min(len(others), MAX_OPTIONS - 1))
        options = rng.sample([answer, *others], len(others) + 1)
        questions.append(Question(kind, text, answer, tuple(options)))
    return questions


def _is_seen(scene: Scene, number: int) -> bool:
    """Tell whether a figure is seen in every frame."""
    return not any(event.action in ("appears", "disappears") for event in scene.events_of(number))


def _always(scene: Scene, number: int) -> set[str]:
    """List the words that hold for a figure in every frame."""
    figure = scene.figures[number]
    actions = {event.action for event in scene.events_of(number)}
    words: set[str] = {figure.shape}
    if "turns" not in actions:
        words.add(figure.color)
    if not actions & set(NEW_SIZE):
        words.add(figure.size)
    return words


def _ever(scene: Scene, number: int) -> set[str]:
    """List the words that hold for a figure in some frame."""
    figure = scene.figures[number]
    words: set[str] = {figure.shape, figure.color, figure.size}
    for event in scene.events_of(number):
        words |= {event.color or figure.color, NEW_SIZE.get(event.action, figure.size)}
    return words


def _is_alone(scene: Scene, number: int, words: Sequence[str]) -> bool:
    """Tell whether words name one figure, in every frame, and no other in any."""
    others = (_ever(scene, other) for other in range(len(scene.figures)) if other != number)
    return set(words) <= _always(scene, number) and not any(set(words) <= ever for ever in others)


def _steady(scene: Scene, attribute: Literal["color", "shape", "size"]) -> list[int]:
    """List the figures that are seen in every frame, of the same colour, shape or size in all."""
    figures = enumerate(scene.figures)
    lasting = [number for number, figure in figures if getattr(figure, attribute) in _always(scene, number)]
    return [number for number in lasting if _is_seen(scene, number)]


def _without(words: Sequence[Word], *left_out: Word) -> list[Word]:
    return [word for word in words if word not in left_out]


def _ask_color(scene: Scene, rng: Random) -> Asked | None:
    return _ask_property(scene, rng, "What color is the {}?", "color", COLORS, known="shape")


def _ask_shape(scene: Scene, rng: Random) -> Asked | None:
    return _ask_property(scene, rng, "What shape is the {} object?", "shape", SHAPES, known="color")


def _ask_property(
    scene: Scene,
    rng: Random,
    text: str,
    asked: Literal["color", "shape"],
    values: Sequence[str],
    *,
    known: Literal["color", "shape"],
) -> Asked | None:
    """Ask for a property of a figure that another one, or this and its size, sets apart."""
    steady = _steady(scene, asked)
    if not steady:
        return None
    number = rng.choice(steady)
    figure = scene.figures[number]
    told, answer = getattr(figure, known), getattr(figure, asked)
    for words in ([told], [figure.size, told]):
        if _is_alone(scene, number, words):
            return text.format(" ".join(words)), answer, _without(values, answer)
    return None


def _ask_size(scene: Scene, rng: Random) -> Asked | None:
    steady = _steady(scene, "size")
    if not steady:
        return None
    figure = scene.figures[rng.choice(steady)]
    return f"What size is {figure.name}?", figure.size, _without(SIZES, figure.size)


def _ask_count(scene: Scene, rng: Random) -> Asked | None:
    count = len(scene.figures)
    if not all(_is_seen(scene, number) for number in range(count)):
        return None
    return "How many objects are there?", NUMBERS[count], _without(NUMBERS[1:], NUMBERS[count])


def _ask_existence(scene: Scene, rng: Random) -> Asked | None:
    steady = _steady(scene, "color")
    if not steady:
        return None
    if rng.choice((True, False)):
        return f"Is there a {scene.figures[rng.choice(steady)].kind}?", "yes", ["no"]
    ever = [_ever(scene, number) for number in range(len(scene.figures))]
    absent = [pair for pair in product(COLORS, SHAPES) if not any(words.issuperset(pair) for words in ever)]
    # Every other time, if there is one, a colour and a shape that are there, though not together.
    alike = [pair for pair in absent if set[str]().union(*ever).issuperset(pair)]
    color, shape = rng.choice(rng.choice([alike, absent]) or absent)
    return f"Is there a {color} {shape}?", "no", ["yes"]


def _ask_position(scene: Scene, rng: Random) -> Asked | None:
    seen = [number for number in range(len(scene.figures)) if _is_seen(scene, number)]
    if len(seen) <= 1:
        return None
    one, other = rng.sample(seen, 2)
    centers = follow(scene).centers
    offsets = centers[:, one] - centers[:, other]
    nearest = np.maximum(offsets.min(axis=0), -offsets.max(axis=0))
    axes = [axis for axis in (0, 1) if nearest[axis] >= BESIDE]
    if not axes:
        return None
    axis = rng.choice(axes)
    names = (("left", "right"), ("above", "below"))[axis]
    answer = names[int(offsets[0, axis] > 0)]
    relation = ("left or right of", "above or below")[axis]
    text = f"Is {scene.figures[one].name} {relation} {scene.figures[other].name}?"
    return text, answer, _without(names, answer)


def _ask_actor(scene: Scene, rng: Random) -> Asked | None:
    """Ask which object does something, or nothing, that no other does."""
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


def _ask_movers(scene: Scene, rng: Random) -> Asked | None:
    if len(scene.figures) == 1:
        return None
    answer = NUMBERS[len(scene.movers)]
    return "How many objects move?", answer, _without(NUMBERS[:3], answer)


def _ask_new_color(scene: Scene, rng: Random) -> Asked | None:
    turns = [(scene.figures[event.actor], event.color) for event in scene.events if event.color]
    if not turns:
        return None
    figure, color = rng.choice(turns)
    return f"What color does {figure.name} turn?", color, _without(COLORS, figure.color, color)


def _ask_cause(scene: Scene, rng: Random) -> Asked | None:
    """Ask why the second of two figures moves: it was hit as often by each other figure as by none."""
    if len(scene.movers) <= 1:
        return None
    asked = scene.movers[1]
    hits = {number: f"{figure.name} hits it" for number, figure in enumerate(scene.figures) if number != asked}
    text = f"Why does {scene.figures[asked].name} move?"
    if scene.collision:
        return text, hits.pop(scene.collision[0]), [*hits.values(), ALONE]
    # As many scenes have two figures that move on their own as have a collision.
    return (text, ALONE, list(hits.values())) if rng.randrange(len(hits)) == 0 else None


def _ask_counterfactual(scene: Scene, rng: Random) -> Asked | None:
    """Ask what the second of two figures that move does without the first."""
    if len(scene.movers) <= 1:
        return None
    first, second = (scene.figures[number].name for number in scene.movers)
    outcomes = ["it stays", f"it {scene.events[1].action}"]
    answer = outcomes[scene.collision is None]
    return f"Without {first}, what does {second} do?", answer, _without(outcomes, answer)


def _ask_direction(scene: Scene, rng: Random) -> Asked | None:
    moves = [event for event in scene.events if event.is_move]
    once = [event for event in moves if sum(other.actor == event.actor for other in moves) == 1]
    if not once:
        return None
    event = rng.choice(once)
    directions = [action.split()[1] for action in MOVES]
    answer = event.action.split()[1]
    return f"In which direction does {scene.figures[event.actor].name} move?", answer, _without(directions, answer)


def _ask_change(scene: Scene, rng: Random) -> Asked | None:
    changes = [event for event in scene.events if not event.is_move and len(scene.events_of(event.actor)) == 1]
    if not changes:
        return None
    event = rng.choice(changes)
    deeds = [f"it {_verb(action)}" for action in CHANGES]
    answer = f"it {_verb(event.action)}"
    return f"What happens to {scene.figures[event.actor].name}?", answer, _without(deeds, answer)


def _ask_first(scene: Scene, rng: Random) -> Asked | None:
    if len(scene.events) <= 1:
        return None
    clauses = [clause(scene, event) for event in scene.events]
    which = rng.randrange(2)
    return f"What happens {('first', 'last')[which]}?", clauses[which], [clauses[1 - which]]


def _ask_after(scene: Scene, rng: Random) -> Asked | None:
    """Ask what follows an event: as often the other one, what did not happen at all, and, after the last, nothing."""
    if len(scene.events) <= 1 or scene.collision:
        return None
    last = rng.random() < 1 / 3
    event, other = reversed(scene.events) if last else scene.events
    instead = _alternatives(scene, other, rng)
    if not instead:
        return None
    options = [clause(scene, other), "nothing"]
    answer = options[last]
    others = [*_without(options, answer), clause(scene, rng.choice(instead))]
    return f"What happens after {clause(scene, event)}?", answer, others


def _ask_when(scene: Scene, rng: Random) -> Asked | None:
    if not scene.events:
        return None
    event = rng.choice(scene.events)
    text = f"When does {scene.figures[event.actor].name} {bare_deed(event)}?"
    return text, HALVES[event.half], [HALVES[1 - event.half]]


def _ask_description(scene: Scene, rng: Random) -> Asked | None:
    return "Describe the video.", describe(scene), [describe(alter(scene, rng))]


def _verb(action: Action) -> str:
    """Name an action without a direction or a colour."""
    return "changes its color" if action == "turns" else action.split()[0]


def _alternatives(scene: Scene, event: Event, rng: Random) -> list[Event]:
    """List what might have happened in an event's place: where it is a move, other moves, else other changes."""
    deeds = scene.events_of(event.actor)
    changes = CHANGES if len(deeds) == 1 else tuple(NEW_SIZE)
    actions: Sequence[Action] = MOVES if event.is_move else changes
    color = rng.choice(_without(COLORS, *(figure.color for figure in scene.figures)))
    done = {deed.action for deed in deeds}
    return [
        replace(event, action=action, color=color if action == "turns" else None)
        for action in actions
        if action not in done
    ]


_ASKERS: dict[Kind, Callable[[Scene, Random], Asked | None]] = {
    "color": _ask_color,
    "shape": _ask_shape,
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
