"""A generated collection of videos, as timelines, with questions whose answers are known."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import permutations, product
from pathlib import Path
from typing import Any

import yaml

from langchain_videochat.media import VideoInfo
from langchain_videochat.perception import Observation
from langchain_videochat.timeline import Timeline
from tests.benchmarks.questions import GoldSegment, Question

SLOT_SECONDS = 5.0
"""Length of a caption or a sentence in seconds."""

SLOTS = range(4, 10)
"""Possible numbers of slots in a scene: 20 to 45 seconds, so that some scenes are split into two moments."""

ON_TOPIC = 0.6
"""Probability that a caption describes the topic of the scene, and not the background."""

KINDS = ["meaning", "two conditions", "name", "code or number"]
"""Kinds of questions; a quarter of the questions are of each kind."""

MEANING = ["Where do they {} {}?", "How do I {} {}?", "Show me how they {} {}."]
CODE = ["{}", "Where is {} to be seen?", "Which video shows {}?"]
NAME = ["{}", "What does {} say?", "Where is {} interviewed?"]

Words = dict[str, Any]
Span = tuple[float, float]


@dataclass
class Film:
    """A video that is being generated, scene by scene."""

    generator: random.Random
    idle: list[str]
    small_talk: list[str]
    observations: list[Observation] = field(default_factory=list)
    end: float = 0.0

    def add_scene(self, caption: str, sentences: list[str], written: str = "") -> tuple[Span, Span]:
        """Add a scene with relevant captions, sentences and text on screen, and with irrelevant ones between them.

        Returns:
            The intervals of the scene and of the text on screen.
        """
        start, slots = self.end, self.generator.choice(SLOTS)
        self.end = start + slots * SLOT_SECONDS
        self._note(start, self.end, "scene", f"scene at {start:g}")
        said = dict(zip(sorted(self.generator.sample(range(slots), len(sentences))), sentences, strict=True))
        for slot in range(slots):
            is_relevant = slot in said or self.generator.random() < ON_TOPIC
            seen = caption if is_relevant else self.generator.choice(self.idle)
            heard = said.get(slot) or self.generator.choice(self.small_talk)
            self._note(start + slot * SLOT_SECONDS, start + (slot + 1) * SLOT_SECONDS, "caption", seen)
            self._note(start + slot * SLOT_SECONDS, start + (slot + 1) * SLOT_SECONDS, "speech", heard)
        shown = start + self.generator.randrange(slots) * SLOT_SECONDS
        if written:
            self._note(shown, shown + SLOT_SECONDS, "screen_text", written)
        return (start, self.end), (shown, shown + SLOT_SECONDS)

    def _note(self, start: float, end: float, modality: str, text: str) -> None:
        self.observations.append(Observation(start, end, modality, text))


@dataclass(frozen=True)
class Plot:
    """The choices from the vocabulary for one video."""

    subject: Words
    item: str
    also_called: str
    person: str
    described: str
    guest: str
    code: str
    numbers: tuple[int, int]

    @property
    def title(self) -> str:
        """Title of the video."""
        title = str(self.subject["title"]).format(item=self.item)
        return title[0].upper() + title[1:]


def make_collection(videos: int) -> tuple[list[Timeline], list[Question]]:
    """Generate up to 60 videos of some minutes, with five questions each; the result is deterministic.

    Videos of a subject show the same steps with other people and another item, so that their moments are similar. Their
    codes have the same digits in another order, they share numbers, and guests share first or last names.
    """
    words: Words = yaml.safe_load(Path(__file__).with_name("collection.yaml").read_text())
    timelines: list[Timeline] = []
    questions: list[Question] = []
    for number in range(min(videos, sum(len(subject["items"]) for subject in words["subjects"]))):
        generator = random.Random(f"video {number}")
        plot = _make_plot(words, number)
        film = Film(generator, [*plot.subject["idle"], f"{plot.person} talks to the camera"], words["small_talk"])
        spans = _shoot(film, plot, generator.choice(words["remarks"]))
        video_id = f"{number:016x}"
        video = VideoInfo(f"/films/{number:02d}.mp4", plot.title, film.end, 1280, 720)
        timelines.append(Timeline.of(video, video_id, film.observations))
        asked = _ask(generator, plot, twice=KINDS[(number + number // len(words["subjects"])) % len(KINDS)])
        questions += [Question(kind, text, (GoldSegment(video_id, *spans[answer]),)) for kind, text, answer in asked]
    return timelines, questions


def _make_plot(words: Words, number: int) -> Plot:
    index, chosen = divmod(number, len(words["subjects"]))
    subject, people = words["subjects"][chosen], list(words["people"].items())
    item, also_called = list(subject["items"].items())[index]
    person, described = people[(3 * number + 2 * index) % len(people)]
    first, last = words["first_names"], words["last_names"]
    guest = f"{first[number % len(first)]} {last[(number + number // len(first)) % len(last)]}"
    return Plot(subject, item, also_called, person, described, guest, _codes(subject)[index], _numbers(subject)[index])


def _shoot(film: Film, plot: Plot, remark: str) -> dict[str, Span]:
    """Add the scenes; return the intervals of each step, and of the code, the number and the guest's name on screen."""
    first, second = plot.numbers
    notes = {"code": plot.subject["code"].format(code=plot.code)}
    notes["number"] = plot.subject["measure"].format(a=first, b=second)
    steps = [step["asked"] for step in plot.subject["steps"]]
    carriers = dict(zip(film.generator.sample(steps, len(notes)), notes, strict=True))
    spans: dict[str, Span] = {}
    film.add_scene(f"{plot.person} waves and smiles", [f"Hello, and welcome to {plot.title}."], plot.title)
    for step in plot.subject["steps"]:
        note = carriers.get(step["asked"], "")
        said = film.generator.sample(step["said"], len(step["said"]))
        scene, shown = film.add_scene(f"{plot.person} {step['shown']}", said, notes.get(note, ""))
        spans |= {step["asked"]: scene, note: shown}
    caption = f"{plot.guest}, {plot.subject['role']}"
    _, spans["name"] = film.add_scene("a person sits in a chair and talks", [remark], caption)
    thanks = f"Thanks to {plot.guest.split()[0]} for coming along, and see you soon."
    film.add_scene(f"{plot.person} waves goodbye", [thanks])
    return spans


def _ask(generator: random.Random, plot: Plot, twice: str) -> Iterator[tuple[str, str, str]]:
    """Yield a question of each kind, and a second one of kind `twice`, as kind, text and answer."""
    first, second = plot.numbers
    steps = generator.sample(plot.subject["steps"], 4)
    called = generator.sample([plot.item, plot.also_called], 2)
    exact = [
        (generator.choice(CODE).format(plot.code), "code"),
        (plot.subject["measured"].format(a=first, b=second), "number"),
    ]
    choices = {
        "meaning": [
            (frame.format(step["asked"], plot.subject["about"].format(item=name)), step["asked"])
            for frame, step, name in zip(generator.sample(MEANING, 2), steps[:2], called, strict=True)
        ],
        "two conditions": [(f"{plot.described} {step['shown']}", step["asked"]) for step in steps[2:]],
        "name": [(frame.format(plot.guest), "name") for frame in generator.sample(NAME, 2)],
        "code or number": generator.sample(exact, 2),
    }
    for kind, pair in choices.items():
        for text, answer in pair if kind == twice else pair[:1]:
            yield kind, text, answer


def _codes(subject: Words) -> list[str]:
    generator = random.Random(subject["prefix"])
    digits = generator.sample("123456789", 4)
    orders = generator.sample(list(permutations(digits)), len(subject["items"]))
    return [f"{subject['prefix']}-{''.join(order)}" for order in orders]


def _numbers(subject: Words) -> list[tuple[int, int]]:
    generator = random.Random(subject["measure"])
    pairs = list(product(generator.sample(range(60, 400), 3), generator.sample(range(12, 60), 3)))
    return generator.sample(pairs, len(subject["items"]))
