"""A scripted chat model and stored talks, for tests of agents and their tools."""

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolCall
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from PIL import Image
from pydantic import Field

from langchain_videochat.media import probe, video_id
from langchain_videochat.perception import Observation
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.timeline import Timeline
from tests.slides import Slide, draw_slide, render_talk

SECONDS = 4.0
"""Duration of a slide."""

Turn = AIMessage | Exception | Callable[[list[BaseMessage]], AIMessage]


class ScriptedChat(BaseChatModel):
    """Answers by a script, turn by turn, and records its prompts."""

    turns: list[Any]
    """Each is a `Turn`: a message, an error to raise, or a function that returns the message."""

    received: list[list[BaseMessage]] = Field(default_factory=list)
    """The messages of each turn."""

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        turn: Turn = self.turns[len(self.received)]
        self.received.append(list(messages))
        if isinstance(turn, Exception):
            raise turn
        message = turn if isinstance(turn, AIMessage) else turn(messages)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools])

    @property
    def _llm_type(self) -> str:
        return "scripted"


def tool_call(tool: str, **arguments: Any) -> ToolCall:
    """Return a tool call as a language model writes it."""
    return ToolCall(name=tool, args=arguments, id=f"call_{tool}", type="tool_call")


def calling(tool: str, **arguments: Any) -> AIMessage:
    """Return the message of a model that calls a tool."""
    return AIMessage("", tool_calls=[tool_call(tool, **arguments)])


def make_talk(path: Path, slides: Sequence[Slide]) -> Timeline:
    """Render a talk and return its exact timeline."""
    render_talk(path, slides, SECONDS)
    observations = []
    for number, lines in enumerate(slides):
        start, end = number * SECONDS, (number + 1) * SECONDS
        observations.append(Observation(start, end, "scene", f"scene {number}"))
        observations += [Observation(start, end, "screen_text", line) for line in lines]
    return Timeline.of(probe(path), video_id(path), observations)


def make_store(*timelines: Timeline) -> VideoTimelineStore:
    """Return an in-memory store of timelines, with a bag-of-words embedding."""
    from tests.unit_tests.embeddings import BagOfWords

    store = VideoTimelineStore(embedding=BagOfWords())
    for timeline in timelines:
        store.add(timeline)
    return store


def slide_in(block: dict[str, Any], slides: Sequence[Slide]) -> Slide:
    """Return the slide that an image block shows."""
    assert (block["type"], block["mime_type"]) == ("image", "image/jpeg")
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(block["base64"]))), float)
    return min(slides, key=lambda slide: float(np.abs(picture - np.asarray(draw_slide(slide), float)).mean()))


def text_of(content: str | list[Any]) -> str:
    """Return the text of a message's content, without images."""
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content if block["type"] == "text")


class ToolOfClass:
    """Parameters of LangChain's standard tests of a tool."""

    constructor: type[BaseTool]
    example: dict[str, Any]

    @property
    def tool_constructor(self) -> type[BaseTool]:
        """The tool's class."""
        return self.constructor

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        """Example arguments."""
        return self.example
