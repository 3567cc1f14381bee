"""Training samples from Shapes in Motion, generated on access and reproducible by split and index.

The bundled model was trained on these texts: changing them requires training it again.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal, get_args
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.embed import Image, Turn, Video
from langchain_videochat.embed.conversation import Part
from langchain_videochat.evaluation.benchmarks.items import BenchmarkItem
from langchain_videochat.evaluation.benchmarks.prompts import INSTRUCTION, format_question
from langchain_videochat.evaluation.shapes.descriptions import describe, describe_by_figure, describe_still
from langchain_videochat.evaluation.shapes.question_generation import FREQUENCY, ShapesQuestion, generate_questions
from langchain_videochat.evaluation.shapes.rendering import compress, render, stands_out
from langchain_videochat.evaluation.shapes.world import FRAME_RATE, FRAMES, Scene, draw_scene
from langchain_videochat.training.samples import REQUESTS, Media, Sample

SceneSplit = Literal["train", "validation", "test"]
SampleTask = Literal["captions", "questions"]

SPLITS: tuple[SceneSplit, ...] = get_args(SceneSplit)
SAMPLE_TASKS: tuple[SampleTask, ...] = get_args(SampleTask)

SCENES_PER_SPLIT = 10**9
"""Maximum number of scenes in each split."""

SEEDS_PER_SCENE = 10**4
"""Seeds reserved for one scene. The first one whose scene is in the split is used: one in ten for rare splits."""

TIMES = tuple(number / FRAME_RATE for number in range(FRAMES))
"""Times of a clip's frames in seconds."""

DESCRIPTION_SHARE = 0.5
"""Fraction of clip captions that are descriptions, and of longer conversations that start with one. Questions can then
be answered from the description, which teaches their meaning; in the other half they require the video."""

COLOR_CHANGE_INTERVAL = 4
"""Every n-th training clip has a color change. By chance, one in twenty would: with one in ten, 45 % of new colors
were wrong after training, with one in four 2 %."""

DARK_SHARE = 0.25
"""Fraction of dark backgrounds where they are of any brightness."""

JPEG_QUALITY = (75, 95)
"""Range of the JPEG quality. The loss is similar to that of the video codec of files."""


class GeneratedSamples(ABC):
    """A sequence of conversations about scenes, generated on access.

    Args:
        split: Split of the scenes. Splits share no scenes, not even with other positions or another rendering.
        size: Number of samples.
        media: "video" for clips, "image" for single frames of scenes without events.
    """

    name: ClassVar[str]
    """First part of the source of each sample. The whole source is the random seed."""

    def __init__(self, split: SceneSplit, size: int, *, media: Media = "video") -> None:
        self._split: SceneSplit = split
        self._size = size
        self._media: Media = media

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int, /) -> Sample:
        """Generate a sample."""
        if not 0 <= index < self._size:
            raise IndexError(index)
        source = f"{self.name}/{self._split}/{index}"
        rng = Random(source)  # noqa: S311 - no secret
        return Sample(tuple(self._converse(index, rng)), self._media, source)

    @abstractmethod
    def _converse(self, index: int, rng: Random) -> list[Turn]:
        """Return the conversation of a sample."""

    def _show(self, frames: NDArray[np.uint8]) -> Video | Image:
        """Return a clip, or its first frame as an image."""
        return Image(frames[0]) if self._media == "image" else Video(frames, TIMES)


class ShapesSamples(GeneratedSamples):
    """A sequence of training samples about one video or image, on a dark background.

    Args:
        split: Split of the scenes. Splits share no scenes, not even with other positions or another rendering.
        size: Number of samples.
        media: "video" for clips, "image" for single frames of scenes without events.
        task: "captions" for stage 1: a request and a description. "questions" for stage 2: one to five questions with
            answers, all without options or all with options in the format of MVBench.

    Example:
        >>> samples = ShapesSamples("train", 1_000_000, task="captions")
        >>> samples[0].turns[1].content
        ('the white square turns red in the first half',)
    """

    name = "shapes"

    def __init__(self, split: SceneSplit, size: int, *, media: Media = "video", task: SampleTask = "questions") -> None:
        super().__init__(split, size, media=media)
        self._task = task

    def _converse(self, index: int, rng: Random) -> list[Turn]:
        scene = find_training_scene(self._split, index, self._media)
        visuals = [self._show(render_compressed(scene, rng))]
        if self._task == "captions":
            caption = write_caption(scene, self._media, rng)
            return to_turns(visuals, [(rng.choice(REQUESTS).format(media=self._media), caption)])
        questions = answerable_questions(scene, self._media, rng)
        form = draw_format(rng)
        chosen = choose_questions(questions, form.max_questions, rng)
        return [*form.opening, *to_turns(visuals, map(form.write, chosen))]


def write_caption(scene: Scene, media: Media, rng: Random) -> str:
    """Return a caption of a clip, or of an image of a scene without events."""
    if media == "image":
        return describe_still(scene, rng)
    return describe(scene) if rng.random() < DESCRIPTION_SHARE else describe_by_figure(scene, rng)


def answerable_questions(scene: Scene, media: Media, rng: Random) -> list[ShapesQuestion]:
    """Return the questions that a clip, or any single frame of it, answers."""
    questions = generate_questions(scene, rng)
    return [question for question in questions if media == "video" or question.evidence == "picture"]


def choose_questions(questions: list[ShapesQuestion], count: int, rng: Random) -> list[ShapesQuestion]:
    """Select questions in random order, with a description first. Rare kinds are as frequent as others."""
    by_rarity = sorted(questions, key=lambda question: rng.random() ** FREQUENCY[question.kind])
    chosen = rng.sample(by_rarity[-count:], min(count, len(questions)))
    description = [question for question in questions if question.kind == "description"]
    others = [question for question in chosen if question.kind != "description"]
    if count > 1 and description and rng.random() < DESCRIPTION_SHARE:
        return [*description, *others][:count]
    return others or chosen


def to_turns(visuals: Sequence[Part], pairs: Iterable[tuple[str, str]]) -> list[Turn]:
    """Convert questions and answers to turns, with videos or images before the first question."""
    turns = [turn for text, answer in pairs for turn in (Turn("human", (text,)), Turn("assistant", (answer,)))]
    return [Turn("human", (*visuals, *turns[0].content)), *turns[1:]]


def render_compressed(scene: Scene, rng: Random, *, any_background: bool = False) -> NDArray[np.uint8]:
    """Render a scene, RGB, [8, 64, 64, 3], with compression artefacts similar to those of files.

    The background is dark, or of any brightness from which the figures stand out. Nothing else depends on that.
    """
    seed, quality = rng.getrandbits(32), rng.randint(*JPEG_QUALITY)
    brightness = _draw_brightness(scene, rng) if any_background else None
    return compress(render(scene, seed, brightness), quality)


def _draw_brightness(scene: Scene, rng: Random) -> float | None:
    if rng.random() < DARK_SHARE:
        return None
    return next(brightness for brightness in iter(rng.random, None) if stands_out(scene, brightness))


def find_training_scene(split: SceneSplit, index: int, media: Media) -> Scene:
    """Return a scene for training: without events for an image, with a color change for every n-th clip."""
    if media == "image":
        return find_scene(split, index, still=True)
    return find_scene(split, index, color_change=index % COLOR_CHANGE_INTERVAL == 0)


def find_scene(split: SceneSplit, index: int, *, still: bool = False, color_change: bool = False) -> Scene:
    """Return a scene of a split: without events if `still`, with a color change if `color_change`.

    Splits share neither seeds nor scenes.

    Example:
        >>> split_of(find_scene("test", 5))
        'test'
    """
    first = (SPLITS.index(split) * SCENES_PER_SPLIT + index) * SEEDS_PER_SCENE
    scenes = (
        draw_scene(seed, still=still, color_change=color_change) for seed in range(first, first + SEEDS_PER_SCENE)
    )
    return next(scene for scene in scenes if split_of(scene) == split)


def split_of(scene: Scene) -> SceneSplit:
    """Return the split of a scene, by a hash of its figures and events: 10 % each for "validation" and "test"."""
    figures = sorted((figure.kind, figure.size) for figure in scene.figures)
    events = [(scene.figures[event.actor].kind, event.action, event.color, event.half) for event in scene.events]
    # Python's own hash differs between processes.
    digit = crc32(repr((figures, events, scene.collision is None)).encode()) % 10
    return SPLITS[max(0, digit - 7)]


def without_options(question: ShapesQuestion) -> tuple[str, str]:
    """Return a question without options, and its answer."""
    return question.text, question.answer


def with_options(question: ShapesQuestion) -> tuple[str, str]:
    """Return a question with options in the format of MVBench, and the text of the correct option.

    Not its letter: the model learned to answer with words, but letters stayed at chance after 45,000 questions. The
    scoring of MVBench accepts both.

    Example:
        >>> text, answer = with_options(ShapesQuestion("size", "What size is it?", "large", ("small", "large")))
        >>> answer
        'large'
    """
    item = BenchmarkItem(question.kind, 0, "", None, question.text, question.options, question.answer)
    return format_question(item), question.answer


WriteQuestion = Callable[[ShapesQuestion], tuple[str, str]]


@dataclass(frozen=True)
class ConversationFormat:
    """The format of a conversation about a scene.

    The number of questions is chosen so that conversations have similar lengths, which reduces padding in batches.
    """

    share: float
    """Fraction of all conversations."""

    max_questions: int

    write: WriteQuestion
    """Returns a question and its answer as text."""

    is_instructed: bool = False
    """Whether it starts with the instruction of MVBench."""

    @property
    def opening(self) -> list[Turn]:
        """The turns before the first question."""
        return [Turn("system", (INSTRUCTION,))] if self.is_instructed else []


CONVERSATION_FORMATS = (
    ConversationFormat(0.5, 5, without_options),
    ConversationFormat(0.3, 2, with_options),
    ConversationFormat(0.2, 1, with_options, is_instructed=True),
)


def draw_format(rng: Random) -> ConversationFormat:
    """Return a random format, in proportion to the shares."""
    (form,) = rng.choices(CONVERSATION_FORMATS, [each.share for each in CONVERSATION_FORMATS])
    return form
