"""Structured output of VideoChatEmbed with random weights: response formats of agents, and with_structured_output."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRequest, wrap_model_call
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.exceptions import ModelInvalidRequestError
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from pydantic import BaseModel, RootModel
from typing_extensions import TypedDict

from langchain_videochat import VideoChatEmbed
from langchain_videochat.embed.json_schemas import is_recursive
from langchain_videochat.embed.messages import write_tool_call
from langchain_videochat.errors import InputError
from tests.tiny_videochat import save_videochat
from tests.trained_videochat import Lesson, teach


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> VideoChatEmbed:
    folder = save_videochat(tmp_path_factory.mktemp("videochat"), max_positions=8192)
    return VideoChatEmbed(model=str(folder), max_tokens=100, temperature=1.5, seed=3)


class Step(BaseModel):
    """A step of a recipe, with the steps that it consists of."""

    minutes: float
    steps: list["Step"] = []


class Mood(BaseModel):
    """A mood."""

    mood: Literal["glad", "sad"]


class Place(TypedDict):
    """A place, with the places inside it."""

    name: str
    inside: "list[Place]"


@dataclasses.dataclass
class Size:
    """A size."""

    meters: int


def weigh(grams: int) -> str:
    """Weigh an ingredient."""
    return f"{grams} g"


GO: Any = {"messages": [HumanMessage("Go")]}


@wrap_model_call
def call_once(request: ModelRequest, handler: Any) -> Any:
    """Take the tools away after a call: a model with random weights might call them forever."""
    has_called = any(isinstance(message, ToolMessage) for message in request.messages)
    return handler(request.override(tools=[]) if has_called else request)


# Agents


@pytest.mark.parametrize("response_format", [Step, ProviderStrategy(Step, strict=True), ToolStrategy(Step)])
@pytest.mark.parametrize("tools", [[], [weigh]])
def test_an_agent_with_a_response_format(llm: VideoChatEmbed, response_format: Any, tools: list[Any]) -> None:
    agent: Any = create_agent(llm, tools, middleware=[call_once], response_format=response_format)
    assert isinstance(agent.invoke(GO)["structured_response"], Step)


@pytest.mark.parametrize("response_format", [Mood.model_json_schema(), Step.model_json_schema(), Place, Size])
def test_response_formats_of_other_kinds(llm: VideoChatEmbed, response_format: Any) -> None:
    response = create_agent(llm, response_format=response_format).invoke(GO)["structured_response"]
    assert isinstance(response, Size if response_format is Size else dict)
    assert response


def test_a_union_of_response_formats(llm: VideoChatEmbed) -> None:
    agent: Any = create_agent(llm, response_format=ToolStrategy(Mood | Size))
    assert isinstance(agent.invoke(GO)["structured_response"], Mood | Size)


def test_the_content_is_the_json_of_the_response(llm: VideoChatEmbed) -> None:
    state = create_agent(llm, response_format=Mood).invoke(GO)
    answer = state["messages"][-1]
    assert Mood.model_validate_json(answer.text) == state["structured_response"]
    assert answer.response_metadata["finish_reason"] == "stop"


async def test_an_asynchronous_agent(llm: VideoChatEmbed) -> None:
    state = await create_agent(llm, response_format=Mood).ainvoke(GO)
    assert isinstance(state["structured_response"], Mood)


def test_a_response_is_streamed(llm: VideoChatEmbed) -> None:
    streamed = create_agent(llm, response_format=Mood).stream(GO, stream_mode="messages")
    texts = [message.text for message, _ in streamed if isinstance(message, AIMessageChunk)]
    assert len(texts) > 5
    assert Mood.model_validate_json("".join(texts))


def test_an_agent_calls_a_tool_and_then_fills_in_the_form(tmp_path: Path) -> None:
    folder = save_videochat(tmp_path, max_positions=4096)
    question, call = HumanMessage("Go"), {"name": "weigh", "args": {"grams": 5}, "id": "1"}
    result = ToolMessage("5 g", name="weigh", tool_call_id="1")
    history = [question, AIMessage("", tool_calls=[call]), result]
    lessons = [
        Lesson([question], write_tool_call("weigh", {"grams": 5}), [weigh], Mood),
        Lesson(history, '{"mood":"sad"}', [weigh], Mood),
    ]
    teach(folder, lessons)
    state = create_agent(VideoChatEmbed(model=str(folder)), [weigh], response_format=Mood).invoke(GO)
    assert [message.text for message in state["messages"]] == ["Go", "", "5 g", '{"mood":"sad"}']
    assert state["structured_response"] == Mood(mood="sad")


def test_middleware_may_force_a_call(llm: VideoChatEmbed) -> None:
    @wrap_model_call
    def force(request: ModelRequest, handler: Any) -> Any:
        is_first = len(request.messages) == 1
        return handler(request.override(tool_choice="weigh" if is_first else "none"))

    agent = create_agent(llm, [weigh], middleware=[force])
    messages = agent.invoke(GO)["messages"]
    assert [type(message) for message in messages] == [HumanMessage, AIMessage, ToolMessage, AIMessage]


# with_structured_output

METHODS: list[Any] = ["function_calling", "json_schema", "json_mode"]


@pytest.mark.parametrize("method", METHODS)
def test_recursive_schemas(llm: VideoChatEmbed, method: Any) -> None:
    schemas = [
        Step.model_json_schema(),
        {"name": "Step", "strict": True, "schema": Step.model_json_schema()},
        {"type": "json_schema", "json_schema": {"name": "Step", "schema": Step.model_json_schema()}},
    ]
    assert isinstance(llm.with_structured_output(Step, method=method).invoke("Go"), Step)
    for seed, schema in enumerate(schemas):
        Step.model_validate(llm.with_structured_output(schema, method=method).invoke("Go", seed=seed))
    place = llm.with_structured_output(Place, method=method).invoke("Go")
    assert isinstance(place, dict)
    assert place.keys() == {"name", "inside"}


def test_recursive_arguments_of_tools(llm: VideoChatEmbed) -> None:
    def cook(step: Step) -> str:
        """Cook a step."""
        return str(step)

    for seed in range(3):
        (call,) = llm.bind_tools([cook], tool_choice="any").invoke("Go", seed=seed).tool_calls
        Step.model_validate(call["args"]["step"])


def test_references_that_many_parts_share_are_not_recursive(llm: VideoChatEmbed) -> None:
    def compare(one: Size, other: Size) -> str:
        """Compare two sizes."""
        return str(one.meters - other.meters)

    bound: Any = llm.bind_tools([compare], tool_choice="any")
    (tool,) = bound.kwargs["tools"]
    assert "$ref" not in str(tool)  # LangChain inlines references that are not recursive
    (call,) = bound.invoke("Go").tool_calls
    assert call["args"].keys() == {"one", "other"}

    # Following each of these references separately would take 2**24 steps.
    pairs = [{"prefixItems": [{"$ref": f"#/$defs/{level}"}] * 2} for level in range(25)]
    definitions = {str(level): pair for level, pair in enumerate(pairs[1:])}
    assert not is_recursive(pairs[0] | {"$defs": definitions | {"24": {"type": "string"}}})
    assert is_recursive(pairs[0] | {"$defs": definitions | {"24": {"$ref": "#/$defs/0"}}})


@pytest.mark.parametrize("method", METHODS)
async def test_the_raw_message(llm: VideoChatEmbed, method: Any) -> None:
    structured = llm.with_structured_output(Mood, method=method, include_raw=True)
    for result in (structured.invoke("Go"), await structured.ainvoke("Go")):
        assert isinstance(result, dict)
        assert result["parsing_error"] is None
        assert isinstance(result["parsed"], Mood)
        assert result["raw"].response_metadata["finish_reason"] == ("tool_calls" if method == METHODS[0] else "stop")


@pytest.mark.parametrize("method", METHODS)
async def test_structured_output_is_streamed(llm: VideoChatEmbed, method: Any) -> None:
    structured = llm.with_structured_output(Step.model_json_schema(), method=method)
    parts = [part async for part in structured.astream("Go")]
    Step.model_validate(parts[-1])
    assert method == "function_calling" or len(parts) > 1


def test_a_list_is_structured_output(llm: VideoChatEmbed) -> None:
    class Moods(RootModel[list[Mood]]):
        """Moods."""

    assert isinstance(llm.with_structured_output(Moods, method="json_schema").invoke("Go"), Moods)
    with pytest.raises(InputError, match=r'arguments of .*Moods. are not a JSON object.*method="json_schema"'):
        llm.with_structured_output(Moods)


def test_unknown_arguments(llm: VideoChatEmbed) -> None:
    with pytest.raises(InputError, match=r"unknown method 'foo'\. Use one of function_calling, json_schema"):
        llm.with_structured_output(Mood, method="foo")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"include_row: unknown argument\. .* is include_raw"):
        llm.with_structured_output(Mood, include_row=True)
    with pytest.raises(InputError, match=r'it has no name. Give a JSON schema a "title"'):
        llm.with_structured_output({"type": "object", "properties": {}})


# response_format


@pytest.mark.parametrize(
    "response_format",
    [
        Mood,
        Mood.model_json_schema(),
        {"type": "json_schema", "json_schema": {"name": "m", "schema": Mood.model_json_schema()}},
    ],
)
def test_forms_of_response_formats(llm: VideoChatEmbed, response_format: Any) -> None:
    Mood.model_validate_json(llm.invoke("Go", response_format=response_format).text)


def test_plain_response_formats(llm: VideoChatEmbed) -> None:
    assert llm.invoke("Go", response_format={"type": "json_object"}).text.startswith("{")
    plain = llm.invoke("Go", seed=1)
    assert llm.invoke("Go", seed=1, response_format={"type": "text"}).text == plain.text
    with pytest.raises(ModelInvalidRequestError, match="'grammar' is"):
        llm.invoke("Go", response_format={"type": "grammar"})
