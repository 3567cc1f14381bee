"""How MVBench asks: its prompt, and the form in which a model that keeps to forms answers."""

from string import ascii_uppercase
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from langchain_videochat.evaluation.mvbench.dataset import Item
from langchain_videochat.evaluation.mvbench.video_blocks import Block

INSTRUCTION = (
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail and movement of "
    "objects, and the action and pose of persons. Based on your observations, select the best option that accurately "
    "addresses the question."
)
"""What MVBench tells every model first, word for word: figures compare only with the same prompt."""

CHOICE = "best_option"
"""The form's name, and its only field's."""


def write_prompt(item: Item) -> str:
    """Write what is asked about a video.

    Example:
        >>> item = Item("Moving Direction", 0, "a.mp4", None, "Where does it go?", ("Left.", "Right."), "Left.")
        >>> print(write_prompt(item))
        Question: Where does it go?
        Options:
        (A) Left.
        (B) Right.
        Only give the best option.
    """
    options = [f"({letter}) {text}" for letter, text in zip(ascii_uppercase, item.candidates, strict=False)]
    return "\n".join([f"Question: {item.question}", "Options:", *options, "Only give the best option."])


def write_messages(item: Item, video: Block) -> list[BaseMessage]:
    """Write what a chat model is told: the instruction, then the video and the question about it."""
    return [SystemMessage(INSTRUCTION), HumanMessage([video, {"type": "text", "text": write_prompt(item)}])]


def describe_choice(item: Item) -> dict[str, Any]:
    """Describe the form in which the letter of an option of an item is given, as a JSON schema."""
    letters = list(ascii_uppercase[: len(item.candidates)])
    return {
        "title": CHOICE,
        "description": "Give the letter of the best option.",
        "type": "object",
        "properties": {CHOICE: {"type": "string", "enum": letters}},
        "required": [CHOICE],
    }
