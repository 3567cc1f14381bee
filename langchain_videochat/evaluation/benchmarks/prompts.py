"""The prompts of the benchmarks, and the JSON schema for answers that are restricted to the options.

Results are comparable only with the same prompt, so the texts are those of the benchmarks' own evaluations.
"""

from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

if TYPE_CHECKING:
    from langchain_videochat.evaluation.benchmarks.items import BenchmarkItem

CHOICE_FIELD = "best_option"
"""Title and only field of the schema."""


INSTRUCTION = (
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail and movement of "
    "objects, and the action and pose of persons. Based on your observations, select the best option that accurately "
    "addresses the question."
)
"""System message of MVBench."""


@dataclass(frozen=True)
class SubtitleFormat:
    """How a benchmark selects and writes subtitles."""

    template: str = "{text}"
    """A subtitle, with the placeholders `{start}`, `{end}` and `{text}`. Times are in seconds."""

    separator: str = "\n"
    """What separates subtitles."""

    at_frames: bool = True
    """Whether only those displayed at the times of the sampled frames are listed, if these times are known."""

    min_seconds: float = 0.0
    """Seconds, around its middle, for which a subtitle counts as displayed at least."""

    unit: int = 1
    """Number of subtitles that are kept or left out together if not all fit into the context."""


@dataclass(frozen=True)
class PromptFormat:
    """The wording of a benchmark's questions."""

    template: str
    """Text with the placeholders `{question}`, `{options}` and, for benchmarks with subtitles, `{subtitles}`."""

    option: str = "{letter}. {text}"
    """Line for an option, with the placeholders `{letter}` and `{text}`."""

    system: str | None = None
    """System message."""

    subtitles: SubtitleFormat = SubtitleFormat()
    """The format of subtitles."""


MVBENCH = PromptFormat(
    "Question: {question}\nOptions:\n{options}\nOnly give the best option.", "({letter}) {text}", INSTRUCTION
)

VIDEO_MME = PromptFormat(
    "{subtitles}Select the best answer to the following multiple-choice question based on the video. Respond with "
    "only the letter (A, B, C, or D) of the correct option.\n{question}\n{options}\nThe best answer is:"
)

VIDEO_MME_V2 = PromptFormat(
    "These are the frames of a video.\n{subtitles}Question: {question}\n{options}\nSelect the best answer to the "
    "following multiple-choice question based on the video. Respond with only the letter (A, B, C, D, E, F, G, or H) "
    "of the correct option.",
    subtitles=SubtitleFormat(separator=" ", at_frames=False, unit=10),
)

LONG_VIDEO_BENCH = PromptFormat(
    "{subtitles}Question: {question}\n{options}\nAnswer with the option's letter from the given choices directly.",
    subtitles=SubtitleFormat("[{start:.1f} - {end:.1f} s] {text}", min_seconds=1.0),
)


def format_question(item: "BenchmarkItem", subtitles: str = "") -> str:
    """Format a question with its options, and the subtitles of the video if there are any.

    Example:
        >>> from langchain_videochat.evaluation import BenchmarkItem
        >>> options = ("Left.", "Right.")
        >>> item = BenchmarkItem("Moving Direction", 0, "a.mp4", None, "Where does it go?", options, "Left.")
        >>> print(format_question(item))
        Question: Where does it go?
        Options:
        (A) Left.
        (B) Right.
        Only give the best option.
    """
    options = [
        item.prompt.option.format(letter=letter, text=text)
        for letter, text in zip(ascii_uppercase, item.candidates, strict=False)
    ]
    listed = f"This video's subtitles are listed below:\n{subtitles}\n" if subtitles else ""
    return item.prompt.template.format(question=item.question, options="\n".join(options), subtitles=listed)


def build_messages(item: "BenchmarkItem", video: dict[str, Any], subtitles: str = "") -> list[BaseMessage]:
    """Return the messages for a chat model: the system message, if any, then the video with the question."""
    question = HumanMessage([video, {"type": "text", "text": format_question(item, subtitles)}])
    return [question] if item.prompt.system is None else [SystemMessage(item.prompt.system), question]


def choice_schema(item: "BenchmarkItem") -> dict[str, Any]:
    """Return a JSON schema that accepts the letter of an option of an item.

    Each question has its own schema. It makes the score independent of the model's wording.
    """
    letters = list(ascii_uppercase[: len(item.candidates)])
    return {
        "title": CHOICE_FIELD,
        "description": "Give the letter of the best option.",
        "type": "object",
        "properties": {CHOICE_FIELD: {"type": "string", "enum": letters}},
        "required": [CHOICE_FIELD],
    }
