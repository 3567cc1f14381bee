"""The plan of a generation run: which items to generate for each video."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from langchain_core.prompts import ChatPromptTemplate

from langchain_videochat.errors import InputError
from langchain_videochat.instruct.instruction_prompts import PROMPTS, PromptName, check_prompts
from langchain_videochat.instruct.items import ITEM_KINDS, ItemKind
from langchain_videochat.text.question_answering import MIN_CONTEXT_TOKENS

MAX_CONTEXT_TOKENS = 6000
"""Tokens of notes in a prompt. With the instructions and a conversation they fit a context of 8,192."""

WORDS = (150, 200)
"""Words in a description, as in the paper."""


@dataclass(frozen=True)
class InstructionPlan:
    """Which items to generate for each video, and how.

    Raises:
        InputError: A value is invalid.

    Example:
        >>> InstructionPlan(("temporal", "causal"), language="German").words
        (150, 200)
    """

    kinds: tuple[ItemKind, ...] = ("description",)
    """"description", and the conversations "descriptive", "temporal" and "causal"."""

    language: str = "English"
    """English name of the language to write in."""

    words: tuple[int, int] = WORDS
    """Minimum and maximum number of words in a description."""

    max_context_tokens: int = MAX_CONTEXT_TOKENS
    """Maximum tokens of a video's notes in one prompt. Longer notes are condensed first."""

    prompts: Mapping[PromptName, ChatPromptTemplate] = field(default_factory=dict)
    """Replacements for prompts in `instruction_prompts.PROMPTS`, by name."""

    def __post_init__(self) -> None:
        if not self.kinds or not set(self.kinds) <= set(ITEM_KINDS) or len(set(self.kinds)) < len(self.kinds):
            problem = f"must be distinct item kinds, got {', '.join(self.kinds) or 'none'}"
            raise InputError("kinds", problem, f"Choose from {', '.join(ITEM_KINDS)}")
        if not 1 <= self.words[0] <= self.words[1]:
            problem = f"must be a range from 1 word upwards, got {self.words[0]} to {self.words[1]}"
            raise InputError("words", problem, "Give the minimum first")
        if self.max_context_tokens < MIN_CONTEXT_TOKENS:
            problem = f"must be at least {MIN_CONTEXT_TOKENS}, got {self.max_context_tokens}"
            raise InputError("max_context_tokens", problem, "Give a larger number")
        check_prompts(self.prompts)

    def prompt(self, name: PromptName) -> ChatPromptTemplate:
        """Return a prompt, replaced or built in."""
        return self.prompts.get(name, PROMPTS[name])
