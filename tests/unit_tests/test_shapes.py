"""Shapes in Motion: scenes are what they are said to be, answers are right, and none can be guessed."""

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
from langchain_videochat.evaluation.mvbench import read_option
from langchain_videochat.evaluation.shapes import (
    KINDS,
    Event,
    Figure,
    Question,
    Scene,
    Tracks,
    ask,
    caption,
    describe,
    draw_scene,
    find_scene,
    follow,
    recount,
    render,
    split_of,
    state,
    with_options,
    write_scene,
)
from langchain_videochat.evaluation.shapes.descriptions import clause
from langchain_videochat.evaluation.shapes.question_generation import FREQUENCY
from langchain_videochat.evaluation.shapes.rendering import PAINTS, SIDE
from langchain_videochat.evaluation.shapes.scene_samples import SPLITS, Split, tell
from langchain_videochat.evaluation.shapes.world import (
    CHANGES,
    COLORS,
    DISTANCE,
    FRAMES,
    GAP,
    HALF,
    MARGIN,
    MOVES,
    SIZES,
    Color,
)
from langchain_videochat.training import CaptionFile, ConversationFile
from langchain_videochat.training.samples import Media

seeds = st.integers(0, 2**40)

SMALL_TO_LARGE = 0.1
"""A radius between those of the sizes."""

TIMES = [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]

NUMBERS = ("none", "one", "two", "three")


def colors_at_centers(clip: NDArray[np.uint8], tracks: Tracks) -> list[list[Color]]:
    """Name the colour of a clip's pixels where the figures are, [frames, figures]."""
    places = np.floor(tracks.centers * SIDE).astype(int)
    paints = np.array([PAINTS[color] for color in COLORS]) * 255
    pixels = np.stack([frame[place[:, 1], place[:, 0]] for frame, place in zip(clip, places, strict=True)])
    nearest = np.linalg.norm(pixels[..., None, :] - paints, axis=-1).argmin(axis=-1)
    return [[COLORS[number] for number in numbers] for numbers in nearest]


def distances(tracks: Tracks, one: int, other: int) -> NDArray[np.float64]:
    """Tell how far two figures are apart at each frame, as squares around them are."""
    between = np.abs(tracks.centers[:, one] - tracks.centers[:, other]).max(axis=-1)
    return np.asarray(between - tracks.radii[:, one] - tracks.radii[:, other])


def general(deed: str) -> str:
    """Leave out a direction or a colour."""
    return "changes its color" if deed.startswith("turns") else deed.split(maxsplit=1)[0]


@dataclass(frozen=True)
class Happening:
    """What is seen to happen to a figure in one half of a clip."""

    half: int
    figure: int
    deed: str


class VisualCache:
    """Answers questions from where figures are at each frame and from pixels, without a look at the events."""

    def __init__(self, scene: Scene) -> None:
        self.figures = scene.figures
        self.names = [figure.name for figure in scene.figures]
        self.tracks = follow(scene)
        self.colors = colors_at_centers(render(scene, seed=0), self.tracks)

    @cached_property
    def seen(self) -> list[Happening]:
        """What changes from the first frame of each half to its last one."""
        halves = enumerate([(0, HALF - 1), (HALF, FRAMES - 1)])
        return [
            Happening(half, number, deed)
            for half, (first, last) in halves
            for number in range(len(self.figures))
            for deed in self._deeds(number, first, last)
        ]

    def _deeds(self, number: int, first: int, last: int) -> list[str]:
        tracks = self.tracks
        right, down = tracks.centers[last, number] - tracks.centers[first, number]
        deeds = {
            "moves right": right,
            "moves left": -right,
            "moves down": down,
            "moves up": -down,
            "grows": tracks.radii[last, number] - tracks.radii[first, number],
            "shrinks": tracks.radii[first, number] - tracks.radii[last, number],
            "appears": tracks.presence[last, number] - tracks.presence[first, number],
            "disappears": tracks.presence[first, number] - tracks.presence[last, number],
            f"turns {self.colors[last][number]}": tracks.repaint[last, number] - tracks.repaint[first, number],
        }
        return [deed for deed, amount in deeds.items() if amount > 0]

    @property
    def told(self) -> list[str]:
        return [f"{self.names[one.figure]} {one.deed}" for one in self.seen]

    def named(self, question: Question) -> list[int]:
        """List the figures that a question names, in the order in which it does."""
        places = {number: question.text.find(name) for number, name in enumerate(self.names)}
        return sorted((number for number, place in places.items() if place >= 0), key=lambda number: places[number])

    def deeds(self, question: Question) -> list[str]:
        """List what the figure does that a question names last."""
        return [one.deed for one in self.seen if one.figure == self.named(question)[-1]]

    def meant(self, question: Question) -> int:
        """Find the one figure that fits the words of a question."""
        words = set(question.text.rstrip("?").split())
        (number,) = [
            number
            for number, figure in enumerate(self.figures)
            if words & {figure.shape, figure.color} and words & set(SIZES) <= {figure.size}
        ]
        return number

    def hitters(self, number: int) -> list[str]:
        """Name the figures that touch another in the middle of the clip."""
        others = [other for other in range(len(self.names)) if other != number]
        return [self.names[other] for other in others if distances(self.tracks, other, number)[HALF - 1] < GAP / 2]

    def answer(self, question: Question) -> str:
        """Answer a question."""
        answers: dict[str, Callable[[Question], str]] = {
            "color": lambda question: self.colors[-1][self.meant(question)],
            "shape": lambda question: self.figures[self.meant(question)].shape,
            "size": self.size,
            "count": lambda _: NUMBERS[int(self.tracks.presence.all(axis=0).sum())],
            "existence": self.existence,
            "position": self.position,
            "actor": self.actor,
            "movers": lambda _: NUMBERS[len({one.figure for one in self.seen if one.deed in MOVES})],
            "new color": lambda question: next(deed for deed in self.deeds(question) if "turns" in deed).split()[1],
            "cause": self.cause,
            "counterfactual": self.counterfactual,
            "direction": lambda question: next(deed for deed in self.deeds(question) if deed in MOVES).split()[1],
            "change": lambda question: f"it {general(self.deeds(question)[0])}",
            "first": lambda question: self.told["last" in question.text],
            "after": self.after,
            "when": self.when,
            "description": self.description,
        }
        return answers[question.kind](question)

    def size(self, question: Question) -> str:
        radii = self.tracks.radii[:, self.named(question)[0]]
        assert radii.min() > SMALL_TO_LARGE or radii.max() < SMALL_TO_LARGE
        return "large" if radii[0] > SMALL_TO_LARGE else "small"

    def existence(self, question: Question) -> str:
        is_clear = (self.tracks.presence == 1) & (self.tracks.repaint % 1 == 0)
        pairs = {
            f"{self.colors[frame][number]} {self.figures[number].shape}" for frame, number in np.argwhere(is_clear)
        }
        return "yes" if any(pair in question.text for pair in pairs) else "no"

    def position(self, question: Question) -> str:
        one, other = self.named(question)
        right, down = (self.tracks.centers[:, one] - self.tracks.centers[:, other]).T
        places = {"left": -right, "right": right, "above": -down, "below": down}
        (place,) = [name for name in question.options if (places[name] > 0).all()]
        return place

    def actor(self, question: Question) -> str:
        doers = defaultdict(set)
        for number, name in enumerate(self.names):
            for deed in [one.deed for one in self.seen if one.figure == number] or ["stays as it is"]:
                doers[deed if "stays" in deed else general(deed)].add(name)
        (actor,) = doers[question.text.removeprefix("Which object ").rstrip("?")]
        return actor

    def cause(self, question: Question) -> str:
        hitters = self.hitters(self.named(question)[0])
        return f"{hitters[0]} hits it" if hitters else "it moves by itself"

    def counterfactual(self, question: Question) -> str:
        without, asked = self.named(question)
        return "it stays" if self.names[without] in self.hitters(asked) else f"it {self.deeds(question)[0]}"

    def after(self, question: Question) -> str:
        (place,) = [number for number, told in enumerate(self.told) if told in question.text]
        return [*self.told, "nothing"][place + 1]

    def when(self, question: Question) -> str:
        verb, *rest = question.text.rstrip("?").split(self.names[self.named(question)[0]])[1].split()
        (half,) = {
            one.half
            for one in self.seen
            if one.figure == self.named(question)[0] and one.deed == " ".join([f"{verb}s", *rest])
        }
        return ("in the first half", "in the second half")[half]

    def description(self, question: Question) -> str:
        (description,) = [option for option in question.options if self.tells(option)]
        return description

    def tells(self, description: str) -> bool:
        """Tell whether a description names what is there at first, and what happens in each half."""
        opening, *happenings = description.split(". ")
        there = [self.introduced(number) for number in range(len(self.names)) if self.tracks.presence[0, number]]
        in_order = sorted(there, key=opening.find)
        is_there = all(one in opening for one in there) and opening.count(" a ") == len(in_order)
        by_half = [next((one for one in self.seen if one.half == half), None) for half in range(len(happenings))]
        return is_there and all(self.happening(one) in told for one, told in zip(by_half, happenings, strict=True))

    def happening(self, one: Happening | None) -> str:
        if one is None:
            return "nothing happens"
        return f"{self.introduced(one.figure) if one.deed == 'appears' else self.names[one.figure]} {one.deed}"

    def introduced(self, number: int) -> str:
        size = "large" if self.tracks.radii[0, number] > SMALL_TO_LARGE else "small"
        return f"a {size} {self.names[number].removeprefix('the ')}"


@given(seeds)
def test_all_figures_stay_in_the_picture_and_only_those_that_collide_touch(seed: int) -> None:
    scene = draw_scene(seed)
    tracks = follow(scene)
    reach = tracks.radii[..., None] + MARGIN - 1e-9

    assert (tracks.centers >= reach).all()
    assert (tracks.centers <= 1 - reach).all()
    for pair in combinations(range(len(scene.figures)), 2):
        nearest = distances(tracks, *pair).min()
        assert -0.08 < nearest < 0.01 if set(pair) == set(scene.collision or ()) else nearest >= GAP


@given(seeds)
def test_events_are_clear_to_see_one_after_the_other(seed: int) -> None:
    scene = draw_scene(seed)
    tracks = follow(scene)

    assert len(scene.events) <= 2
    assert [event.half for event in scene.events] in ([], [0], [1], [0, 1])
    assert len(VisualCache(scene).seen) == len(scene.events)
    for event in scene.events:
        first, last = HALF * event.half, HALF * event.half + HALF - 1
        assert not event.is_move or (
            np.abs(tracks.centers[last] - tracks.centers[first])[event.actor].max() >= DISTANCE[0] - 1e-9
        )
        sizes = tracks.radii[[first, last], event.actor]
        assert sizes.max() >= 1.5 * sizes.min() or event.action not in ("grows", "shrinks")


@given(seeds)
def test_a_figure_that_is_hit_moves_on_when_the_other_has_come_to_rest(seed: int) -> None:
    scene = next(scene for scene in map(draw_scene, range(seed, seed + 200)) if scene.collision)
    assert scene.collision
    hitter, hit = scene.collision
    centers = follow(scene).centers
    ways = np.diff(centers, axis=0)

    assert not ways[: HALF - 1, hit].any()
    assert not ways[HALF - 1 :, hitter].any()
    directions = [centers[-1, number] - centers[0, number] for number in (hitter, hit)]
    assert np.array_equal(*np.sign(directions))


@given(seeds, st.integers(0, 2**32))
def test_pixels_show_the_colour_of_each_figure_where_it_is(seed: int, rendering: int) -> None:
    scene = draw_scene(seed)
    clip, tracks = render(scene, rendering), follow(scene)
    colors = np.array(colors_at_centers(clip, tracks))
    turned = [next((str(event.color) for event in scene.events_of(number) if event.color), "") for number in range(3)]

    assert clip.shape == (FRAMES, SIDE, SIDE, 3)
    assert clip.dtype == np.uint8
    for number, figure in enumerate(scene.figures):
        is_seen = tracks.presence[:, number] == 1
        assert set(colors[is_seen & (tracks.repaint[:, number] == 0), number]) <= {figure.color}
        assert set(colors[is_seen & (tracks.repaint[:, number] == 1), number]) <= {turned[number]}


@given(seeds)
def test_a_figure_that_is_not_there_leaves_no_trace(seed: int) -> None:
    scene = draw_scene(seed, still=True)
    hidden = tuple(Event(number, "appears", start=7, end=7.5) for number in range(len(scene.figures)))

    clip = render(Scene(scene.figures, hidden), seed).astype(int)

    assert np.ptp(clip, axis=(1, 2)).max() < 50


@given(seeds, st.integers(0, 2**32))
def test_answers_are_what_is_seen(seed: int, rng_seed: int) -> None:
    scene = draw_scene(seed)
    viewer = VisualCache(scene)

    for question in ask(scene, Random(rng_seed)):
        assert viewer.answer(question) == question.answer, question


@given(seeds, st.integers(0, 2**32))
def test_options_hold_the_answer_once(seed: int, rng_seed: int) -> None:
    for question in ask(draw_scene(seed), Random(rng_seed)):
        assert question.options.count(question.answer) == 1
        assert 2 <= len(question.options) == len(set(question.options)) <= 4
        assert question.chance == 1 / len(question.options)


@given(seeds, st.integers(0, 2**32))
def test_what_is_written_with_options_is_scored_as_mvbench_scores(seed: int, rng_seed: int) -> None:
    for question in ask(draw_scene(seed), Random(rng_seed)):
        text, answer = with_options(question)

        assert question.text in text
        assert read_option(answer, question.options) == question.options.index(question.answer)


@given(seeds)
def test_what_one_frame_answers_is_the_same_in_every_frame(seed: int) -> None:
    scene = draw_scene(seed)
    asked = [question for question in ask(scene, Random(seed)) if question.evidence == "picture"]
    viewer = VisualCache(scene)
    tracks = viewer.tracks
    order = np.random.default_rng(seed).permutation(FRAMES)
    viewer.tracks = Tracks(tracks.centers[order], tracks.radii[order], tracks.presence[order], tracks.repaint[order])
    viewer.colors = [viewer.colors[number] for number in order]

    assert [viewer.answer(question) for question in asked] == [question.answer for question in asked]


@pytest.fixture(scope="module")
def many() -> list[list[Question]]:
    """Questions of each kind, by the order in which scenes are drawn."""
    return [ask(draw_scene(seed), Random(seed)) for seed in range(6000)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("clue", [lambda one: one.text, lambda one: frozenset(one.options)], ids=["text", "options"])
def test_no_answer_can_be_guessed(many: list[list[Question]], kind: str, clue: Callable[[Question], Hashable]) -> None:
    known, asked = ([one for some in half for one in some if one.kind == kind] for half in (many[::2], many[1::2]))
    frequent: dict[Hashable, Counter[str]] = defaultdict(Counter)
    for question in known:
        frequent[clue(question)][question.answer] += 1

    def guess(question: Question) -> str:
        return max(question.options, key=lambda option: frequent[clue(question)][option])

    right = np.mean([guess(question) == question.answer for question in asked])

    assert abs(right - np.mean([question.chance for question in asked])) < 0.08


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_at_each_place_as_often(many: list[list[Question]], kind: str) -> None:
    expected, found = np.zeros(4), np.zeros(4)
    for question in (one for some in many for one in some if one.kind == kind):
        expected[: len(question.options)] += question.chance
        found[question.options.index(question.answer)] += 1

    assert np.abs(found - expected).max() < 0.06 * found.sum()


def test_everything_happens() -> None:
    scenes = [draw_scene(seed) for seed in range(500)]

    assert {event.action for scene in scenes for event in scene.events} == {*MOVES, *CHANGES}
    assert {len(scene.events) for scene in scenes} == {0, 1, 2}
    assert {len(scene.figures) for scene in scenes} == {1, 2, 3}
    assert {figure.kind for scene in scenes for figure in scene.figures} == {
        f"{color} {shape}" for color in COLORS for shape in ("circle", "square", "triangle", "star")
    }


def test_a_scene_is_described_in_the_order_of_time() -> None:
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
def test_a_scene_is_of_its_split_by_seed_and_by_content(split: Split, index: int) -> None:
    scene = find_scene(split, index)

    assert scene == find_scene(split, index)
    assert split_of(scene) == split
    # Where things are and when exactly does not make another scene of it.
    moved = tuple(Figure(one.shape, one.color, one.size, (0.5, 0.5), 0.1) for one in scene.figures)
    assert split_of(Scene(moved, scene.events)) == split


@given(st.sampled_from(SPLITS), st.integers(0, 10**8))
@settings(max_examples=40)
def test_a_scene_is_drawn_until_a_figure_turns_another_colour(split: Split, index: int) -> None:
    scene = find_scene(split, index, turning=True)

    assert split_of(scene) == split
    assert any(event.action == "turns" for event in scene.events)


def test_splits_share_no_content() -> None:
    described = {split: {describe(find_scene(split, index)) for index in range(300)} for split in SPLITS}

    assert all(not described[one] & described[other] for one, other in combinations(SPLITS, 2))


@pytest.mark.parametrize(("media", "kind"), [("image", Image), ("video", Video)])
def test_a_sample_shows_first_and_asks_then(media: Media, kind: type) -> None:
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


def test_frequencies_of_questions_are_true() -> None:
    asked = Counter(question.kind for seed in range(1000) for question in ask(draw_scene(seed), Random(seed)))

    assert {kind: asked[kind] / 1000 for kind in KINDS} == pytest.approx(FREQUENCY, abs=0.05)


def test_a_description_comes_first_if_at_all_and_no_question_twice() -> None:
    samples = ShapesSamples("train", 300)

    described = 0
    for sample in map(samples.__getitem__, range(300)):
        questions = [str(turn.content[-1]) for turn in sample.turns if turn.role == "human"]
        places = [number for number, text in enumerate(questions) if "Describe the video." in text]
        assert places in ([], [0])
        assert len(set(questions)) == len(questions)
        described += len(places)
    assert 90 < described < 180


def test_a_sample_is_the_same_whenever_it_is_taken() -> None:
    samples = ShapesSamples("train", 10)
    one, other = samples[7], ShapesSamples("train", 20)[7]
    shown, again = (next(turn.content[0] for turn in sample.turns if turn.role == "human") for sample in (one, other))

    assert isinstance(shown, Video)
    assert isinstance(again, Video)
    assert np.array_equal(shown.frames, again.frames)
    assert list(shown.times) == TIMES
    assert [turn.content[-1] for turn in one.turns] == [turn.content[-1] for turn in other.turns]


def test_there_are_as_many_samples_as_were_asked_for() -> None:
    samples = ShapesSamples("train", 10)

    assert len(samples) == 10
    with pytest.raises(IndexError):
        samples[10]


@pytest.mark.parametrize(("media", "begin"), [("image", ("a ", "the ")), ("video", ("First, ", "the "))])
def test_captions_are_samples_of_the_first_stage(media: Media, begin: tuple[str, ...]) -> None:
    samples = ShapesSamples("validation", 5, media=media, task="captions")

    for sample in map(samples.__getitem__, range(5)):
        (text,) = sample.turns[1].content
        assert str(text).startswith(begin)
        assert len(sample.turns) == 2


def is_true(statement: str, scene: Scene) -> bool:
    """Tell whether a part of what is said about a picture holds."""
    figures = {figure.name: figure for figure in scene.figures}
    if " is at " in statement:
        name, place = statement.split(" is at ")
        return [float(each) for each in place.split("; ")] == pytest.approx(figures[name].center, abs=0.051)
    for place, (axis, sign) in {"left": (0, -1), "right": (0, 1), "above": (1, -1), "below": (1, 1)}.items():
        if f" is {place} " in statement:
            one, other = (figures[name.removeprefix("of ")] for name in statement.split(f" is {place} "))
            return (one.center[axis] - other.center[axis]) * sign > 0
    words = set(statement.split())
    return any(len(words & {figure.color, figure.shape, figure.size}) == 3 for figure in scene.figures)


@given(seeds, st.integers(0, 9))
def test_what_is_said_about_a_picture_is_true_of_every_figure(seed: int, way: int) -> None:
    scene = draw_scene(seed, still=True)
    # Adjectives that "and" joins belong to one figure, and so do two numbers.
    said = re.sub(r"(small|large) and (?!the|a)", r"\1 ", state(scene, Random(way)))
    said = re.sub(r"(\d), (\d)", r"\1; \2", said).replace(", ", " and ")

    parts = said.split(" and ")

    assert all(is_true(part, scene) for part in parts)
    assert all(figure.color in said or figure.shape in said for figure in scene.figures)
    assert len(set(parts)) == len(parts)


@given(seeds, st.integers(0, 9))
def test_what_is_recounted_is_what_each_figure_does(seed: int, order: int) -> None:
    scene = draw_scene(seed)
    said = recount(scene, Random(order))

    for number, figure in enumerate(scene.figures):
        # What is said of a figure ends where another is named.
        told = re.split(r" and (?=the )", said[said.index(figure.name) + len(figure.name) :])[0]
        deeds = [clause(scene, event).removeprefix(figure.name) for event in scene.events_of(number)]
        halves = [f"in the {('first', 'second')[event.half]} half" for event in scene.events_of(number)]
        expected = " and".join(f"{deed} {half}" for deed, half in zip(deeds, halves, strict=True))
        assert told == (expected or " stays as it is")


@pytest.mark.parametrize("seed", range(4))
def test_a_file_gives_the_frames_back_in_their_order(tmp_path: Path, seed: int) -> None:
    circle = Figure("circle", COLORS[seed], "large", center=(0.2, 0.5), radius=0.14)
    scene = Scene((circle,), (Event(0, "moves right", start=0, end=7, extent=0.6),))
    write_scene(tmp_path / "clip.mp4", scene, seed)

    video = read_video(tmp_path / "clip.mp4", num_frames=8)

    assert video.frames.shape == (8, 64, 64, 3)
    assert list(video.times) == TIMES
    light = video.frames.max(axis=-1).astype(float) * (video.frames.max(axis=-1) > 100)
    middles = (light.sum(axis=1) * (np.arange(64) + 0.5)).sum(axis=-1) / light.sum(axis=(1, 2)) / 64
    assert middles == pytest.approx(follow(scene).centers[:, 0, 0], abs=0.01)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_compression_leaves_every_colour(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    scene = draw_scene(seed, still=True)
    write_scene(path, scene, seed)

    colors = colors_at_centers(read_video(path).frames, follow(scene))

    assert colors == [[figure.color for figure in scene.figures]] * FRAMES


@pytest.mark.parametrize(("media", "kind"), [("image", Image), ("video", Video)])
def test_files_to_train_on_are_read_by_both_stages(tmp_path: Path, media: Media, kind: type) -> None:
    write_training_files(tmp_path, "train", 4)

    captions = CaptionFile(tmp_path / "captions.json", media)
    conversations = ConversationFile(tmp_path / "conversations.json", media)

    assert len(captions) == len(conversations) == 4
    for index in range(4):
        told, asked = captions[index], conversations[index]
        scene = find_scene("train", index, still=media == "image", turning=media == "video" and index == 0)
        (caption,) = told.turns[1].content
        assert isinstance(told.turns[0].content[0], kind)
        assert caption in {tell(scene, media, Random(seed)) for seed in range(2000)}
        assert len(asked.turns) >= 4
        assert all(isinstance(turn.content[-1], str) for turn in asked.turns)


def test_clips_to_train_on_have_their_frames(tmp_path: Path) -> None:
    write_training_files(tmp_path, "train", 4)

    captions = CaptionFile(tmp_path / "captions.json", "video")

    for sample in map(captions.__getitem__, range(4)):
        shown = sample.turns[0].content[0]
        assert isinstance(shown, Video)
        assert len(shown.frames) == FRAMES


def test_the_benchmark_is_read_as_mvbench_is(tmp_path: Path) -> None:
    write_benchmark(tmp_path, per_task=2)

    items = read_items(tmp_path)

    assert Counter(item.task for item in items) == {kind.title(): 2 for kind in KINDS}
    assert all(item.path and item.path.is_file() and item.answer in item.candidates for item in items)
    assert {path.name for path in (tmp_path / "video").iterdir()} == {item.video for item in items}
    for item in items:
        scene = find_scene("test", int(Path(item.video).stem.removeprefix("test_")))
        kind = next(kind for kind in KINDS if kind == item.task.lower())
        assert VisualCache(scene).answer(Question(kind, item.question, item.answer, item.candidates)) == item.answer
