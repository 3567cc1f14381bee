"""The graph of the example `approve_a_cut`: progress, approval, and time travel."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START
from langgraph.types import Command, StateSnapshot

from examples.approve_a_cut import Graph, State, create_graph
from langchain_videochat.media import probe
from tests.agents import ScriptedChat, calling, make_store, tool_call
from tests.slides import render_talk

THREAD: RunnableConfig = {"configurable": {"thread_id": "talks"}}
QUESTION = HumanMessage("Where is the pan heated? Cut that out.", id="question")
CLIP = {"video_id": "eggs", "start": "00:04", "end": "00:06", "filename": "pan.mp4"}


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    """A folder with two talks."""
    folder = tmp_path / "talks"
    folder.mkdir()
    render_talk(folder / "eggs.mp4", [["Whisk two eggs"], ["Heat the pan"]])
    render_talk(folder / "tent.mp4", [["Unpack the tent"]])
    return folder


def ask(folder: Path) -> State:
    return {"sources": [str(folder)], "messages": [QUESTION]}


def create(folder: Path, *turns: Any) -> Graph:
    return create_graph(ScriptedChat(turns=list(turns)), make_store(), folder)


def run(graph: Graph, inputs: Any, config: RunnableConfig = THREAD) -> list[dict[str, Any]]:
    """Run a graph until it ends or stops, and return what it streamed about indexing."""
    streamed: Any = graph.stream(inputs, config, stream_mode="custom")
    return [part for part in streamed if "phase" in part]


def snapshot_before(graph: Graph, node: str) -> StateSnapshot:
    """Return the earliest state in which a node was the next one."""
    found: list[StateSnapshot] = [state for state in graph.get_state_history(THREAD) if node in state.next]
    return found[-1]


def tool_messages(graph: Graph) -> list[ToolMessage]:
    return [one for one in graph.get_state(THREAD).values["messages"] if isinstance(one, ToolMessage)]


def test_progress_is_streamed_while_a_folder_is_indexed(talks: Path) -> None:
    graph = create(talks, AIMessage("At 00:04."))
    progress = run(graph, ask(talks))
    assert {(one["video"], one["phase"]) for one in progress} == {
        (video, phase) for video in ("eggs.mp4", "tent.mp4") for phase in ("perceiving", "summarizing", "embedding")
    }
    perceived = [one["progress"] for one in progress if (one["video"], one["phase"]) == ("eggs.mp4", "perceiving")]
    assert (perceived[0], perceived[-1]) == (0.0, 1.0)
    assert perceived == sorted(perceived)
    assert len(graph.get_state(THREAD).values["indexed"]) == 2


def test_a_clip_is_written_only_after_approval(talks: Path) -> None:
    graph = create(talks, calling("search_videos", query="pan"), calling("cut_clip", **CLIP), AIMessage("In pan.mp4."))
    run(graph, ask(talks))
    (stop,) = graph.get_state(THREAD).interrupts
    assert stop.value == CLIP
    assert not (talks / "pan.mp4").exists()
    run(graph, Command(resume=True))
    assert probe(talks / "pan.mp4").duration == pytest.approx(2, abs=0.1)
    assert [one.status for one in tool_messages(graph)] == ["success", "success"]


def test_clips_of_one_message_are_approved_one_by_one(talks: Path) -> None:
    calls = [tool_call("cut_clip", **CLIP), tool_call("cut_clip", **CLIP | {"filename": "other.mp4"})]
    calls[1]["id"] = "call_other"
    calls.append(tool_call("search_videos", query="pan"))
    graph = create(talks, AIMessage("", tool_calls=calls), AIMessage("In pan.mp4."))
    run(graph, ask(talks))
    stops = graph.get_state(THREAD).interrupts
    assert sorted(one.value["filename"] for one in stops) == ["other.mp4", "pan.mp4"]
    run(graph, Command(resume={one.id: one.value["filename"] == "pan.mp4" for one in stops}))
    assert [(talks / name).exists() for name in ("pan.mp4", "other.mp4")] == [True, False]
    assert sorted(one.status for one in tool_messages(graph)) == ["error", "success", "success"]


def test_going_back_before_indexing_does_not_index_again(talks: Path) -> None:
    graph = create(talks, AIMessage("At 00:04."), AIMessage("Two."), AIMessage("Three."))
    run(graph, ask(talks))
    start = snapshot_before(graph, "index")
    assert run(graph, None, start.config) == []
    state = graph.get_state(THREAD).values
    assert (state["indexed"], len(state["skipped"])) == ([], 2)
    assert state["messages"][-1].text == "Two."
    question = HumanMessage("How many eggs?", id="question")
    fork = graph.update_state(start.config, {"messages": [question]}, as_node=START)
    assert run(graph, None, fork) == []
    assert [one.text for one in graph.get_state(THREAD).values["messages"]] == ["How many eggs?", "Three."]


def test_a_declined_clip_can_be_approved_later(talks: Path) -> None:
    graph = create(talks, calling("cut_clip", **CLIP), AIMessage("You declined."), AIMessage("In pan.mp4."))
    run(graph, ask(talks))
    run(graph, Command(resume=False))
    assert not (talks / "pan.mp4").exists()
    # The node that runs the tools stops again, and nothing before it is repeated.
    assert run(graph, None, snapshot_before(graph, "tools").config) == []
    assert run(graph, Command(resume=True)) == []
    assert (talks / "pan.mp4").exists()
    assert graph.get_state(THREAD).values["messages"][-1].text == "In pan.mp4."
