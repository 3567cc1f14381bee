"""What is to be made of each video."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from langchain_core.prompts import ChatPromptTemplate

from langchain_videochat.errors import InputError
from langchain_videochat.instruct.items import KINDS, Kind
from langchain_videochat.instruct.prompts import PROMPTS, PromptName, check_prompts
from langchain_videochat.text.question_answering import LEAST_CONTEXT_TOKENS

MAX_CONTEXT_TOKENS = 6000
"""Tokens of notes in a prompt: with the instructions and a conversation they fill a context of 8,192."""

WORDS = (150, 200)
"""Words of a description, as the paper has them."""


@dataclass(frozen=True)
class Plan:
    """What is to be made of each video.

    Raises:
        InputError: A value makes no sense.

    Example:
        >>> Plan(("temporal", "causal"), language="German").words
        (150, 200)
    """

    kinds: tuple[Kind, ...] = ("description",)
    """"description", and the conversations "descriptive", "temporal" and "causal"."""

    language: str = "English"
    """English name of the language to write in."""

    words: tuple[int, int] = WORDS
    """How many words a description has, at least and at most."""

    max_context_tokens: int = MAX_CONTEXT_TOKENS
    """Tokens that the notes of a video may take in one prompt; longer ones are condensed first."""

    prompts: Mapping[PromptName, ChatPromptTemplate] = field(default_factory=dict)
    """What the model is told instead of `prompts.PROMPTS`, by the names there."""

    def __post_init__(self) -> None:
        if not self.kinds or not set(self.kinds) <= set(KINDS) or len(set(self.kinds)) < len(self.kinds):
            problem = f"{', '.join(self.kinds) or 'none'} cannot be made"
            raise InputError("kinds", problem, f"Take some of {', '.join(KINDS)}, each once")
        if not 1 <= self.words[0] <= self.words[1]:
            problem = f"{self.words[0]} to {self.words[1]} words are no length"
            raise InputError("words", problem, "Give the fewest first, 1 or more")
        if self.max_context_tokens < LEAST_CONTEXT_TOKENS:
            problem = f"{self.max_context_tokens} is too few for one moment"
            raise InputError("max_context_tokens", problem, f"Give {LEAST_CONTEXT_TOKENS} or more")
        check_prompts(self.prompts)

    def prompt(self, name: PromptName) -> ChatPromptTemplate:
        """Give a prompt."""
        return self.prompts.get(name, PROMPTS[name])
