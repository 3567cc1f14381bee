"""The prompt of MVBench, and the JSON schema for constrained decoding of the answer."""

from string import ascii_uppercase
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from langchain_videochat.evaluation.mvbench.dataset import BenchmarkItem
from langchain_videochat.evaluation.mvbench.video_blocks import Block

INSTRUCTION = (
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail and movement of "
    "objects, and the action and pose of persons. Based on your observations, select the best option that accurately "
    "addresses the question."
)
"""System message of MVBench, verbatim: results are comparable only with the same prompt."""

CHOICE_FIELD = "best_option"
"""Title and only field of the schema."""


def format_question(item: BenchmarkItem) -> str:
    """Format a question with its options.

    Example:
        >>> options = ("Left.", "Right.")
        >>> item = BenchmarkItem("Moving Direction", 0, "a.mp4", None, "Where does it go?", options, "Left.")
        >>> print(format_question(item))
        Question: Where does it go?
        Options:
        (A) Left.
        (B) Right.
        Only give the best option.
    """
    options = [f"({letter}) {text}" for letter, text in zip(ascii_uppercase, item.candidates, strict=False)]
    return "\n".join([f"Question: {item.question}", "Options:", *options, "Only give the best option."])


def build_messages(item: BenchmarkItem, video: Block) -> list[BaseMessage]:
    """Return the messages for a chat model: the instruction, then the video with the question."""
    return [SystemMessage(INSTRUCTION), HumanMessage([video, {"type": "text", "text": format_question(item)}])]


def choice_schema(item: BenchmarkItem) -> dict[str, Any]:
    """Return a JSON schema that accepts the letter of an option of an item.

    Each question has its own schema. Constrained decoding makes the score independent of the model's wording.
    """
    letters = list(ascii_uppercase[: len(item.candidates)])
    return {
        "title": CHOICE_FIELD,
        "description": "Give the letter of the best option.",
        "type": "object",
        "properties": {CHOICE_FIELD: {"type": "string", "enum": letters}},
        "required": [CHOICE_FIELD],
    }
