"""What chains, tools and models return survives checkpoints, JSON and pickling; so do models and retrievers."""

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumpd, dumps, load, loads
from langchain_core.load.serializable import Serializable
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from pydantic import BaseModel

from langchain_videochat import VideoChatEmbed, VideoChatToolkit, VideoTimelineStore, create_video_qa_chain
from langchain_videochat.errors import InputError
from langchain_videochat.store import VideoTimelineRetriever
from langchain_videochat.text.citations import Citation
from tests.agents import ScriptedChat, calling, make_store, make_talk
from tests.scripted_model import model_answering
from tests.slides import render_talk
from tests.tiny_videochat import save_videochat
from tests.unit_tests.embeddings import BagOfWords, SerializableWords, make_slides

EGGS = make_slides("eggs", "Whisk two eggs", "Heat the pan", "Fold the omelette")
CITED, UNSUPPORTED = "Two eggs are whisked [1].", "The car is red."

STRICT = JsonPlusSerializer(allowed_msgpack_modules=None)
"""Restores known types only, as LANGGRAPH_STRICT_MSGPACK does."""


def answer_from(answer: str) -> dict[str, Any]:
    """Ask a chain whose model gives a fixed answer."""
    return dict(create_video_qa_chain(model_answering(answer), EGGS).invoke("How many eggs?"))


# Answers


class State(TypedDict, total=False):
    """State of a graph that keeps the whole output of a chain."""

    question: str
    result: Any


def answering_graph(answer: str, saver: InMemorySaver) -> CompiledStateGraph[Any, Any, Any, Any]:
    chain = create_video_qa_chain(model_answering(answer), make_store(EGGS))

    def ask(state: State) -> State:
        return {"result": chain.invoke(state["question"])}

    return StateGraph(State).add_node(ask).add_edge(START, "ask").compile(checkpointer=saver)


@pytest.mark.parametrize("answer", [CITED, UNSUPPORTED])
@pytest.mark.parametrize("serde", [STRICT, JsonPlusSerializer(allowed_msgpack_modules=True)], ids=["strict", "default"])
def test_checkpoints_restore_answers(serde: JsonPlusSerializer, answer: str, caplog: pytest.LogCaptureFixture) -> None:
    saver = InMemorySaver(serde=serde)
    thread: Any = {"configurable": {"thread_id": "1"}}
    answered = answering_graph(answer, saver).invoke({"question": "How many eggs?"}, thread)
    restored = answering_graph(answer, saver).get_state(thread).values
    assert restored == answered
    (citation,) = (restored["result"]["citations"] or restored["result"]["closest"])[:1]
    assert citation["label"] == "eggs 00:00-00:30"
    assert [one for one in caplog.messages if "deserializ" in one.lower()] == []


def test_a_process_without_this_package_restores_answers(tmp_path: Path) -> None:
    answered = answer_from(CITED)
    kind, content = JsonPlusSerializer().dumps_typed(answered)
    (tmp_path / "checkpoint").write_bytes(content)
    script = (
        "import json, sys; from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer\n"
        f"found = JsonPlusSerializer().loads_typed(({kind!r}, open('checkpoint', 'rb').read()))\n"
        "assert 'langchain_videochat' not in sys.modules\n"
        "print(json.dumps([found['citations'], found['documents'][0].metadata]))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"LANGGRAPH_STRICT_MSGPACK": "true"},
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert json.loads(printed.stdout) == [answered["citations"], answered["documents"][0].metadata]
    assert b"ermsgpack" not in printed.stderr
    assert b"locked" not in printed.stderr


def test_json_restores_answers() -> None:
    answered = answer_from(CITED)
    assert json.loads(json.dumps(answered["citations"])) == answered["citations"]
    assert load(dumpd(answered), allowed_objects="core") == answered


def test_copies_and_pickles_of_citations_keep_their_attributes() -> None:
    (citation,) = answer_from(CITED)["citations"]
    for restored in (copy.copy(citation), copy.deepcopy(citation), pickle.loads(pickle.dumps(citation))):
        assert restored == citation
        assert restored.uri == "file:///films/eggs.mp4#t=0,30"
    with pytest.raises(AttributeError, match="url"):
        _ = citation.url


def test_a_pydantic_state_restores_citations() -> None:
    class Checked(BaseModel):
        citations: list[Citation]

    given = answer_from(CITED)["citations"]
    restored = Checked.model_validate_json(Checked(citations=given).model_dump_json())
    assert restored.citations == given
    assert restored.citations[0].label == given[0].label


def test_checkpoints_restore_the_messages_of_an_agent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = make_store(make_talk(tmp_path / "talk.mp4", [["Whisk two eggs"]]))
    part = {"video_id": "talk", "start": 1, "end": 2}
    calls = [
        calling("list_videos"),
        calling("search_videos", query="eggs"),
        calling("video_chat_text", **part),
        calling("view_frames", **part),
        calling("ask_video", question="What is whisked?", **part),
        calling("index_video", source="talk.mp4"),
        calling("cut_clip", **part),
    ]
    toolkit = VideoChatToolkit(
        store=store, model=ScriptedChat(turns=[AIMessage("Eggs")]), root_dir=tmp_path, profile="lite"
    )
    model, saver = ScriptedChat(turns=[*calls, AIMessage("Done")]), InMemorySaver(serde=STRICT)
    thread: Any = {"configurable": {"thread_id": "1"}}
    agent: Any = create_agent(model, toolkit.get_tools(), checkpointer=saver)
    answered = agent.invoke({"messages": "Cut the eggs"}, thread)
    results = [one for one in answered["messages"] if isinstance(one, ToolMessage)]
    assert [one.name for one in results] == [tool.name for tool in toolkit.get_tools()]
    assert all(one.status == "success" and one.artifact for one in results)
    restored = create_agent(model, toolkit.get_tools(), checkpointer=saver).get_state(thread).values
    assert restored == answered
    assert json.loads(json.dumps(dumpd(answered["messages"]))) == dumpd(restored["messages"])
    assert "locked" not in caplog.text


# Chat models


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_videochat(tmp_path_factory.mktemp("videochat"))


def restore(serialized: str) -> Any:
    """Restore a model or retriever from JSON, in the way that LangChain recommends."""
    allowed: list[type[Serializable]] = [VideoChatEmbed, VideoTimelineRetriever, SerializableWords]
    return loads(serialized, allowed_objects=allowed, valid_namespaces=["langchain_videochat", "tests"])


def test_json_restores_a_chat_model(folder: Path) -> None:
    llm = VideoChatEmbed(model=str(folder), max_tokens=8, seed=3, stop=["."], system_prompt="Answer briefly.")
    restored = restore(dumps(llm))
    assert isinstance(restored, VideoChatEmbed)
    assert restored.asdict() == llm.asdict()
    assert restored.invoke("Hello").content == llm.invoke("Hello").content


def test_checkpoints_restore_answers_about_videos(folder: Path, tmp_path: Path) -> None:
    film = render_talk(tmp_path / "film.mp4", [["Whisk"]], seconds=2.0)
    question = HumanMessage(
        [{"type": "video", "url": film.as_uri(), "mime_type": "video/mp4"}, {"type": "text", "text": "?"}]
    )
    answer = VideoChatEmbed(model=str(folder), max_tokens=8).invoke([question])
    assert len(answer.response_metadata["sampled_times"][0]) == 8
    assert STRICT.loads_typed(STRICT.dumps_typed([question, answer])) == [question, answer]
    assert json.loads(json.dumps(answer.response_metadata)) == answer.response_metadata


def test_pickles_of_a_used_chat_model_load_its_weights_again(folder: Path) -> None:
    llm = VideoChatEmbed(model=str(folder), max_tokens=8)
    expected = llm.invoke("Hello").content
    pickled = pickle.dumps(llm)
    assert len(pickled) < 10_000
    llm.unload()
    restored = pickle.loads(pickled)
    assert restored.asdict() == llm.asdict()
    assert restored.invoke("Hello").content == expected


def test_copies_of_a_used_chat_model_share_its_weights(folder: Path) -> None:
    llm = VideoChatEmbed(model=str(folder), max_tokens=8, stop=["egg"])
    expected = llm.invoke("Hello").content
    for copied in (copy.deepcopy(llm), llm.model_copy(deep=True), copy.copy(llm)):
        assert copied._loaded is llm._loaded
        assert copied.invoke("Hello").content == expected
        copied.unload()
    assert llm._loaded is not None
    separate = copy.deepcopy(llm)
    assert separate.stop is not None
    separate.stop.append("pan")
    assert llm.stop == ["egg"]


def test_settings_that_do_not_change_answers_share_the_cache(folder: Path) -> None:
    settings: dict[str, Any] = {"model": str(folder), "max_tokens": 8, "cache": InMemoryCache()}
    first, same, other = (VideoChatEmbed(**settings, **one) for one in ({}, {"batch_size": 2}, {"temperature": 0.5}))
    is_cached = ["total_cost" in (one.invoke("Hello").usage_metadata or {}) for one in (first, same, other)]
    assert is_cached == [False, True, False]


# Stores and retrievers


@pytest.fixture
def store(tmp_path: Path) -> VideoTimelineStore:
    store = VideoTimelineStore(tmp_path / "store", embedding=SerializableWords(size=32), collection_name="films")
    store.add(EGGS)
    return store


def test_json_restores_a_retriever(store: VideoTimelineStore) -> None:
    retriever = store.as_retriever(k=2, start=30)
    restored = restore(dumps(retriever))
    assert restored.invoke("eggs in a pan") == retriever.invoke("eggs in a pan")
    assert len(restored.invoke("eggs in a pan")) == 2


def test_json_restores_a_retriever_with_the_default_embedding_model(tmp_path: Path) -> None:
    retriever = VideoTimelineStore(tmp_path / "store").as_retriever()
    assert json.loads(dumps(retriever))["kwargs"]["store"] == {
        "persist_directory": str(tmp_path / "store"),
        "collection_name": "videos",
    }
    assert restore(dumps(retriever)).store.to_config() == retriever.store.to_config()


def test_json_restores_a_chat_model_with_its_retriever(store: VideoTimelineStore, folder: Path) -> None:
    llm = VideoChatEmbed(model=str(folder), overflow="retrieve", retriever=store.as_retriever(k=1))
    restored = restore(dumps(llm))
    assert restored.retriever.invoke("omelette") == store.as_retriever(k=1).invoke("omelette")
    copied = pickle.loads(pickle.dumps(llm))
    assert copied.retriever.invoke("omelette") == restored.retriever.invoke("omelette")


@pytest.mark.parametrize("where", ["in memory", "with another embedding model"])
def test_a_retriever_that_json_cannot_restore_is_refused(where: str, tmp_path: Path, folder: Path) -> None:
    directory = None if where == "in memory" else tmp_path / "store"
    embedding = SerializableWords() if where == "in memory" else BagOfWords()
    retriever = VideoTimelineStore(directory, embedding=embedding).as_retriever()
    llm = VideoChatEmbed(model=str(folder), retriever=retriever)
    for one in (retriever, llm):
        with pytest.raises(NotImplementedError, match="VideoTimelineRetriever"):
            restore(dumps(one))


def test_pickles_and_copies_of_a_store(store: VideoTimelineStore) -> None:
    for restored in (pickle.loads(pickle.dumps(store)), copy.deepcopy(store)):
        assert restored.search("omelette") == store.search("omelette")
    in_memory = make_store(EGGS)
    assert copy.deepcopy(in_memory).videos() == in_memory.videos()
    with pytest.raises(InputError, match="in memory"):
        pickle.dumps(in_memory)
