"""A chat model that answers by a script, and remembers what it was told."""

from collections.abc import Callable, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field


class ScriptedModel(BaseChatModel):
    """Answers each prompt with what a function makes of it.

    langchain-core's fake models answer from a list, whatever they are asked, and forget the prompts; a chain that asks
    several times at once needs more.
    """

    script: Callable[[str], str]
    """Makes the answer from the text of the prompt's last message."""

    piece: int = 4
    """Characters that are streamed at once."""

    fails_after: int | None = None
    """Pieces after which streaming fails; never if None."""

    prompts: list[list[BaseMessage]] = Field(default_factory=list)
    """What it was told, each time."""

    @property
    def last_prompts(self) -> list[str]:
        """The last message of each prompt."""
        return [messages[-1].text for messages in self.prompts]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self._answer(messages)))])

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        answer = self._answer(messages)
        for number, start in enumerate(range(0, max(1, len(answer)), self.piece)):
            if number == self.fails_after:
                raise ConnectionError("the model went away")
            yield ChatGenerationChunk(message=AIMessageChunk(content=answer[start : start + self.piece]))

    def _answer(self, messages: list[BaseMessage]) -> str:
        self.prompts.append(messages)
        return self.script(messages[-1].text)


def saying(answer: str, **options: Any) -> ScriptedModel:
    """Make a model that says the same to everything."""
    return ScriptedModel(script=lambda _: answer, **options)
