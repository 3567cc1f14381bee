"""Tools in LangChain's standard tests, in an agent, and with videos from a server."""

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_tests.integration_tests import ToolsIntegrationTests

from langchain_videochat.media import probe
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.agent_files import AgentFiles
from langchain_videochat.text.toolkit import VideoChatToolkit
from langchain_videochat.text.tools import (
    AskVideoTool,
    CutClipTool,
    IndexVideoTool,
    ListVideosTool,
    SearchVideosTool,
    VideoChatTextTool,
    ViewFramesTool,
)
from langchain_videochat.timeline import Timeline
from tests.agents import ScriptedChat, ToolOfClass, calling, make_store, make_talk, slide_in, text_of, tool_call

PAN = ["Part AX-12", "is a pan"]
TALKS = {
    "recipe": [["Whisk two eggs"], ["Use part AX-12"], ["Serve"]],
    "workshop": [["Part BX-7", "is a saw"], ["Part CX-3", "is a drill"], PAN],
    "camping": [["Count 8 pegs"], ["Raise the poles"]],
}


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("talks")
    for name, slides in TALKS.items():
        make_talk(folder / f"{name}.mp4", slides)
    return folder


@pytest.fixture(scope="module")
def timelines(talks: Path) -> list[Timeline]:
    """The timelines of the talks by the profile "lite"."""
    store = make_store()
    store.index(talks, profile="lite", show_progress=False)
    return [store.timeline(one.video_id) for one in store.videos()]


@pytest.fixture
def videos(tmp_path: Path, talks: Path) -> Path:
    """A separate folder for each test, with all talks."""
    for path in talks.iterdir():
        (tmp_path / path.name).hardlink_to(path)
    return tmp_path


@pytest.fixture
def store(videos: Path, timelines: list[Timeline]) -> VideoTimelineStore:
    moved = [replace(one.video, source=str(videos / Path(one.video.source).name)) for one in timelines]
    return make_store(*(replace(one, video=video) for one, video in zip(timelines, moved, strict=True)))


# LangChain's standard tests


class StandardTests(ToolOfClass, ToolsIntegrationTests):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        self.store = make_store(make_talk(tmp_path / "talk.mp4", [["Hello"]]))

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"store": self.store}


class TestListVideosTool(StandardTests):
    constructor, example = ListVideosTool, {}


class TestSearchVideosTool(StandardTests):
    constructor, example = SearchVideosTool, {"query": "hello", "video_id": "talk", "k": 1}


class TestVideoChatTextTool(StandardTests):
    constructor, example = VideoChatTextTool, {"video_id": "talk", "start": "00:01", "end": 3}


class TestViewFramesTool(StandardTests):
    constructor, example = ViewFramesTool, {"video_id": "talk", "times": ["00:01", 2.5]}


class TestAskVideoTool(StandardTests):
    constructor, example = AskVideoTool, {"question": "What is said?", "video_id": "talk"}

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"store": self.store, "model": ScriptedChat(turns=[AIMessage("Hello")])}


class TestIndexVideoTool(StandardTests):
    constructor, example = IndexVideoTool, {"source": "talk.mp4"}

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"store": make_store(), "files": AgentFiles(self.folder), "profile": "lite"}


class TestCutClipTool(StandardTests):
    constructor, example = CutClipTool, {"video_id": "talk", "start": 1, "end": "00:02"}

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"store": self.store, "files": AgentFiles(self.folder)}


# A question in two hops: the recipe names a part, the workshop shows what it is.


def search_the_part(messages: list[BaseMessage]) -> AIMessage:
    """Search all videos for the part that the recipe names."""
    assert "Use part AX-12" in text_of(messages[-1].content)
    return calling("search_videos", query="Part AX-12 is what?", k=1)


def read_the_video(messages: list[BaseMessage]) -> AIMessage:
    """Read the video in which the part was found."""
    found = messages[-1]
    assert isinstance(found, ToolMessage)
    return calling("video_chat_text", video_id=found.artifact[0]["video_id"])


def view_the_moment(messages: list[BaseMessage]) -> AIMessage:
    """View frames at the times in the text."""
    return calling("view_frames", **moment_in(messages[-1]))


def cut_the_moment(messages: list[BaseMessage]) -> AIMessage:
    text = next(message for message in messages if message.name == "video_chat_text")
    return calling("cut_clip", **moment_in(text), filename="pan.mp4")


def moment_in(text: BaseMessage) -> dict[str, str]:
    assert isinstance(text, ToolMessage)
    times = re.search(r"(\d\d:\d\d)-(\d\d:\d\d) Part AX-12", text_of(text.content))
    assert times
    return {"video_id": text.artifact["video_id"], "start": times[1], "end": times[2]}


def make_agent(store: VideoTimelineStore, folder: Path) -> tuple[Any, ScriptedChat]:
    model = ScriptedChat(
        turns=[
            calling("list_videos"),
            calling("search_videos", query="Which part does the recipe use?", video_id="recipe", k=3),
            search_the_part,
            read_the_video,
            view_the_moment,
            cut_the_moment,
            AIMessage("It is a pan: pan.mp4 shows it."),
        ]
    )
    return create_agent(model, VideoChatToolkit(store=store, root_dir=folder, profile="lite").get_tools()), model


QUESTION = {"messages": [HumanMessage("What is the part that the recipe uses? Cut out where it is shown.")]}


def check_answer(messages: list[BaseMessage], progress: list[dict[str, Any]], folder: Path) -> None:
    results = [message for message in messages if isinstance(message, ToolMessage)]
    assert [(one.name, one.status) for one in results] == [
        ("list_videos", "success"),
        ("search_videos", "success"),
        ("search_videos", "success"),
        ("video_chat_text", "success"),
        ("view_frames", "success"),
        ("cut_clip", "success"),
    ]
    listed, recipe, found, read, frames, clip = [one.artifact for one in results]
    assert [one["title"] for one in listed] == ["camping", "recipe", "workshop"]
    assert [one["title"] for one in (*recipe, *found)] == ["recipe", "workshop"]
    assert found[0]["citation"] == f"file://{folder}/workshop.mp4#t=8,12"
    assert read["citation"] == f"file://{folder}/workshop.mp4#t=0,12"
    assert frames["video_id"] == clip["video_id"] == read["video_id"] == listed[2]["video_id"]
    assert frames["times"] == pytest.approx([8], abs=0.2)
    (sheet,) = [block for block in results[4].content if isinstance(block, dict) and block["type"] == "image"]
    assert slide_in(sheet, TALKS["workshop"]) == PAN
    assert clip["path"] == str(folder / "pan.mp4")
    assert clip["citation"] == f"file://{folder}/workshop.mp4#t=8,12"
    assert probe(clip["path"]).duration == pytest.approx(4, abs=0.2)
    assert text_of(messages[-1].content) == "It is a pan: pan.mp4 shows it."
    check_progress(progress)


def check_progress(progress: list[dict[str, Any]]) -> None:
    assert {one["tool"] for one in progress} == {"search_videos", "view_frames", "cut_clip"}
    for tool in ("view_frames", "cut_clip"):
        parts = [one["progress"] for one in progress if one["tool"] == tool]
        assert parts == sorted(parts)
        assert parts[-1] == 1.0


def test_an_agent_answers_a_question_in_two_hops(store: VideoTimelineStore, videos: Path) -> None:
    agent, model = make_agent(store, videos)
    progress, messages = [], []
    for mode, part in agent.stream(QUESTION, stream_mode=["custom", "values"]):
        if mode == "custom":
            progress.append(part)
        else:
            messages = part["messages"]
    check_answer(messages, progress, videos)
    assert len(model.received) == len(model.turns)


async def test_an_agent_answers_asynchronously(store: VideoTimelineStore, videos: Path) -> None:
    agent, model = make_agent(store, videos)
    progress, messages = [], []
    async for mode, part in agent.astream(QUESTION, stream_mode=["custom", "values"]):
        if mode == "custom":
            progress.append(part)
        else:
            messages = part["messages"]
    check_answer(messages, progress, videos)
    assert len(model.received) == len(model.turns)


def test_an_agent_indexes_a_video_and_asks_a_video_model(videos: Path) -> None:
    video_model = ScriptedChat(turns=[AIMessage("Eight.")])
    store = make_store()
    toolkit = VideoChatToolkit(store=store, root_dir=videos, profile="lite", model=video_model)
    script = [
        calling("list_videos"),
        calling("index_video", source="camping.mp4"),
        calling("ask_video", question="How many pegs are there?"),
        AIMessage("Eight."),
    ]
    agent: Any = create_agent(ScriptedChat(turns=script), toolkit.get_tools())
    parts = list(agent.stream({"messages": "How many pegs?"}, stream_mode=["custom", "updates"]))
    perceived = [part for mode, part in parts if mode == "custom" and part["tool"] == "index_video"]
    shares = [part["progress"] for part in perceived]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert any(0 < share < 1 for share in shares)
    asked = next(part["tools"]["messages"][0] for mode, part in parts[::-1] if mode == "updates" and "tools" in part)
    assert (asked.artifact["answer"], asked.artifact["start"], asked.artifact["end"]) == ("Eight.", 0.0, 8.0)
    # A link to the open file, in a private folder.
    assert video_model.received[0][0].content[0]["url"].endswith("/camping.mp4")  # type: ignore[index]


def test_an_agent_recovers_from_errors(store: VideoTimelineStore, videos: Path) -> None:
    script = [
        calling("search_videos"),
        calling("search_videos", query="eggs", k="many"),
        calling("view_frames", video_id="breakfast"),
        calling("view_frames", video_id="recipe", times=["01:00"]),
        calling("video_chat_text", video_id="recipe", start="soon"),
        calling("cut_clip", video_id="recipe", start=5, end=1),
        calling("index_video", source="nowhere.mp4"),
        calling("video_chat_text", video_id="recipe"),
        AIMessage("Two eggs."),
    ]
    toolkit = VideoChatToolkit(store=store, root_dir=videos, profile="lite")
    agent: Any = create_agent(ScriptedChat(turns=script), toolkit.get_tools())
    messages = agent.invoke({"messages": "How many eggs?"})["messages"]
    statuses = [message.status for message in messages if isinstance(message, ToolMessage)]
    assert statuses == ["error"] * 7 + ["success"]
    assert text_of(messages[-1].content) == "Two eggs."


def test_tools_can_be_called_in_parallel(store: VideoTimelineStore, videos: Path) -> None:
    together = [tool_call("search_videos", query=name, video_id=name) | {"id": name} for name in TALKS]
    together += [tool_call("view_frames", video_id=name, times=[1]) | {"id": f"see {name}"} for name in TALKS]
    agent: Any = create_agent(
        ScriptedChat(turns=[AIMessage("", tool_calls=together), AIMessage("Done.")]),
        VideoChatToolkit(store=store).get_tools(),
    )
    messages = agent.invoke({"messages": "Look."})["messages"]
    results = {one.tool_call_id: one for one in messages if isinstance(one, ToolMessage)}
    assert [results[name].artifact[0]["title"] for name in TALKS] == list(TALKS)
    assert all(results[f"see {name}"].status == "success" for name in TALKS)


# Videos from a server


@pytest.fixture(scope="module")
def server(talks: Path) -> Iterator[str]:
    handler = partial(QuietHandler, directory=str(talks))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


def test_a_video_from_a_url_is_indexed_and_viewed(server: str, tmp_path: Path) -> None:
    store = make_store()
    files = AgentFiles(tmp_path, allow_urls=True, allowed_hosts=["127.0.0.1"])
    address = f"{server}/camping.mp4?a/b"
    taken_in = IndexVideoTool(store=store, files=files, profile="lite").invoke(tool_call("index_video", source=address))
    assert (taken_in.status, taken_in.artifact["title"], taken_in.artifact["source"]) == ("success", "camping", address)
    frames = ViewFramesTool(store=store, files=files).invoke(tool_call("view_frames", video_id="camping", times=[1]))
    assert frames.artifact["citations"] == [f"{address}#t=1"]
    assert frames.content[-1]["type"] == "image"
    cut = CutClipTool(store=store, files=files).invoke(tool_call("cut_clip", video_id="camping", start=0, end=2))
    assert [path.name for path in tmp_path.iterdir()] == [Path(cut.artifact["path"]).name] == ["camping 0-2.mp4"]


def test_private_networks_are_blocked_even_if_urls_are_allowed(server: str, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    tools = VideoChatToolkit(store=make_store(), root_dir=tmp_path / "videos", allow_urls=True).get_tools()
    index = next(tool for tool in tools if tool.name == "index_video")
    for address in (f"{server}/camping.mp4", "http://169.254.169.254/latest/meta-data", "http://[::1]/a.mp4"):
        message = index.invoke(tool_call("index_video", source=address))
        assert message.status == "error"
        assert "refused" in text_of(message.content)
