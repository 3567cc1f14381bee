"""Tools and tool choices of VideoChatEmbed in every conventional form."""

from collections.abc import Mapping
from typing import Any, Literal

import pytest
from langchain_core.exceptions import ModelInvalidRequestError
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import BaseTool, StructuredTool, Tool
from pydantic import BaseModel, RootModel

from langchain_videochat import VideoChatEmbed
from langchain_videochat.embed.messages import write_tool_call
from langchain_videochat.errors import InputError
from tests.tiny_videochat import save_videochat
from tests.trained_videochat import Lesson, teach


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> VideoChatEmbed:
    folder = save_videochat(tmp_path_factory.mktemp("videochat"), max_positions=4096)
    return VideoChatEmbed(model=str(folder), max_tokens=400)


def add(a: int, b: int) -> int:
    """Add numbers."""
    return a + b


def greet(name: Literal["Ann", "Bob"]) -> str:
    """Greet somebody."""
    return name


class Stop(BaseModel):
    """Stop."""


OPENAI = {"type": "function", "function": {"name": "greet", "parameters": {"type": "object", "properties": {}}}}
TOOLS: list[Any] = [add, greet, Stop]


def called(answer: AIMessage) -> list[str]:
    """Return the names of the tools that an answer calls."""
    return [call["name"] for call in answer.tool_calls]


# Choices


@pytest.mark.parametrize(
    "choice",
    [
        "greet",
        {"type": "function", "function": {"name": "greet"}},
        {"function": {"name": "greet"}},
        {"type": "function", "name": "greet"},
        {"type": "tool", "name": "greet"},
        {"name": "greet"},
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "greet"}]},
    ],
)
def test_one_tool_is_forced(llm: VideoChatEmbed, choice: Any) -> None:
    assert called(llm.bind_tools(TOOLS, tool_choice=choice).invoke("Go")) == ["greet"]
    assert called(llm.bind(tools=TOOLS, tool_choice=choice).invoke("Go")) == ["greet"]


@pytest.mark.parametrize("choice", ["any", "required", True, {"type": "any"}, {"type": "required"}])
def test_any_tool_is_forced(llm: VideoChatEmbed, choice: Any) -> None:
    assert set(called(llm.bind_tools(TOOLS, tool_choice=choice).invoke("Go"))) <= {"add", "greet", "Stop"}
    assert called(llm.bind(tools=TOOLS, tool_choice=choice).invoke("Go"))


@pytest.mark.parametrize("choice", [None, False, "auto", {"type": "auto"}])
def test_the_model_decides(llm: VideoChatEmbed, choice: Any) -> None:
    free = llm.bind_tools(TOOLS).invoke("Go", max_tokens=10)
    assert free.text
    answer = llm.bind_tools(TOOLS, tool_choice=choice).invoke("Go", max_tokens=10)
    assert (answer.text, answer.usage_metadata) == (free.text, free.usage_metadata)


@pytest.mark.parametrize("choice", ["none", {"type": "none"}])
def test_hidden_tools_are_not_in_the_prompt(llm: VideoChatEmbed, choice: Any) -> None:
    without_tools = llm.invoke("Go", max_tokens=5).usage_metadata
    for bound in (llm.bind_tools(TOOLS, tool_choice=choice), llm.bind(tools=TOOLS, tool_choice=choice)):
        assert bound.invoke("Go", max_tokens=5).usage_metadata == without_tools


def test_only_allowed_tools_are_in_the_prompt(llm: VideoChatEmbed) -> None:
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [OPENAI]}}
    allowed = llm.bind_tools(TOOLS, tool_choice=choice).invoke("Go", max_tokens=5)
    assert allowed.usage_metadata == llm.bind_tools([greet]).invoke("Go", max_tokens=5).usage_metadata


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("multiply", r"unknown tool 'multiply'\. Use one of add, greet"),
        ({"type": "tool", "name": "multiply"}, "unknown tool 'multiply'"),
        ({"type": "allowed_tools", "tools": [{"name": "multiply"}]}, "unknown tool 'multiply'"),
        ({"tool": "greet"}, "unknown form {'tool': 'greet'}. Give the name of a tool"),
        ({"function": "greet"}, "unknown form"),
    ],
)
def test_unknown_choices(llm: VideoChatEmbed, choice: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^tool_choice: {message}"):
        llm.bind_tools([add, greet], tool_choice=choice)
    with pytest.raises(ModelInvalidRequestError, match=f"^tool_choice: {message}"):
        llm.bind(tools=[add, greet], tool_choice=choice).invoke("Go")


def test_a_choice_without_tools(llm: VideoChatEmbed) -> None:
    with pytest.raises(InputError, match="'any' forces a call, but there are no tools"):
        llm.bind_tools([], tool_choice="any")
    with pytest.raises(ModelInvalidRequestError, match="'required' forces a call, but there are no tools"):
        llm.invoke("Go", tool_choice="required")


# Tools


@pytest.mark.parametrize(
    "tool",
    [
        greet,
        OPENAI,
        OPENAI["function"],
        {"type": "function", "name": "greet", "parameters": {"type": "object", "properties": {}}},
        {"name": "greet", "input_schema": {"type": "object", "properties": {}}},
        {"type": "custom", "name": "greet", "input_schema": {"type": "object", "properties": {}}},
        {"toolSpec": {"name": "greet", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
        {"title": "greet", "type": "object", "properties": {}},
        {"name": "greet", "strict": True, "schema": {"type": "object", "properties": {}}},
        StructuredTool.from_function(greet),
        Tool(name="greet", description="Greet somebody.", func=greet),
    ],
)
def test_forms_of_tools(llm: VideoChatEmbed, tool: Mapping[str, Any] | BaseTool) -> None:
    assert called(llm.bind_tools([tool], tool_choice="any").invoke("Go")) == ["greet"]  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("tool", "message"),
    [
        ({"type": "web_search"}, "'web_search' is a tool that a provider runs"),
        ({"type": "web_search_20250305", "name": "web_search"}, "'web_search_20250305' is a tool that a provider runs"),
        ({"google_search": {}}, "{'google_search': {}} cannot be converted"),
        ({"type": "function"}, "{'type': 'function'} describes no function"),
        ({"type": "object", "properties": {}}, "it has no name"),
        (RootModel[list[int]], "the arguments of .* are not a JSON object"),
    ],
)
def test_unknown_tools(llm: VideoChatEmbed, tool: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        llm.bind_tools([tool])
    with pytest.raises(ModelInvalidRequestError, match=message):
        llm.invoke("Go", tools=[tool])


# Several calls


@pytest.fixture(scope="module")
def eager(tmp_path_factory: pytest.TempPathFactory) -> VideoChatEmbed:
    """Return a model that has learned to call two tools at once."""
    folder = save_videochat(tmp_path_factory.mktemp("videochat"), max_positions=4096)
    calls = [write_tool_call("add", {"a": 1, "b": 2}), write_tool_call("greet", {"name": "Ann"})]
    teach(folder, [Lesson([HumanMessage("Go")], "\n".join(calls), [add, greet])])
    return VideoChatEmbed(model=str(folder), max_tokens=200)


@pytest.mark.parametrize("choice", [None, "any"])
def test_several_calls_in_one_answer(eager: VideoChatEmbed, choice: str | None) -> None:
    for parallel in (None, True):
        bound = eager.bind_tools([add, greet], tool_choice=choice, parallel_tool_calls=parallel)
        assert called(bound.invoke("Go")) == ["add", "greet"]
    answers = list(bound.stream("Go"))
    assert [call["args"] for answer in answers for call in answer.tool_calls] == [{"a": 1, "b": 2}, {"name": "Ann"}]


def test_one_call_in_an_answer(eager: VideoChatEmbed) -> None:
    for choice in (None, "any"):
        single = eager.bind_tools([add, greet], tool_choice=choice, parallel_tool_calls=False)
        assert called(single.invoke("Go")) == ["add"]
    for one_call in ("add", {"type": "any", "disable_parallel_tool_use": True}):
        assert called(eager.bind_tools([add, greet], tool_choice=one_call).invoke("Go")) == ["add"]


def test_an_untrained_model_makes_no_further_calls_by_chance(llm: VideoChatEmbed) -> None:
    bound = llm.bind_tools(TOOLS, tool_choice="any", parallel_tool_calls=True)
    answers = [bound.invoke("Go", temperature=1.5, seed=seed) for seed in range(6)]
    assert [len(answer.tool_calls) for answer in answers] == [1] * 6
