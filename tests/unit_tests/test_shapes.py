"""Shapes in Motion: scenes, descriptions, questions whose answers cannot be guessed, and files."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from langchain_videochat.embed import Image, Video, read_video
from langchain_videochat.evaluation import ShapesSamples, read_items, write_benchmark, write_training_files
from langchain_videochat.evaluation.mvbench import parse_option
from langchain_videochat.evaluation.shapes import (
    KINDS,
    Event,
    Figure,
    Scene,
    ShapesQuestion,
    Trajectories,
    caption,
    describe,
    describe_by_figure,
    describe_still,
    draw_scene,
    generate_questions,
    render,
)
from langchain_videochat.evaluation.shapes.dataset_files import write_scene
from langchain_videochat.evaluation.shapes.descriptions import event_clause
from langchain_videochat.evaluation.shapes.question_generation import FREQUENCY
from langchain_videochat.evaluation.shapes.rendering import IMAGE_SIZE, PALETTE
from langchain_videochat.evaluation.shapes.scene_samples import (
    SPLITS,
    SceneSplit,
    find_scene,
    split_of,
    with_options,
    write_caption,
)
from langchain_videochat.evaluation.shapes.world import (
    CHANGES,
    COLORS,
    FRAMES,
    FRAMES_PER_HALF,
    GAP,
    MARGIN,
    MOVE_DISTANCE,
    MOVES,
    SIZES,
    Color,
    compute_trajectories,
)
from langchain_videochat.training import CaptionFile, ConversationFile
from langchain_videochat.training.samples import Media

seeds = st.integers(0, 2**40)

SMALL_TO_LARGE = 0.1
"""A radius between small and large ones."""

TIMES = [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]

NUMBERS = ("none", "one", "two", "three")


def colors_at_centers(clip: NDArray[np.uint8], trajectories: Trajectories) -> list[list[Color]]:
    """Return the colors of a clip at the centres of figures, [frames, figures]."""
    centers = np.floor(trajectories.centers * IMAGE_SIZE).astype(int)
    palette = np.array([PALETTE[color] for color in COLORS]) * 255
    pixels = np.stack([frame[center[:, 1], center[:, 0]] for frame, center in zip(clip, centers, strict=True)])
    nearest = np.linalg.norm(pixels[..., None, :] - palette, axis=-1).argmin(axis=-1)
    return [[COLORS[number] for number in numbers] for numbers in nearest]


def distances(trajectories: Trajectories, one: int, other: int) -> NDArray[np.float64]:
    """Return the distance of the bounding boxes of two figures in each frame."""
    between = np.abs(trajectories.centers[:, one] - trajectories.centers[:, other]).max(axis=-1)
    return np.asarray(between - trajectories.radii[:, one] - trajectories.radii[:, other])


def verb(action: str) -> str:
    """Return an action without its direction or color."""
    return "changes its color" if action.startswith("turns") else action.split(maxsplit=1)[0]


@dataclass(frozen=True)
class VisibleEvent:
    """A visible movement or change of a figure in one half of a clip."""

    half: int
    figure: int
    action: str


class Observer:
    """Answers questions from trajectories and pixels, independently of the events of a scene."""

    def __init__(self, scene: Scene) -> None:
        self.figures = scene.figures
        self.names = [figure.name for figure in scene.figures]
        self.trajectories = compute_trajectories(scene)
        self.colors = colors_at_centers(render(scene, seed=0), self.trajectories)

    @cached_property
    def events(self) -> list[VisibleEvent]:
        """Changes from the first to the last frame of each half."""
        halves = enumerate([(0, FRAMES_PER_HALF - 1), (FRAMES_PER_HALF, FRAMES - 1)])
        return [
            VisibleEvent(half, number, action)
            for half, (first, last) in halves
            for number in range(len(self.figures))
            for action in self._actions(number, first, last)
        ]

    def _actions(self, number: int, first: int, last: int) -> list[str]:
        trajectories = self.trajectories
        right, down = trajectories.centers[last, number] - trajectories.centers[first, number]
        amounts = {
            "moves right": right,
            "moves left": -right,
            "moves down": down,
            "moves up": -down,
            "grows": trajectories.radii[last, number] - trajectories.radii[first, number],
            "shrinks": trajectories.radii[first, number] - trajectories.radii[last, number],
            "appears": trajectories.presence[last, number] - trajectories.presence[first, number],
            "disappears": trajectories.presence[first, number] - trajectories.presence[last, number],
            f"turns {self.colors[last][number]}": trajectories.repaint[last, number]
            - trajectories.repaint[first, number],
        }
        return [action for action, amount in amounts.items() if amount > 0]

    @property
    def clauses(self) -> list[str]:
        return [f"{self.names[one.figure]} {one.action}" for one in self.events]

    def named(self, question: ShapesQuestion) -> list[int]:
        """Return the figures that a question names, in order."""
        positions = {number: question.text.find(name) for number, name in enumerate(self.names)}
        return sorted((number for number, at in positions.items() if at >= 0), key=lambda number: positions[number])

    def actions(self, question: ShapesQuestion) -> list[str]:
        """Return the actions of the figure that a question names last."""
        return [one.action for one in self.events if one.figure == self.named(question)[-1]]

    def described(self, question: ShapesQuestion) -> int:
        """Return the figure that the attributes in a question identify."""
        words = set(question.text.rstrip("?").split())
        (number,) = [
            number
            for number, figure in enumerate(self.figures)
            if words & {figure.shape, figure.color} and words & set(SIZES) <= {figure.size}
        ]
        return number

    def hitters(self, number: int) -> list[str]:
        """Return the figures that touch another one in the middle of the clip."""
        others = [other for other in range(len(self.names)) if other != number]
        return [
            self.names[other]
            for other in others
            if distances(self.trajectories, other, number)[FRAMES_PER_HALF - 1] < GAP / 2
        ]

    def answer(self, question: ShapesQuestion) -> str:
        """Answer a question."""
        answers: dict[str, Callable[[ShapesQuestion], str]] = {
            "color": lambda question: self.colors[-1][self.described(question)],
            "shape": lambda question: self.figures[self.described(question)].shape,
            "size": self.size,
            "count": lambda _: NUMBERS[int(self.trajectories.presence.all(axis=0).sum())],
            "existence": self.existence,
            "position": self.position,
            "actor": self.actor,
            "movers": lambda _: NUMBERS[len({one.figure for one in self.events if one.action in MOVES})],
            "new color": lambda question: next(
                action for action in self.actions(question) if "turns" in action
            ).split()[1],
            "cause": self.cause,
            "counterfactual": self.counterfactual,
            "direction": lambda question: next(action for action in self.actions(question) if action in MOVES).split()[
                1
            ],
            "change": lambda question: f"it {verb(self.actions(question)[0])}",
            "first": lambda question: self.clauses["last" in question.text],
            "after": self.after,
            "when": self.when,
            "description": self.description,
        }
        return answers[question.kind](question)

    def size(self, question: ShapesQuestion) -> str:
        radii = self.trajectories.radii[:, self.named(question)[0]]
        assert radii.min() > SMALL_TO_LARGE or radii.max() < SMALL_TO_LARGE
        return "large" if radii[0] > SMALL_TO_LARGE else "small"

    def existence(self, question: ShapesQuestion) -> str:
        is_clear = (self.trajectories.presence == 1) & (self.trajectories.repaint % 1 == 0)
        pairs = {
            f"{self.colors[frame][number]} {self.figures[number].shape}" for frame, number in np.argwhere(is_clear)
        }
        return "yes" if any(pair in question.text for pair in pairs) else "no"

    def position(self, question: ShapesQuestion) -> str:
        one, other = self.named(question)
        right, down = (self.trajectories.centers[:, one] - self.trajectories.centers[:, other]).T
        offsets = {"left": -right, "right": right, "above": -down, "below": down}
        (relation,) = [name for name in question.options if (offsets[name] > 0).all()]
        return relation

    def actor(self, question: ShapesQuestion) -> str:
        doers = defaultdict(set)
        for number, name in enumerate(self.names):
            for action in [one.action for one in self.events if one.figure == number] or ["stays as it is"]:
                doers[action if "stays" in action else verb(action)].add(name)
        (actor,) = doers[question.text.removeprefix("Which object ").rstrip("?")]
        return actor

    def cause(self, question: ShapesQuestion) -> str:
        hitters = self.hitters(self.named(question)[0])
        return f"{hitters[0]} hits it" if hitters else "it moves by itself"

    def counterfactual(self, question: ShapesQuestion) -> str:
        removed, remaining = self.named(question)
        return "it stays" if self.names[removed] in self.hitters(remaining) else f"it {self.actions(question)[0]}"

    def after(self, question: ShapesQuestion) -> str:
        (index,) = [number for number, clause in enumerate(self.clauses) if clause in question.text]
        return [*self.clauses, "nothing"][index + 1]

    def when(self, question: ShapesQuestion) -> str:
        infinitive, *rest = question.text.rstrip("?").split(self.names[self.named(question)[0]])[1].split()
        (half,) = {
            one.half
            for one in self.events
            if one.figure == self.named(question)[0] and one.action == " ".join([f"{infinitive}s", *rest])
        }
        return ("in the first half", "in the second half")[half]

    def description(self, question: ShapesQuestion) -> str:
        (description,) = [option for option in question.options if self.matches(option)]
        return description

    def matches(self, description: str) -> bool:
        """Return whether a description names the initial figures and the event in each half."""
        opening, *sentences = description.split(". ")
        visible = [
            self.introduction(number) for number in range(len(self.names)) if self.trajectories.presence[0, number]
        ]
        is_complete = all(one in opening for one in visible) and opening.count(" a ") == len(visible)
        by_half = [next((one for one in self.events if one.half == half), None) for half in range(len(sentences))]
        return is_complete and all(self.clause(one) in text for one, text in zip(by_half, sentences, strict=True))

    def clause(self, one: VisibleEvent | None) -> str:
        if one is None:
            return "nothing happens"
        return f"{self.introduction(one.figure) if one.action == 'appears' else self.names[one.figure]} {one.action}"

    def introduction(self, number: int) -> str:
        size = "large" if self.trajectories.radii[0, number] > SMALL_TO_LARGE else "small"
        return f"a {size} {self.names[number].removeprefix('the ')}"


@given(seeds)
def test_figures_stay_in_the_image_and_touch_only_in_collisions(seed: int) -> None:
    scene = draw_scene(seed)
    trajectories = compute_trajectories(scene)
    reach = trajectories.radii[..., None] + MARGIN - 1e-9

    assert (trajectories.centers >= reach).all()
    assert (trajectories.centers <= 1 - reach).all()
    for pair in combinations(range(len(scene.figures)), 2):
        nearest = distances(trajectories, *pair).min()
        assert -0.08 < nearest < 0.01 if set(pair) == set(scene.collision or ()) else nearest >= GAP


@given(seeds)
def test_events_are_visible_and_consecutive(seed: int) -> None:
    scene = draw_scene(seed)
    trajectories = compute_trajectories(scene)

    assert len(scene.events) <= 2
    assert [event.half for event in scene.events] in ([], [0], [1], [0, 1])
    assert len(Observer(scene).events) == len(scene.events)
    for event in scene.events:
        first, last = FRAMES_PER_HALF * event.half, FRAMES_PER_HALF * event.half + FRAMES_PER_HALF - 1
        assert not event.is_move or (
            np.abs(trajectories.centers[last] - trajectories.centers[first])[event.actor].max()
            >= MOVE_DISTANCE[0] - 1e-9
        )
        sizes = trajectories.radii[[first, last], event.actor]
        assert sizes.max() >= 1.5 * sizes.min() or event.action not in ("grows", "shrinks")


@given(seeds)
def test_a_hit_figure_moves_when_the_other_has_stopped(seed: int) -> None:
    scene = next(scene for scene in map(draw_scene, range(seed, seed + 200)) if scene.collision)
    assert scene.collision
    hitter, hit = scene.collision
    centers = compute_trajectories(scene).centers
    steps = np.diff(centers, axis=0)

    assert not steps[: FRAMES_PER_HALF - 1, hit].any()
    assert not steps[FRAMES_PER_HALF - 1 :, hitter].any()
    directions = [centers[-1, number] - centers[0, number] for number in (hitter, hit)]
    assert np.array_equal(*np.sign(directions))


@given(seeds, st.integers(0, 2**32))
def test_figures_have_their_colors(seed: int, rendering: int) -> None:
    scene = draw_scene(seed)
    clip, trajectories = render(scene, rendering), compute_trajectories(scene)
    colors = np.array(colors_at_centers(clip, trajectories))
    new_colors = [
        next((str(event.color) for event in scene.events_of(number) if event.color), "") for number in range(3)
    ]

    assert clip.shape == (FRAMES, IMAGE_SIZE, IMAGE_SIZE, 3)
    assert clip.dtype == np.uint8
    for number, figure in enumerate(scene.figures):
        is_visible = trajectories.presence[:, number] == 1
        assert set(colors[is_visible & (trajectories.repaint[:, number] == 0), number]) <= {figure.color}
        assert set(colors[is_visible & (trajectories.repaint[:, number] == 1), number]) <= {new_colors[number]}


@given(seeds)
def test_invisible_figures_leave_no_trace(seed: int) -> None:
    scene = draw_scene(seed, still=True)
    hidden = tuple(Event(number, "appears", start=7, end=7.5) for number in range(len(scene.figures)))

    clip = render(Scene(scene.figures, hidden), seed).astype(int)

    assert np.ptp(clip, axis=(1, 2)).max() < 50


@given(seeds, st.integers(0, 2**32))
def test_answers_match_the_frames(seed: int, rng_seed: int) -> None:
    scene = draw_scene(seed)
    observer = Observer(scene)

    for question in generate_questions(scene, Random(rng_seed)):
        assert observer.answer(question) == question.answer, question


@given(seeds, st.integers(0, 2**32))
def test_options_contain_the_answer_once(seed: int, rng_seed: int) -> None:
    for question in generate_questions(draw_scene(seed), Random(rng_seed)):
        assert question.options.count(question.answer) == 1
        assert 2 <= len(question.options) == len(set(question.options)) <= 4
        assert question.chance == 1 / len(question.options)


@given(seeds, st.integers(0, 2**32))
def test_answers_with_options_are_scored_correctly(seed: int, rng_seed: int) -> None:
    for question in generate_questions(draw_scene(seed), Random(rng_seed)):
        text, answer = with_options(question)

        assert question.text in text
        assert parse_option(answer, question.options) == question.options.index(question.answer)


@given(seeds)
def test_answers_of_single_frames_are_independent_of_the_frame(seed: int) -> None:
    scene = draw_scene(seed)
    questions = [question for question in generate_questions(scene, Random(seed)) if question.evidence == "picture"]
    observer = Observer(scene)
    trajectories = observer.trajectories
    order = np.random.default_rng(seed).permutation(FRAMES)
    observer.trajectories = Trajectories(
        trajectories.centers[order],
        trajectories.radii[order],
        trajectories.presence[order],
        trajectories.repaint[order],
    )
    observer.colors = [observer.colors[number] for number in order]

    assert [observer.answer(question) for question in questions] == [question.answer for question in questions]


@pytest.fixture(scope="module")
def questions() -> list[list[ShapesQuestion]]:
    """Questions about many scenes, one list for each scene."""
    return [generate_questions(draw_scene(seed), Random(seed)) for seed in range(6000)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("clue", [lambda one: one.text, lambda one: frozenset(one.options)], ids=["text", "options"])
def test_answers_cannot_be_guessed(
    questions: list[list[ShapesQuestion]], kind: str, clue: Callable[[ShapesQuestion], Hashable]
) -> None:
    known, unknown = (
        [one for scene in half for one in scene if one.kind == kind] for half in (questions[::2], questions[1::2])
    )
    frequent: dict[Hashable, Counter[str]] = defaultdict(Counter)
    for question in known:
        frequent[clue(question)][question.answer] += 1

    def guess(question: ShapesQuestion) -> str:
        return max(question.options, key=lambda option: frequent[clue(question)][option])

    right = np.mean([guess(question) == question.answer for question in unknown])

    assert abs(right - np.mean([question.chance for question in unknown])) < 0.08


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_evenly_distributed_among_options(questions: list[list[ShapesQuestion]], kind: str) -> None:
    expected, found = np.zeros(4), np.zeros(4)
    for question in (one for scene in questions for one in scene if one.kind == kind):
        expected[: len(question.options)] += question.chance
        found[question.options.index(question.answer)] += 1

    assert np.abs(found - expected).max() < 0.06 * found.sum()


def test_all_events_and_figures_occur() -> None:
    scenes = [draw_scene(seed) for seed in range(500)]

    assert {event.action for scene in scenes for event in scene.events} == {*MOVES, *CHANGES}
    assert {len(scene.events) for scene in scenes} == {0, 1, 2}
    assert {len(scene.figures) for scene in scenes} == {1, 2, 3}
    assert {figure.kind for scene in scenes for figure in scene.figures} == {
        f"{color} {shape}" for color in COLORS for shape in ("circle", "square", "triangle", "star")
    }


def test_descriptions_are_chronological() -> None:
    circle = Figure("circle", "red", "small", center=(0.2, 0.5), radius=0.08)
    square = Figure("square", "blue", "large", center=(0.6, 0.5), radius=0.14)
    hit = Event(0, "moves right", start=0, end=3, extent=0.2)
    moves = Event(1, "moves right", start=4, end=7, extent=0.2, cause=0)

    assert caption(Scene((square, circle))) == "a large blue square and a small red circle"
    assert describe(Scene((circle, square), (hit, moves))) == (
        "First, there are a large blue square and a small red circle. "
        "Then, the red circle moves right and hits the blue square. Finally, the blue square moves right."
    )
    assert describe(Scene((circle,))) == "First, there is a small red circle. Then, nothing happens."
    assert describe(Scene((circle,), (Event(0, "appears", start=5, end=5.5),))) == (
        "First, there is nothing. Then, nothing happens. Finally, a small red circle appears."
    )


@given(st.sampled_from(SPLITS), st.integers(0, 10**8))
@settings(max_examples=40)
def test_scenes_belong_to_their_split(split: SceneSplit, index: int) -> None:
    scene = find_scene(split, index)

    assert scene == find_scene(split, index)
    assert split_of(scene) == split
    # The split is independent of exact positions.
    moved = tuple(Figure(one.shape, one.color, one.size, (0.5, 0.5), 0.1) for one in scene.figures)
    assert split_of(Scene(moved, scene.events)) == split


@given(st.sampled_from(SPLITS), st.integers(0, 10**8))
@settings(max_examples=40)
def test_scenes_can_require_a_color_change(split: SceneSplit, index: int) -> None:
    scene = find_scene(split, index, color_change=True)

    assert split_of(scene) == split
    assert any(event.action == "turns" for event in scene.events)


def test_splits_share_no_descriptions() -> None:
    described = {split: {describe(find_scene(split, index)) for index in range(300)} for split in SPLITS}

    assert all(not described[one] & described[other] for one, other in combinations(SPLITS, 2))


@pytest.mark.parametrize(("media", "kind"), [("image", Image), ("video", Video)])
def test_samples_start_with_the_media(media: Media, kind: type) -> None:
    samples = ShapesSamples("train", 50, media=media)

    instructed = 0
    for sample in map(samples.__getitem__, range(50)):
        turns = [turn for turn in sample.turns if turn.role != "system"]
        instructed += turns != list(sample.turns)
        assert isinstance(turns[0].content[0], kind)
        assert sample.media == media
        assert [turn.role for turn in turns] == ["human", "assistant"] * (len(turns) // 2)
        assert all(isinstance(turn.content[-1], str) for turn in turns)
        assert 2 <= len(turns) <= 10
    assert 0 < instructed < 20


def test_question_frequencies() -> None:
    counts = Counter(
        question.kind for seed in range(1000) for question in generate_questions(draw_scene(seed), Random(seed))
    )

    assert {kind: counts[kind] / 1000 for kind in KINDS} == pytest.approx(FREQUENCY, abs=0.05)


def test_descriptions_come_first_and_questions_are_unique() -> None:
    samples = ShapesSamples("train", 300)

    described = 0
    for sample in map(samples.__getitem__, range(300)):
        questions = [str(turn.content[-1]) for turn in sample.turns if turn.role == "human"]
        positions = [number for number, text in enumerate(questions) if "Describe the video." in text]
        assert positions in ([], [0])
        assert len(set(questions)) == len(questions)
        described += len(positions)
    assert 90 < described < 180


def test_samples_are_reproducible() -> None:
    samples = ShapesSamples("train", 10)
    one, other = samples[7], ShapesSamples("train", 20)[7]
    video, again = (next(turn.content[0] for turn in sample.turns if turn.role == "human") for sample in (one, other))

    assert isinstance(video, Video)
    assert isinstance(again, Video)
    assert np.array_equal(video.frames, again.frames)
    assert list(video.times) == TIMES
    assert [turn.content[-1] for turn in one.turns] == [turn.content[-1] for turn in other.turns]


def test_the_number_of_samples_is_limited() -> None:
    samples = ShapesSamples("train", 10)

    assert len(samples) == 10
    with pytest.raises(IndexError):
        samples[10]


@pytest.mark.parametrize(("media", "begin"), [("image", ("a ", "the ")), ("video", ("First, ", "the "))])
def test_captions_are_samples_for_stage_1(media: Media, begin: tuple[str, ...]) -> None:
    samples = ShapesSamples("validation", 5, media=media, task="captions")

    for sample in map(samples.__getitem__, range(5)):
        (text,) = sample.turns[1].content
        assert str(text).startswith(begin)
        assert len(sample.turns) == 2


def is_true(statement: str, scene: Scene) -> bool:
    """Return whether a statement about an image is true."""
    figures = {figure.name: figure for figure in scene.figures}
    if " is at " in statement:
        name, position = statement.split(" is at ")
        return [float(each) for each in position.split("; ")] == pytest.approx(figures[name].center, abs=0.051)
    for relation, (axis, sign) in {"left": (0, -1), "right": (0, 1), "above": (1, -1), "below": (1, 1)}.items():
        if f" is {relation} " in statement:
            one, other = (figures[name.removeprefix("of ")] for name in statement.split(f" is {relation} "))
            return (one.center[axis] - other.center[axis]) * sign > 0
    words = set(statement.split())
    return any(len(words & {figure.color, figure.shape, figure.size}) == 3 for figure in scene.figures)


@given(seeds, st.integers(0, 9))
def test_descriptions_of_images_are_true(seed: int, way: int) -> None:
    scene = draw_scene(seed, still=True)
    # Join the parts of a statement: two adjectives, or two coordinates.
    text = re.sub(r"(small|large) and (?!the|a)", r"\1 ", describe_still(scene, Random(way)))
    text = re.sub(r"(\d), (\d)", r"\1; \2", text).replace(", ", " and ")

    parts = text.split(" and ")

    assert all(is_true(part, scene) for part in parts)
    assert all(figure.color in text or figure.shape in text for figure in scene.figures)
    assert len(set(parts)) == len(parts)


@given(seeds, st.integers(0, 9))
def test_descriptions_by_figure_match_the_events(seed: int, order: int) -> None:
    scene = draw_scene(seed)
    text = describe_by_figure(scene, Random(order))

    for number, figure in enumerate(scene.figures):
        # The clause of a figure ends where another figure is named.
        clause = re.split(r" and (?=the )", text[text.index(figure.name) + len(figure.name) :])[0]
        actions = [event_clause(scene, event).removeprefix(figure.name) for event in scene.events_of(number)]
        halves = [f"in the {('first', 'second')[event.half]} half" for event in scene.events_of(number)]
        expected = " and".join(f"{action} {half}" for action, half in zip(actions, halves, strict=True))
        assert clause == (expected or " stays as it is")


@pytest.mark.parametrize("seed", range(4))
def test_files_contain_the_frames_in_order(tmp_path: Path, seed: int) -> None:
    circle = Figure("circle", COLORS[seed], "large", center=(0.2, 0.5), radius=0.14)
    scene = Scene((circle,), (Event(0, "moves right", start=0, end=7, extent=0.6),))
    write_scene(tmp_path / "clip.mp4", scene, seed)

    video = read_video(tmp_path / "clip.mp4", num_frames=8)

    assert video.frames.shape == (8, 64, 64, 3)
    assert list(video.times) == TIMES
    brightness = video.frames.max(axis=-1).astype(float) * (video.frames.max(axis=-1) > 100)
    centers = (brightness.sum(axis=1) * (np.arange(64) + 0.5)).sum(axis=-1) / brightness.sum(axis=(1, 2)) / 64
    assert centers == pytest.approx(compute_trajectories(scene).centers[:, 0, 0], abs=0.01)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_compression_preserves_colors(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    scene = draw_scene(seed, still=True)
    write_scene(path, scene, seed)

    colors = colors_at_centers(read_video(path).frames, compute_trajectories(scene))

    assert colors == [[figure.color for figure in scene.figures]] * FRAMES


@pytest.mark.parametrize(("media", "kind"), [("image", Image), ("video", Video)])
def test_training_files_can_be_loaded_for_both_stages(tmp_path: Path, media: Media, kind: type) -> None:
    write_training_files(tmp_path, "train", 4)

    captions = CaptionFile(tmp_path / "captions.json", media)
    conversations = ConversationFile(tmp_path / "conversations.json", media)

    assert len(captions) == len(conversations) == 4
    for index in range(4):
        captioned, questioned = captions[index], conversations[index]
        scene = find_scene("train", index, still=media == "image", color_change=media == "video" and index == 0)
        (caption,) = captioned.turns[1].content
        assert isinstance(captioned.turns[0].content[0], kind)
        assert caption in {write_caption(scene, media, Random(seed)) for seed in range(2000)}
        assert len(questioned.turns) >= 4
        assert all(isinstance(turn.content[-1], str) for turn in questioned.turns)


def test_training_clips_contain_all_frames(tmp_path: Path) -> None:
    write_training_files(tmp_path, "train", 4)

    captions = CaptionFile(tmp_path / "captions.json", "video")

    for sample in map(captions.__getitem__, range(4)):
        video = sample.turns[0].content[0]
        assert isinstance(video, Video)
        assert len(video.frames) == FRAMES


def test_the_benchmark_has_the_format_of_mvbench(tmp_path: Path) -> None:
    write_benchmark(tmp_path, per_task=2)

    items = read_items(tmp_path)

    assert Counter(item.task for item in items) == {kind.title(): 2 for kind in KINDS}
    assert all(item.path and item.path.is_file() and item.answer in item.candidates for item in items)
    assert {path.name for path in (tmp_path / "video").iterdir()} == {item.video for item in items}
    for item in items:
        scene = find_scene("test", int(Path(item.video).stem.removeprefix("test_")))
        kind = next(kind for kind in KINDS if kind == item.task.lower())
        assert Observer(scene).answer(ShapesQuestion(kind, item.question, item.answer, item.candidates)) == item.answer
