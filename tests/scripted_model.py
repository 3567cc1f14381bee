"""A chat model that answers by a script and records its prompts."""

from collections.abc import Callable, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field


class ScriptedModel(BaseChatModel):
    """Answers each prompt with a function of its text.

    langchain-core's fake models answer from a list, which does not suit parallel calls, and do not record prompts.
    """

    script: Callable[[str], str]
    """Returns the answer to the text of a prompt's last message."""

    delta_length: int = 4
    """Characters per streamed chunk."""

    fail_after: int | None = None
    """Chunks after which streaming fails; never if None."""

    prompts: list[list[BaseMessage]] = Field(default_factory=list)
    """The messages of each call."""

    @property
    def last_messages(self) -> list[str]:
        """The text of the last message of each call."""
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
        for number, start in enumerate(range(0, max(1, len(answer)), self.delta_length)):
            if number == self.fail_after:
                raise ConnectionError("connection lost")
            yield ChatGenerationChunk(message=AIMessageChunk(content=answer[start : start + self.delta_length]))

    def _answer(self, messages: list[BaseMessage]) -> str:
        self.prompts.append(messages)
        return self.script(messages[-1].text)


def model_answering(answer: str, **options: Any) -> ScriptedModel:
    """Create a model that gives the same answer to every prompt."""
    return ScriptedModel(script=lambda _: answer, **options)
