"""The question-answering chain as a part of LangChain programs: messages, agents, graphs, traces, any model."""

import asyncio
import re
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tracers import BaseTracer
from langchain_core.tracers.schemas import Run
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import ToolsIntegrationTests
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from pydantic import BaseModel
from typing_extensions import TypedDict

from langchain_videochat.errors import InputError, ModelError
from langchain_videochat.text.question_answering import create_video_qa_chain
from langchain_videochat.text.tools.ask_videos import AskVideosTool
from tests.agents import ScriptedChat, ToolOfClass, calling
from tests.scripted_model import ScriptedModel, model_answering
from tests.unit_tests.embeddings import BagOfWords, make_slides, make_timeline

EGGS = make_slides("eggs", "Whisk two eggs", "Heat the pan", "Fold the omelette")
TURNS: list[AnyMessage] = [
    SystemMessage("You are a cook."),
    HumanMessage("What is made?"),
    AIMessage("", tool_calls=[{"name": "search", "args": {}, "id": "1"}]),
    ToolMessage("found", tool_call_id="1"),
    AIMessage("An omelette."),
]
REWRITING = {"Rewrite": "When is the omelette folded?", "": "At the end [3]."}


def scripted(answers: dict[str, str]) -> ScriptedModel:
    """Create a model that gives the first answer whose key is in the prompt."""
    return ScriptedModel(script=lambda prompt: next(answer for key, answer in answers.items() if key in prompt))


# Messages


@pytest.mark.parametrize(
    ("question", "history"),
    [
        (HumanMessage("When is it folded?"), []),
        ([HumanMessage([{"type": "text", "text": "When is it folded?"}])], []),
        ([*TURNS, HumanMessage("When is it folded?")], ["What is made?", "An omelette."]),
        ([("human", "What is made?"), ("ai", "An omelette."), ("human", "When is it folded?")], None),
        ({"messages": "When is it folded?"}, []),
        ({"messages": [*TURNS, HumanMessage("When is it folded?")], "remaining_steps": 9}, None),
        # An agent in the middle of its turn.
        ({"messages": [*TURNS, HumanMessage("When is it folded?"), *TURNS[2:4]], "video_id": "eggs"}, None),
    ],
)
def test_the_last_human_message_is_the_question(question: Any, history: list[str] | None) -> None:
    history = ["What is made?", "An omelette."] if history is None else history
    model = scripted(REWRITING)
    chain = create_video_qa_chain(model, EGGS)
    assert chain.invoke(question)["answer"] == "At the end [3]."
    assert model.last_messages[-1].endswith(f"Question: {REWRITING['Rewrite'] if history else 'When is it folded?'}")
    assert [turn.text for turn in model.prompts[0][1:-1]] == history
    assert model.last_messages[0].endswith("When is it folded?")
    assert asyncio.run(chain.ainvoke(question)) == chain.invoke(question)


def test_messages_can_be_restricted_to_videos_and_times() -> None:
    chain = create_video_qa_chain(model_answering("Hot [1]."), EGGS)
    answered = chain.invoke({"messages": [HumanMessage("What?")], "start": 30, "end": 60})
    assert [one.metadata["start"] for one in answered["documents"]] == [30]
    with pytest.raises(InputError, match="video_id: 'dogs' is not the video of this timeline"):
        chain.invoke({"messages": [HumanMessage("What?")], "video_id": "dogs"})


@pytest.mark.parametrize(
    ("question", "problem"),
    [
        ([], "messages: have no human message"),
        ({"messages": []}, "messages: have no human message"),
        (AIMessage("Eggs."), "messages: have no human message"),
        ({"messages": [AIMessage("Eggs.")]}, "messages: have no human message"),
        ({"messages": 5}, "messages: is not a list of messages"),
        ({"messages": [{"role": "narrator", "content": "b"}]}, "messages: is not a list of messages"),
        ([HumanMessage([{"type": "image", "url": "https://example.org/a.png"}])], "question: is empty"),
        ({"history": []}, "question: is missing"),
        ({"question": "a", "messages": []}, "messages: unknown field of a question"),
        ({"messages": [HumanMessage("a")], "start": -1}, "start: must be 0 or a positive number"),
    ],
)
def test_messages_without_a_question_are_refused(question: Any, problem: str) -> None:
    model = model_answering("Yes [1].")
    with pytest.raises(InputError, match=re.escape(problem)):
        create_video_qa_chain(model, EGGS).invoke(question)
    assert model.prompts == []


def test_the_chain_is_a_node_of_a_graph() -> None:
    class State(TypedDict):
        messages: Annotated[list[AnyMessage], add_messages]
        answer: str

    graph = StateGraph(State)
    graph.add_node("qa", create_video_qa_chain(scripted(REWRITING), EGGS) | (lambda one: {"answer": one["answer"]}))
    graph.add_edge(START, "qa")
    start: State = {"messages": [*TURNS, HumanMessage("When is it folded?")], "answer": ""}
    state = graph.compile().invoke(start)
    assert state["answer"] == "At the end [3]."


# As a tool


class TestAskVideosTool(ToolOfClass, ToolsIntegrationTests):
    constructor, example = AskVideosTool, {"question": "How many eggs?", "end": "00:30"}

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"chain": create_video_qa_chain(model_answering("Two eggs [1]."), EGGS)}


def test_an_agent_asks_the_chain_as_a_tool() -> None:
    tool = create_video_qa_chain(model_answering("Two eggs are whisked [1]."), EGGS).as_tool()
    assert (tool.name, list(tool.args)) == ("ask_videos", ["question", "video_id", "start", "end"])
    assert "citations" in tool.description
    chat = ScriptedChat(turns=[calling("ask_videos", question="How many eggs?", end="00:30"), AIMessage("Two.")])
    messages = create_agent(chat, [tool]).invoke({"messages": [HumanMessage("How many eggs?")]})["messages"]
    result = messages[2]
    assert result.text == (
        "<video_notes>\nTwo eggs are whisked [1].\n\n[1] eggs 00:00-00:30, video_id eggs\n"
        "file:///films/eggs.mp4#t=0,30\n</video_notes>"
    )
    assert result.artifact["supported"] is True
    assert [one.page_content for one in result.artifact["documents"]] == ["eggs\nOn screen: Whisk two eggs"]


def test_the_tool_says_what_is_not_supported_and_names_the_closest_moments() -> None:
    tool = create_video_qa_chain(model_answering("No idea."), EGGS).as_tool()
    content = asyncio.run(tool.ainvoke({"question": "Fold the omelette"}))
    assert "Not supported by the videos" in content
    assert "The closest moments:\n[3] eggs 01:00-01:30" in content


def test_errors_of_the_tool_are_results_with_advice() -> None:
    tool = create_video_qa_chain(model_answering("Yes [1]."), EGGS).as_tool()
    assert "'dogs' is not the video of this timeline" in tool.invoke({"question": "What?", "video_id": "dogs"})
    assert "'soon' is not a valid time" in tool.invoke({"question": "What?", "start": "soon"})


def test_name_description_and_arguments_of_the_tool_can_be_chosen() -> None:
    class Arguments(BaseModel):
        question: str

    chain = create_video_qa_chain(model_answering("Yes [1]."), EGGS)
    for arguments in ({"args_schema": Arguments}, {"arg_types": get_type_hints(Arguments)}):
        tool = chain.with_config(tags=["kitchen"]).as_tool(name="cooking", description="Asks a cook.", **arguments)
        assert (tool.name, tool.description, list(tool.args)) == ("cooking", "Asks a cook.", ["question"])
        assert "Yes [1]." in tool.invoke({"question": "Is it hot?"})


# Models


class Form(BaseModel):
    """Something that is counted."""

    count: int


FORMS: dict[str, Callable[[ScriptedChat], Runnable[Any, Any]]] = {
    "it called a tool instead of writing an answer": lambda chat: chat.bind_tools([Form]),
    "its answer is not text (Form)|it returned nothing": lambda chat: chat.with_structured_output(Form),
    "its answer is not text (dict)|its answer is not text (AddableDict)": lambda chat: chat.with_structured_output(
        Form, include_raw=True
    ),
}
"""Models that do not answer with text, and what is reported. Some parsers of LangChain yield nothing when streamed."""


@pytest.mark.parametrize("question", ["How many eggs?", {"question": "When?", "history": [("human", "Hi")]}])
@pytest.mark.parametrize("problems", FORMS)
def test_models_that_do_not_answer_with_text_are_reported(problems: str, question: Any) -> None:
    chain = create_video_qa_chain(FORMS[problems](ScriptedChat(turns=[calling("Form", count=2)] * 3)), EGGS)

    async def stream() -> list[Any]:
        return [part async for part in chain.astream(question)]

    reported = []
    for ask in (lambda: chain.invoke(question), lambda: list(chain.stream(question)), lambda: asyncio.run(stream())):
        with pytest.raises(
            ModelError, match=r"Pass a model without tools and without with_structured_output\(\)"
        ) as error:
            ask()
        reported.append(error.value.problem)
    assert set(reported) <= set(problems.split("|"))


def test_models_with_tools_may_answer_with_text() -> None:
    llm = ScriptedChat(turns=[AIMessage("Two eggs [1].")]).bind_tools([Form])
    assert create_video_qa_chain(llm, EGGS).invoke("How many eggs?")["supported"] is True


def test_models_that_complete_text_answer_too() -> None:
    answered = create_video_qa_chain(FakeListLLM(responses=["Two eggs [1]."]), EGGS).invoke("How many eggs?")
    assert answered["answer"] == "Two eggs [1]."


# Traces


class Runs(BaseTracer):
    """Collects the names of all runs."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def _persist_run(self, run: Run) -> None:
        self._collect(run)

    def _collect(self, run: Run) -> None:
        self.names.append(run.name)
        for child in run.child_runs:
            self._collect(child)


def moments_in_memory() -> InMemoryVectorStore:
    store = InMemoryVectorStore(BagOfWords())
    store.add_documents(list(EGGS.to_documents("moment")))
    return store


LONG = make_slides("talk", *[f"Slide {number} " + "word " * 60 for number in range(12)])
STEPS = {"parse_question", "rewrite_question", "find_moments", "answer_question"}


@pytest.mark.parametrize(
    ("videos", "steps"),
    [
        (EGGS, {"write_answer", "check_citations", "cite"}),
        (LONG, {"condense_parts", "condense_part", "check_condensed"}),
        (make_timeline("blank", duration=5), {"answer_not_shown"}),
        (moments_in_memory().as_retriever(), {"VectorStoreRetriever"}),
    ],
)
def test_all_runs_of_a_trace_have_names(videos: Any, steps: set[str]) -> None:
    model = scripted({"Rewrite": "Summarize the video?", "": "Eggs [1]."})
    scope: Any = "whole" if videos is LONG else "auto"
    chain = create_video_qa_chain(model, videos, max_context_tokens=400, scope=scope)
    question: Any = {"question": "Summarize it?", "history": [("human", "What is made?")]}

    async def events() -> set[str]:
        return {event["name"] async for event in chain.astream_events(question, version="v2")}

    def stream(question: Any, config: RunnableConfig) -> list[Any]:
        return list(chain.stream(question, config))

    for ask in (chain.invoke, stream):
        runs = Runs()
        ask(question, {"callbacks": [runs]})
        assert runs.names[0] == "video_qa"
        assert {*STEPS, *steps} <= set(runs.names)
        assert not [name for name in runs.names if not name or re.search("Runnable|lambda", name)]
    assert not [name for name in asyncio.run(events()) if re.search("Runnable|lambda", name)]


def test_the_run_of_the_chain_can_be_renamed() -> None:
    runs = Runs()
    chain = create_video_qa_chain(model_answering("Eggs [1]."), EGGS)
    chain.with_config(run_name="kitchen").invoke("Eggs?", {"callbacks": [runs]})
    assert runs.names[0] == "kitchen"
