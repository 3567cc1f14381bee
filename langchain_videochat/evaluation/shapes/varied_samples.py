"""Training samples with what `ShapesSamples` keep the same: several videos in a conversation, on any background.

The bundled model was trained on these texts: changing them requires training it again.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from langchain_videochat.embed import Turn
from langchain_videochat.embed.conversation import Part
from langchain_videochat.evaluation.shapes.question_generation import ShapesQuestion
from langchain_videochat.evaluation.shapes.scene_samples import (
    SCENES_PER_SPLIT,
    GeneratedSamples,
    WriteQuestion,
    answerable_questions,
    choose_questions,
    draw_format,
    find_training_scene,
    render_compressed,
    to_turns,
)
from langchain_videochat.training.samples import Media

TOGETHER_SHARE, LATER_SHARE = 0.4, 0.3
"""Fractions of conversations with two videos or images in one turn, and with a second one in a later turn, which the
questions from then on are about. The others have one."""

LABELED_SHARE = 0.5
"""Fraction of turns with two videos or images that have a label before each."""


class VariedSamples(GeneratedSamples):
    """A sequence of conversations about one or two videos or images, on any background.

    Args:
        split: Split of the scenes.
        size: Number of samples.
        media: "video" for clips, "image" for single frames of scenes without events.

    Example:
        >>> content = VariedSamples("train", 1_000_000)[7].turns[0].content
        >>> [part if isinstance(part, str) else type(part).__name__ for part in content]
        ['Video', 'Video', 'Describe the second video.']
    """

    name = "shapes/varied"

    def _converse(self, index: int, rng: Random) -> list[Turn]:
        layout = rng.random()
        indices = [index, rng.randrange(SCENES_PER_SPLIT)] if layout < TOGETHER_SHARE + LATER_SHARE else [index]
        scenes = [find_training_scene(self._split, each, self._media) for each in indices]
        form = draw_format(rng)
        count = -(-form.max_questions // len(scenes))
        questions = [choose_questions(answerable_questions(scene, self._media, rng), count, rng) for scene in scenes]
        visuals = [self._show(render_compressed(scene, rng, any_background=True)) for scene in scenes]
        if layout < TOGETHER_SHARE:
            return [*form.opening, *self._ask_together(visuals, questions, form.write, rng)]
        turns = form.opening
        for visual, each in zip(visuals, questions, strict=True):
            turns += to_turns([visual], map(form.write, each))
        return turns

    def _ask_together(
        self,
        visuals: Sequence[Part],
        questions: Sequence[Sequence[ShapesQuestion]],
        write: WriteQuestion,
        rng: Random,
    ) -> list[Turn]:
        """Return a conversation about two videos or images in one turn, with questions about each in turn."""
        named = [
            [name_visual(question, ordinal, self._media) for question in part]
            for ordinal, part in zip(("first", "second"), questions, strict=True)
        ]
        mixed = [question for pair in zip(*named, strict=False) for question in rng.sample(pair, len(pair))]
        if rng.random() < LABELED_SHARE:
            first, second = visuals
            visuals = [f"First {self._media}:", first, f"Second {self._media}:", second]
        return to_turns(visuals, map(write, mixed))


def name_visual(question: ShapesQuestion, ordinal: str, media: Media) -> ShapesQuestion:
    """Return a question about the first or second of two videos or images."""
    if question.kind == "description":
        return replace(question, text=f"Describe the {ordinal} {media}.")
    return replace(question, text=f"In the {ordinal} {media}, {question.text[0].lower()}{question.text[1:]}")
