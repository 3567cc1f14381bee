"""A LangGraph agent that asks a person before it writes a clip, and that can be taken back to any step.

One node indexes the demo video and streams its progress, another runs the tools of the store. Then time travel asks
another question from the first checkpoint on: the indexing node runs again, but finds the video in the store.

Usage: python -m examples.approve_a_cut --model openai:gpt-5-mini
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command, Send, interrupt

from examples.common import chat_model_from_args, demo_video
from langchain_videochat import VideoChatToolkit, VideoTimelineStore

QUESTION = "Where is the sugar added? Cut that out."
OTHER_QUESTION = "How many eggs are needed?"
THREAD: RunnableConfig = {"configurable": {"thread_id": "clips"}}


class State(MessagesState, total=False):
    """State of the graph."""

    sources: list[str]
    """Videos and folders to index."""

    indexed: list[str]
    """Videos that the indexing node added to the store."""

    skipped: list[str]
    """Videos that the store already had."""


Graph = CompiledStateGraph[State, None, State, State]


def create_graph(model: BaseChatModel, store: VideoTimelineStore, folder: Path) -> Graph:
    """Create a graph that indexes videos, then answers with the tools of the store and the files of a folder."""
    tools = VideoChatToolkit(store=store, root_dir=folder, profile="lite").get_tools()
    model_with_tools = model.bind_tools(tools)

    def index(state: State) -> dict[str, Any]:
        write = get_stream_writer()

        def report_progress(source: str, phase: str, progress: float) -> None:
            write({"video": Path(source).name, "phase": phase, "progress": progress})

        # Skips the videos that the store has, so this node may run any number of times.
        report = store.index(
            state["sources"], profile="lite", on_error="skip", show_progress=False, on_progress=report_progress
        )
        return {
            "indexed": [video.source for video in report.indexed],
            "skipped": [video.source for video in report.skipped],
        }

    def agent(state: State) -> dict[str, Any]:
        return {"messages": [model_with_tools.invoke(state["messages"])]}

    graph = StateGraph(State)
    graph.add_node("index", index)
    graph.add_node("agent", agent)
    graph.add_node("tools", ToolNode(tools, wrap_tool_call=ask_before_cutting))
    graph.add_edge(START, "index")
    graph.add_edge("index", "agent")
    graph.add_conditional_edges("agent", call_tools, ["tools", END])
    graph.add_edge("tools", "agent")
    return graph.compile(checkpointer=InMemorySaver())


def call_tools(state: State) -> list[Send] | str:
    """Run each tool call as a task of its own: when one is resumed, the others do not run again."""
    message = state["messages"][-1]
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    return [Send("tools", [call]) for call in calls] or END


def ask_before_cutting(
    request: ToolCallRequest, execute: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
) -> ToolMessage | Command[Any]:
    """Run a tool; for `cut_clip`, stop the graph until a person has approved."""
    call = request.tool_call
    if call["name"] == "cut_clip" and not interrupt(call["args"]):
        return ToolMessage("The user declined this clip.", name=call["name"], tool_call_id=call["id"], status="error")
    return execute(request)


def approve(clip: dict[str, Any]) -> bool:
    """Ask on the command line whether a clip may be written."""
    arguments = ", ".join(f"{name}={value}" for name, value in clip.items())
    return input(f"Write this clip: {arguments}? [y/n] ").strip().lower() in ("y", "yes")


def run(graph: Graph, inputs: State | None, config: RunnableConfig) -> None:
    """Run the graph to its end, print what it does, and ask a person at each interrupt."""
    print_stream(graph, inputs, config)
    while interrupts := graph.get_state(THREAD).interrupts:
        print_stream(graph, Command(resume={one.id: approve(one.value) for one in interrupts}), THREAD)


def print_stream(graph: Graph, inputs: State | Command[Any] | None, config: RunnableConfig) -> None:
    """Print the progress of indexing in steps of ten percent, what was indexed, and each message."""
    shown = ""
    stream: Any = graph.stream(inputs, config, stream_mode=["custom", "updates"])
    for mode, part in stream:
        if mode == "custom" and "phase" in part:
            line = f"{part['video']}: {part['phase']}, {int(10 * part['progress']) * 10} %"
            if line != shown:
                print(line)
            shown = line
        elif mode == "updates" and "index" in part:
            print(f"{len(part['index']['indexed'])} indexed, {len(part['index']['skipped'])} already in the store")
        elif mode == "updates" and "__interrupt__" not in part:
            for message in (one for update in part.values() for one in update["messages"]):
                message.pretty_print()


def main(model: BaseChatModel) -> None:
    """Answer a question with a clip; then go back to before the first node and ask another one."""
    video = demo_video()
    graph = create_graph(model, VideoTimelineStore(video.parent / ".videochat"), video.parent)
    run(graph, {"sources": [str(video)], "messages": [HumanMessage(QUESTION, id="question")]}, THREAD)

    print(f"\n== Back to the start: {OTHER_QUESTION}\n")
    first = next(state for state in graph.get_state_history(THREAD) if state.next == ("index",))
    fork = graph.update_state(first.config, {"messages": [HumanMessage(OTHER_QUESTION, id="question")]}, as_node=START)
    run(graph, None, fork)


if __name__ == "__main__":
    main(chat_model_from_args(__doc__))
