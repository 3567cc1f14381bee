"""Samples of the world to train on: drawn when they are taken, the same ones for the same split and number."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Literal, get_args
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.embed import Image, Turn, Video
from langchain_videochat.evaluation.mvbench.dataset import Item
from langchain_videochat.evaluation.mvbench.prompt import INSTRUCTION, write_prompt
from langchain_videochat.evaluation.shapes.descriptions import describe, recount, state
from langchain_videochat.evaluation.shapes.question_generation import FREQUENCY, Question, ask
from langchain_videochat.evaluation.shapes.rendering import compress, render
from langchain_videochat.evaluation.shapes.world import FRAME_RATE, FRAMES, Scene, draw_scene
from langchain_videochat.training.samples import REQUESTS, Media, Sample

Split = Literal["train", "validation", "test"]
Task = Literal["captions", "questions"]

SPLITS: tuple[Split, ...] = get_args(Split)
TASKS: tuple[Task, ...] = get_args(Task)

SCENES_A_SPLIT = 10**9
"""Scenes that each split has at most."""

TRIES = 10**4
"""Seeds of one scene: the first is taken that belongs to its split, as one in ten does to the rarer ones."""

TIMES = tuple(number / FRAME_RATE for number in range(FRAMES))
"""Seconds at which the frames of a clip are shown."""

DESCRIBED = 0.5
"""Share of the captions of clips that are descriptions, and of the longer conversations that begin with one. What is
asked then can be read in it, which teaches what the questions mean. In the others it has to be seen."""

TURNING = 4
"""In every fourth clip to learn from a figure turns another colour. By chance it would in every twentieth: too few to
learn which colour that is."""

QUALITY = (75, 95)
"""JPEG's quality at which pictures are compressed: it alters them about as much as the codec of files does."""


class ShapesSamples:
    """A source of training samples, made when they are taken.

    Args:
        split: Which scenes: none is in two splits, not even with other positions or another rendering.
        size: How many samples.
        media: "video" for clips, "image" for single pictures, of scenes in which nothing happens.
        task: "captions" for stage 1: a request and a description. "questions" for stage 2: one to five questions and
            their answers, all in words or all with options, as MVBench writes them.

    Example:
        >>> samples = ShapesSamples("train", 1_000_000, task="captions")
        >>> samples[0].turns[1].content
        ('the white square turns red in the first half',)
    """

    def __init__(self, split: Split, size: int, *, media: Media = "video", task: Task = "questions") -> None:
        self._split: Split = split
        self._size = size
        self._media: Media = media
        self._task = task

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int, /) -> Sample:
        """Make a sample."""
        if not 0 <= index < self._size:
            raise IndexError(index)
        source = f"shapes/{self._split}/{index}"
        rng = Random(source)  # noqa: S311 - no secret
        scene = find_example(self._split, index, self._media)
        frames = film(scene, rng)
        shown = Image(frames[0]) if self._media == "image" else Video(frames, TIMES)
        turns = self._converse(scene, rng)
        first = 1 if turns[0].role == "system" else 0
        turns[first] = Turn("human", (shown, *turns[first].content))
        return Sample(tuple(turns), self._media, source)

    def _converse(self, scene: Scene, rng: Random) -> list[Turn]:
        if self._task == "captions":
            told = tell(scene, self._media, rng)
            return take_turns([(rng.choice(REQUESTS).format(media=self._media), told)])
        questions = ask_about(scene, self._media, rng)
        (manner,) = rng.choices(MANNERS, [manner.share for manner in MANNERS])
        chosen = _choose(questions, manner, rng)
        opening = [Turn("system", (INSTRUCTION,))] if manner.is_instructed else []
        return opening + take_turns(map(manner.write, chosen))


def tell(scene: Scene, media: Media, rng: Random) -> str:
    """Tell what a clip shows, or what a picture of a scene in which nothing happens does."""
    if media == "image":
        return state(scene, rng)
    return describe(scene) if rng.random() < DESCRIBED else recount(scene, rng)


def ask_about(scene: Scene, media: Media, rng: Random) -> list[Question]:
    """Ask all that a clip answers, or what any one picture of it does."""
    return [question for question in ask(scene, rng) if media == "video" or question.evidence == "picture"]


def _choose(questions: list[Question], manner: "Manner", rng: Random) -> list[Question]:
    """Choose questions, in random order but for a description, of a rare kind as often as of others."""
    by_rarity = sorted(questions, key=lambda question: rng.random() ** FREQUENCY[question.kind])
    chosen = rng.sample(by_rarity[-manner.questions :], min(manner.questions, len(questions)))
    description = [question for question in questions if question.kind == "description"]
    others = [question for question in chosen if question.kind != "description"]
    if manner.questions > 1 and description and rng.random() < DESCRIBED:
        return [*description, *others][: manner.questions]
    return others or chosen


def take_turns(said: Iterable[tuple[str, str]]) -> list[Turn]:
    """Make a human ask and the assistant answer."""
    return [turn for text, answer in said for turn in (Turn("human", (text,)), Turn("assistant", (answer,)))]


def film(scene: Scene, rng: Random) -> NDArray[np.uint8]:
    """Render a scene and compress it about as strongly as files are, by chance.

    Returns:
        RGB, [8, 64, 64, 3].
    """
    return compress(render(scene, seed=rng.getrandbits(32)), rng.randint(*QUALITY))


def find_example(split: Split, index: int, media: Media) -> Scene:
    """Find a scene to learn from: for a picture one in which nothing happens, for some clips one with a new colour."""
    if media == "image":
        return find_scene(split, index, still=True)
    return find_scene(split, index, turning=index % TURNING == 0)


def find_scene(split: Split, index: int, *, still: bool = False, turning: bool = False) -> Scene:
    """Find a scene of a split.

    Args:
        split: Its seeds are its own, and so is what its scenes show.
        index: Which of them, from 0.
        still: Whether nothing happens.
        turning: Whether a figure turns another colour for certain.

    Example:
        >>> split_of(find_scene("test", 5))
        'test'
    """
    first = (SPLITS.index(split) * SCENES_A_SPLIT + index) * TRIES
    scenes = (draw_scene(seed, still=still, turning=turning) for seed in range(first, first + TRIES))
    return next(scene for scene in scenes if split_of(scene) == split)


def split_of(scene: Scene) -> Split:
    """Tell to which split a scene belongs, by its figures and by what happens: one in ten to each but to "train"."""
    figures = sorted((figure.kind, figure.size) for figure in scene.figures)
    events = [(scene.figures[event.actor].kind, event.action, event.color, event.half) for event in scene.events]
    # Not Python's own hash, which is another in each process.
    digit = crc32(repr((figures, events, scene.collision is None)).encode()) % 10
    return SPLITS[max(0, digit - 7)]


def in_words(question: Question) -> tuple[str, str]:
    """Write a question and its answer without the options."""
    return question.text, question.answer


def with_options(question: Question) -> tuple[str, str]:
    """Write a question with options to choose from, and the text of the right one.

    Example:
        >>> text, answer = with_options(Question("size", "What size is it?", "large", ("small", "large")))
        >>> answer
        'large'
    """
    item = Item(question.kind, 0, "", None, question.text, question.options, question.answer)
    return write_prompt(item), question.answer


@dataclass(frozen=True)
class Manner:
    """How a conversation about a scene goes."""

    share: float
    """Of all conversations."""

    questions: int
    """How many are asked, at most: so many that conversations of all manners are about as long."""

    write: Callable[[Question], tuple[str, str]]
    """How each of them is asked, and its answer."""

    is_instructed: bool = False
    """Whether it begins with MVBench's instruction."""


MANNERS = (
    Manner(0.5, 5, in_words),
    Manner(0.3, 2, with_options),
    Manner(0.2, 1, with_options, is_instructed=True),
)
