"""Generate instruction data and train on it, offline: timelines, descriptions and conversations, files, one step.

The videos are generated (Shapes in Motion), so that everything about them is known, and a script replaces the language
model. For your own videos, use a chat model such as `init_chat_model("openai:gpt-5-mini")` instead.

Usage: python -m examples.make_instruction_data
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_videochat.evaluation.shapes import Scene, caption, describe, find_scene, generate_questions, write_scene
from langchain_videochat.evaluation.shapes.descriptions import event_clause
from langchain_videochat.evaluation.shapes.tiny_model import new_model
from langchain_videochat.evaluation.shapes.world import FRAME_RATE
from langchain_videochat.instruct import InstructionPlan, estimate, export, generate_instructions
from langchain_videochat.media import probe, video_id
from langchain_videochat.perception import Observation
from langchain_videochat.timeline import Timeline
from langchain_videochat.training import DataFile, TrainingConfig, train

VIDEOS = 20

PLAN = InstructionPlan(kinds=("description", "descriptive", "temporal", "causal"), words=(10, 40))
"""Descriptions of Shapes in Motion are short."""

QUESTION_KINDS = {
    "descriptive": {"color", "shape", "size", "count", "existence", "position"},
    "temporal": {"direction", "change", "first", "after", "when"},
    "causal": {"actor", "movers", "new color", "cause", "counterfactual"},
}
"""Kinds of questions in each kind of conversation."""


class TruthfulWriter(BaseChatModel):
    """A chat model that writes the truth about the scene whose number is the video's title."""

    @property
    def _llm_type(self) -> str:
        return "truthful-writer"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        message = AIMessage(self._write(messages[-1].text))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _write(self, prompt: str) -> str:
        if "Write the corrected description" in prompt:
            return str(re.findall(r"<video_notes>\n(.*)\n</video_notes>", prompt)[0])
        number = int(re.findall(r"<video_notes>\nscene (\d+)", prompt)[0])
        scene = find_scene("train", number)
        kind = re.findall(r"Write the (\w+) conversation", prompt)
        return json.dumps(list(converse(scene, number, kind[0]))) if kind else describe(scene)


def converse(scene: Scene, number: int, kind: str) -> Iterator[dict[str, str]]:
    """Yield questions about a scene with answers as sentences."""
    for question in generate_questions(scene, Random(number)):
        if question.kind in QUESTION_KINDS[kind]:
            yield {"q": question.text, "a": f"{question.answer.capitalize()}."}


def perceive(path: Path, scene: Scene) -> Timeline:
    """Return the timeline that perfect perception models would produce."""
    observations = [Observation(0.0, 0.5, "caption", caption(scene))]
    for event in scene.events:
        observations.append(
            Observation(event.start / FRAME_RATE, event.end / FRAME_RATE, "action", event_clause(scene, event))
        )
    return Timeline.of(probe(path), video_id(path), observations)


def main(folder: Path) -> None:
    """Generate data for some videos in a folder, and train on it."""
    print(f"== {VIDEOS} videos and their timelines\n")
    timelines = []
    for number in range(VIDEOS):
        path, scene = folder / "videos" / f"scene {number}.mp4", find_scene("train", number)
        write_scene(path, scene, number)
        timelines.append(perceive(path, scene))
    print(timelines[0].to_prompt())

    print("\n== Cost of a language model in dollars\n")
    print(estimate(timelines, folder / "made", PLAN, input_price=0.25, output_price=2.0))

    print("\n== Descriptions and conversations\n")
    print(generate_instructions(TruthfulWriter(), timelines, folder / "made", PLAN))

    print("\n== Training files\n")
    print(export(folder / "made", folder / "data", validation=0.2))

    print("\n== One training step\n")
    model, processor = new_model()
    model.save_pretrained(folder / "model")
    processor.save_pretrained(folder / "model")
    config = TrainingConfig(
        stage=1,
        model=str(folder / "model"),
        data=(DataFile(file=folder / "data" / "captions.train.json"),),
        output=folder / "run",
        steps=1,
        batch_size=4,
        learning_rate=1e-3,
        min_lr_ratio=0.01,
        num_frames=4,
        max_text_tokens=64,
        precision="fp32",
        num_workers=0,
    )
    print(train(config, show_progress=False))


if __name__ == "__main__":
    with TemporaryDirectory() as scratch:
        main(Path(scratch))
