"""Tools: their content, artifacts and errors."""

import asyncio
import base64
import io
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool, ToolException
from langchain_tests.unit_tests import ToolsUnitTests
from PIL import Image

from langchain_videochat.errors import InputError
from langchain_videochat.media import Damage, VideoInfo, probe, read_subtitles
from langchain_videochat.perception import Observation
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
from langchain_videochat.text.tools.arguments import parse_time
from langchain_videochat.text.tools.videochat_text import MAX_TEXT_LENGTH
from langchain_videochat.timeline import Timeline
from tests.agents import ScriptedChat, ToolOfClass, calling, make_store, make_talk, slide_in, text_of, tool_call
from tests.media_files import make_beeps
from tests.slides import render_talk
from tests.unit_tests.embeddings import make_slides, make_timeline

EGGS = [["Whisk two eggs"], ["Heat the pan"], ["Fold the omelette"]]
TENT = [["Unpack the tent", "Count 8 pegs"], ["Code TX-19"]]


class StandardTests(ToolOfClass, ToolsUnitTests):
    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"store": make_store()}


class TestListVideosTool(StandardTests):
    constructor, example = ListVideosTool, {}


class TestSearchVideosTool(StandardTests):
    constructor, example = SearchVideosTool, {"query": "eggs", "start": "00:04", "k": 2}


class TestVideoChatTextTool(StandardTests):
    constructor, example = VideoChatTextTool, {"video_id": "eggs", "start": 4, "end": "0:12"}


class TestViewFramesTool(StandardTests):
    constructor, example = ViewFramesTool, {"video_id": "eggs", "times": [1, "00:09"]}


class TestAskVideoTool(StandardTests):
    constructor, example = AskVideoTool, {"question": "What is whisked?"}

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"store": make_store(), "model": ScriptedChat(turns=[])}


class TestIndexVideoTool(StandardTests):
    constructor, example = IndexVideoTool, {"source": "eggs.mp4"}

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"store": make_store(), "files": AgentFiles(Path())}


class TestCutClipTool(StandardTests):
    constructor, example = CutClipTool, {"video_id": "eggs", "start": "00:01", "end": 2.5}

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"store": make_store(), "files": AgentFiles(Path())}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("talks")


@pytest.fixture(scope="module")
def eggs(folder: Path) -> Timeline:
    return make_talk(folder / "eggs.mp4", EGGS)


@pytest.fixture(scope="module")
def tent(folder: Path) -> Timeline:
    return make_talk(folder / "tent.mp4", TENT)


@pytest.fixture(scope="module")
def store(eggs: Timeline, tent: Timeline) -> VideoTimelineStore:
    return make_store(eggs, tent)


@pytest.fixture
def root(folder: Path, eggs: Timeline) -> Iterator[Path]:
    """The folder of the talks; files that a test adds are removed."""
    before = set(folder.iterdir())
    yield folder
    for written in set(folder.iterdir()) - before:
        written.unlink()


def ask(tool: BaseTool, **arguments: Any) -> ToolMessage:
    message = tool.invoke(tool_call(tool.name, **arguments))
    assert isinstance(message, ToolMessage)
    return message


def succeed(tool: BaseTool, **arguments: Any) -> ToolMessage:
    message = ask(tool, **arguments)
    assert message.status == "success", message.content
    assert message.artifact is not None
    return message


def fail(tool: BaseTool, **arguments: Any) -> str:
    message = ask(tool, **arguments)
    assert message.status == "error"
    return text_of(message.content)


# The toolkit


def test_toolkit_offers_the_tools_that_its_settings_allow(store: VideoTimelineStore, folder: Path) -> None:
    def names(**options: Any) -> list[str]:
        return [tool.name for tool in VideoChatToolkit(store=store, **options).get_tools()]

    always = ["list_videos", "search_videos", "video_chat_text", "view_frames"]
    assert names() == always
    assert names(model=ScriptedChat(turns=[])) == [*always, "ask_video"]
    assert names(root_dir=folder) == [*always, "index_video", "cut_clip"]
    assert names(root_dir=str(folder), allow_urls=True) == [*always, "index_video", "cut_clip"]


def test_root_dir_must_be_a_folder(store: VideoTimelineStore, folder: Path) -> None:
    with pytest.raises(InputError, match="root_dir"):
        VideoChatToolkit(store=store, root_dir=folder / "nowhere").get_tools()


def test_toolkit_passes_settings_to_the_tools(store: VideoTimelineStore, folder: Path) -> None:
    toolkit = VideoChatToolkit(store=store, root_dir=folder, profile="lite", images=False)
    tools = {tool.name: tool for tool in toolkit.get_tools()}
    assert isinstance(tools["view_frames"], ViewFramesTool)
    assert isinstance(tools["index_video"], IndexVideoTool)
    assert tools["view_frames"].images is False
    assert tools["index_video"].profile == "lite"


def test_every_argument_has_a_description(store: VideoTimelineStore, folder: Path) -> None:
    toolkit = VideoChatToolkit(store=store, root_dir=folder, model=ScriptedChat(turns=[]))
    for tool in toolkit.get_tools():
        assert len(tool.description) > 40
        assert len(tool.args) <= 9
        assert all(argument.get("description") for argument in tool.args.values())


def test_errors_can_be_raised(store: VideoTimelineStore) -> None:
    tool = VideoChatTextTool(store=store, handle_tool_error=False)
    with pytest.raises(ToolException, match="unknown video"):
        tool.invoke({"video_id": "nothing"})


# Listing and search


def test_videos_are_listed_with_id_length_and_title(store: VideoTimelineStore, eggs: Timeline) -> None:
    message = succeed(ListVideosTool(store=store))
    assert f"{eggs.video_id}  00:12  eggs" in text_of(message.content)
    assert [(one["title"], one["duration"]) for one in message.artifact] == [("eggs", 12.0), ("tent", 8.0)]


def test_listing_and_searching_an_empty_store_succeeds() -> None:
    store = make_store()
    assert succeed(ListVideosTool(store=store)).artifact == []
    assert succeed(SearchVideosTool(store=store), query="eggs").artifact == []


def test_long_lists_of_videos_are_truncated() -> None:
    store = make_store(*(make_slides(f"video{number}", "Hello") for number in range(103)))
    message = succeed(ListVideosTool(store=store))
    assert "3 more" in text_of(message.content)
    assert len(message.artifact) == 103


def test_search_returns_times_and_citations(store: VideoTimelineStore, tent: Timeline) -> None:
    message = succeed(SearchVideosTool(store=store), query="TX-19", k=1)
    (moment,) = message.artifact
    assert (moment["start"], moment["end"], moment["text"]) == (4.0, 8.0, "tent\nOn screen: Code TX-19")
    text = text_of(message.content)
    for expected in ("tent, 00:04-00:08 (4-8 s)", tent.video_id, moment["citation"], "On screen: Code TX-19"):
        assert expected in text


def test_search_returns_the_time_of_the_best_match() -> None:
    said = [Observation(start, start + 3, "speech", text) for start, text in ((0, "Hello"), (7, "Whisk two eggs"))]
    message = succeed(SearchVideosTool(store=make_store(make_timeline("talk", *said))), query="eggs", k=1)
    text = text_of(message.content)
    for expected in ("talk, 00:00-00:10 (0-10 s)", "Best match: 00:07-00:10 (7-10 s)", "#t=7,10", "Speech: Hello"):
        assert expected in text


def test_search_within_a_video_and_an_interval(store: VideoTimelineStore) -> None:
    tool = SearchVideosTool(store=store)
    found = succeed(tool, query="TX-19", video_id="eggs", start="00:04", end="0:08").artifact
    assert [(one["title"], one["start"]) for one in found] == [("eggs", 4.0)]


def test_empty_search_results_come_with_advice(store: VideoTimelineStore) -> None:
    message = succeed(SearchVideosTool(store=store), query="eggs", start=500)
    assert message.artifact == []
    assert "omit" in text_of(message.content)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"query": " "}, "empty"),
        ({"query": "egg " * 100_000}, "400000 characters"),
        ({"query": "eggs", "k": 0}, "k: Input should be greater than or equal to 1"),
        ({"query": "eggs", "video_id": "nothing"}, "unknown video 'nothing'"),
        ({"query": "eggs", "start": "00:09", "end": "00:02"}, "end (2 s) must be after start (9 s)"),
        ({"query": "eggs", "start": "soon"}, "'soon' is not a valid time"),
        ({"query": "eggs", "start": -1}, "'-1.0' is not a valid time"),
        ({}, "query: Field required"),
    ],
)
def test_search_rejects_bad_arguments(store: VideoTimelineStore, arguments: dict[str, Any], problem: str) -> None:
    assert problem in fail(SearchVideosTool(store=store), **arguments)


# Names of videos, and times


def test_videos_are_found_by_id_prefix_or_title(store: VideoTimelineStore, eggs: Timeline) -> None:
    tool = VideoChatTextTool(store=store)
    for name in (eggs.video_id, eggs.video_id[:6], eggs.video_id[:6].upper(), "eggs", " Eggs "):
        assert succeed(tool, video_id=name).artifact["video_id"] == eggs.video_id


@pytest.mark.parametrize("name", ["Crème brûlée", "cre\u0300me BRU\u0302LE\u0301E", "creme brulee"])
def test_titles_match_without_case_and_accents(name: str) -> None:
    store = make_store(make_slides("Crème brûlée", "Whisk"), make_slides("Soup", "Stir"))
    assert succeed(VideoChatTextTool(store=store), video_id=name).artifact["video_id"] == "Crème brûlée"


@pytest.mark.parametrize("name", ["", " ", "e", "omelette", "%", "' OR 1=1", "ab" * 5000])
def test_an_unknown_name_returns_the_list_of_videos(store: VideoTimelineStore, eggs: Timeline, name: str) -> None:
    problem = fail(VideoChatTextTool(store=store), video_id=name)
    assert "unknown video" in problem
    assert eggs.video_id in problem


def test_an_ambiguous_name_returns_the_matching_ids(eggs: Timeline) -> None:
    store = make_store(eggs, replace(eggs, video_id=eggs.video_id[:8] + "00000000"))
    for name in ("eggs", eggs.video_id[:8]):
        problem = fail(VideoChatTextTool(store=store), video_id=name)
        assert "any of" in problem
        assert eggs.video_id in problem
    assert succeed(VideoChatTextTool(store=store), video_id=eggs.video_id).artifact["video_id"] == eggs.video_id


def test_ids_take_precedence_over_titles(eggs: Timeline, tent: Timeline) -> None:
    called_like_eggs = replace(tent, video=replace(tent.video, title=eggs.video_id))
    store = make_store(eggs, called_like_eggs)
    assert succeed(VideoChatTextTool(store=store), video_id=eggs.video_id).artifact["video_id"] == eggs.video_id


@pytest.mark.parametrize(
    ("time", "expected"), [(None, None), (0, 0.0), (67.5, 67.5), ("67.5", 67.5), ("01:07", 67.0), ("1:01:07", 3667.0)]
)
def test_times_are_parsed(time: float | str | None, expected: float | None) -> None:
    assert parse_time("start", time) == expected


@given(st.text(max_size=12) | st.floats() | st.integers(0, 10**400).map(str))
@settings(max_examples=200)
def test_any_time_is_parsed_or_rejected(time: float | str) -> None:
    try:
        seconds = parse_time("start", time)
    except InputError:
        return
    assert seconds is not None
    assert 0 <= seconds < math.inf


BAD_INTERVALS = [
    ({"start": 12}, "must be before the end of the video (12 s), got 12"),
    ({"start": "10:00"}, "must be before the end of the video (12 s), got 600"),
    ({"start": 8, "end": 4}, "end (4 s) must be after start (8 s)"),
    ({"start": 8, "end": 8}, "end (8 s) must be after start (8 s)"),
    ({"start": "00:08", "end": "noon"}, "'noon' is not a valid time"),
    ({"start": "1e3"}, "is not a valid time"),
    ({"start": "nan"}, "is not a valid time"),
    ({"start": float("nan")}, "is not a valid time"),
    ({"end": float("inf")}, "is not a valid time"),
    ({"start": -2}, "is not a valid time"),
]


@pytest.mark.parametrize(("times", "problem"), BAD_INTERVALS)
def test_bad_intervals_are_rejected(root: Path, store: VideoTimelineStore, times: dict[str, Any], problem: str) -> None:
    model = ScriptedChat(turns=[])
    asked: list[tuple[BaseTool, dict[str, Any]]] = [
        (VideoChatTextTool(store=store), {}),
        (ViewFramesTool(store=store), {}),
        (AskVideoTool(store=store, model=model), {"question": "What?"}),
        (CutClipTool(store=store, files=AgentFiles(root)), {"start": 0, "end": 900}),
    ]
    for tool, others in asked:
        assert problem in fail(tool, **{"video_id": "eggs", **others, **times})
    assert not list(root.glob("eggs *"))


# The textualized video


def test_text_of_a_video_is_its_timeline(store: VideoTimelineStore, eggs: Timeline) -> None:
    message = succeed(VideoChatTextTool(store=store), video_id="eggs")
    assert eggs.to_prompt() in text_of(message.content)
    assert message.artifact == {
        "video_id": eggs.video_id,
        "start": 0.0,
        "end": 12.0,
        "citation": f"file://{eggs.video.source}#t=0,12",
        "rest": None,
    }


def test_text_of_an_interval(store: VideoTimelineStore) -> None:
    message = succeed(VideoChatTextTool(store=store), video_id="eggs", start="00:04", end=8)
    assert "Heat the pan" in text_of(message.content)
    assert "Whisk" not in text_of(message.content)
    assert "Fold" not in text_of(message.content)
    assert message.artifact["citation"].endswith("#t=4,8")


def test_a_single_timeline_needs_no_store_and_no_name(eggs: Timeline, store: VideoTimelineStore) -> None:
    tool = VideoChatTextTool(timeline=eggs)
    assert eggs.to_prompt() in tool.invoke({})
    assert succeed(tool, video_id="eggs").content == VideoChatTextTool(store=store).invoke({"video_id": "eggs"})
    assert "unknown video 'tent'" in fail(tool, video_id="tent")


def test_name_is_optional_if_there_is_only_one_video(eggs: Timeline, store: VideoTimelineStore) -> None:
    assert succeed(VideoChatTextTool(store=make_store(eggs))).artifact["video_id"] == eggs.video_id
    assert "any of" in fail(VideoChatTextTool(store=store))
    assert "no videos yet" in fail(VideoChatTextTool(store=make_store()))


def test_text_tool_requires_either_a_store_or_a_timeline(eggs: Timeline, store: VideoTimelineStore) -> None:
    for given_both_or_none in ({}, {"store": store, "timeline": eggs}):
        with pytest.raises(InputError, match="store, timeline"):
            VideoChatTextTool(**given_both_or_none)


def read_all(tool: VideoChatTextTool, video_id: str) -> list[ToolMessage]:
    """Read a whole video by following the advice."""
    messages = [succeed(tool, video_id=video_id)]
    while messages[-1].artifact["rest"] is not None and len(messages) < 100:
        text = text_of(messages[-1].content)
        messages.append(succeed(tool, video_id=video_id, start=text.split('start="')[1].split('"')[0]))
    return messages


def test_long_text_is_cut_off_and_can_be_continued() -> None:
    spoken = [Observation(at, at + 1, "speech", f"speech number {at} " + "word " * 20) for at in range(500)]
    seen = [Observation(at, at + 1, "caption", f"caption number {at} of a kitchen") for at in range(500)]
    tool = VideoChatTextTool(timeline=make_timeline("long", *spoken, *seen))
    messages = read_all(tool, "long")
    assert 3 < len(messages) < 20
    assert all(len(text_of(message.content)) < MAX_TEXT_LENGTH + 500 for message in messages)
    for message in messages:
        # Each part has both modalities up to the same time.
        last = math.ceil(message.artifact["end"]) - 1
        assert f"speech number {last} " in text_of(message.content)
        assert f"caption number {last} " in text_of(message.content)
    everything = "".join(text_of(message.content) for message in messages)
    assert all(f"speech number {at} " in everything for at in range(500))


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100), st.integers(1, 9000)), min_size=1, max_size=12))
@settings(max_examples=60)
def test_continued_reading_always_terminates(intervals: list[tuple[float, float, int]]) -> None:
    seen = [Observation(min(a, b), max(a, b), "speech", "x" * size) for a, b, size in intervals]
    tool = VideoChatTextTool(timeline=make_timeline("any", *seen, duration=200))
    messages = read_all(tool, "any")
    assert messages[-1].artifact["rest"] is None
    assert all(len(text_of(message.content)) < MAX_TEXT_LENGTH + 500 for message in messages)


def test_a_single_long_text_is_visibly_truncated() -> None:
    tool = VideoChatTextTool(timeline=make_timeline("long", Observation(0, 1, "screen_text", "x" * 20_000)))
    message = succeed(tool)
    assert message.artifact["rest"] is None
    assert "xxx…\n" in text_of(message.content)


# Frames


def test_frames_at_given_times(store: VideoTimelineStore, eggs: Timeline) -> None:
    message = succeed(ViewFramesTool(store=store), video_id="eggs", times=["00:09", 1, 5.0])
    images = [block for block in message.content if block["type"] == "image"]  # type: ignore[index]
    assert [slide_in(image, EGGS) for image in images] == EGGS  # type: ignore[arg-type]
    assert message.artifact == {
        "video_id": eggs.video_id,
        "times": [1.0, 5.0, 9.0],
        "citations": [f"file://{eggs.video.source}#t={time}" for time in (1, 5, 9)],
    }
    text = text_of(message.content)
    assert [text.index(f"At {time}:") for time in ("00:01 (1 s)", "00:05 (5 s)", "00:09 (9 s)")]


def test_frames_of_an_interval_are_one_sheet(store: VideoTimelineStore, eggs: Timeline) -> None:
    message = succeed(ViewFramesTool(store=store), video_id="eggs", start=4, end="00:12")
    (image,) = [block for block in message.content if block["type"] == "image"]  # type: ignore[index]
    assert message.artifact["times"] == pytest.approx([4, 8], abs=0.1)
    assert message.artifact["citations"] == [f"file://{eggs.video.source}#t={time}" for time in (4, 8)]
    assert "Frames at 00:04, 00:08, row by row." in text_of(message.content)
    picture = Image.open(io.BytesIO(base64.b64decode(image["base64"])))  # type: ignore[index]
    assert picture.size == (640, 724)
    assert len(succeed(ViewFramesTool(store=store), video_id="eggs").artifact["times"]) == 3


def test_the_same_frame_is_returned_once(store: VideoTimelineStore) -> None:
    assert succeed(ViewFramesTool(store=store), video_id="eggs", times=[1, 1.05, "00:01"]).artifact["times"] == [1.0]


def test_large_frames_are_scaled_down(tmp_path: Path) -> None:
    path = render_talk(tmp_path / "large.mp4", [["Hello"]], 1.0, size=(1280, 720))
    tool = ViewFramesTool(store=make_store(Timeline.of(probe(path), "large", [])))
    message = succeed(tool, video_id="large", times=[0])
    jpeg = base64.b64decode(message.content[-1]["base64"])  # type: ignore[index]
    assert Image.open(io.BytesIO(jpeg)).size == (910, 512)


def test_text_models_get_notes_instead_of_frames(store: VideoTimelineStore) -> None:
    tool = ViewFramesTool(store=store, images=False)
    message = succeed(tool, video_id="eggs", times=[1, 11])
    assert {block["type"] for block in message.content} == {"text"}  # type: ignore[index]
    first, second = text_of(message.content).split("At 00:11")
    assert "Whisk two eggs" in first
    assert "Fold the omelette" in second
    assert "Whisk" not in second
    assert message.artifact["times"] == [1.0, 11.0]
    assert succeed(tool, video_id="eggs", start=4, end="00:12").artifact["times"] == [5, 7, 9, 11]


@pytest.mark.parametrize(
    ("times", "problem"),
    [
        ([12], "12 s is after the end"),
        (["x"], "'x' is not a valid time"),
        (list(range(9)), "9 are too many"),
        ([-1], "not a valid time"),
    ],
)
def test_frames_at_bad_times_are_rejected(store: VideoTimelineStore, times: list[Any], problem: str) -> None:
    assert problem in fail(ViewFramesTool(store=store), video_id="eggs", times=times)


def test_a_deleted_video_can_still_be_read_as_text(tmp_path: Path) -> None:
    store = make_store(make_talk(tmp_path / "eggs.mp4", EGGS[:1]))
    (tmp_path / "eggs.mp4").unlink()
    files = AgentFiles(tmp_path)
    model = ScriptedChat(turns=[])
    arguments = {"video_id": "eggs", "start": 0, "end": 2}
    for tool in (ViewFramesTool(store=store), CutClipTool(store=store, files=files)):
        problem = fail(tool, **arguments)
        assert "no such file" in problem
        assert "video_chat_text" in problem
    assert "video_chat_text" in fail(AskVideoTool(store=store, model=model), question="What?", **arguments)
    assert "Whisk two eggs" in VideoChatTextTool(store=store).invoke({"video_id": "eggs"})
    assert "Whisk two eggs" in text_of(succeed(ViewFramesTool(store=store, images=False), video_id="eggs").content)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_longer_a_video_is_an_error(tmp_path: Path) -> None:
    store = make_store(make_talk(tmp_path / "eggs.mp4", EGGS[:1]))
    (tmp_path / "eggs.mp4").write_text("no longer a video")
    assert "eggs.mp4" in fail(ViewFramesTool(store=store), video_id="eggs")


# The video model


def test_video_model_gets_the_interval_and_the_question(store: VideoTimelineStore, tent: Timeline) -> None:
    model = ScriptedChat(turns=[AIMessage("Eight pegs.")])
    tool = AskVideoTool(store=store, model=model)
    message = succeed(tool, question="How many pegs?", video_id="tent", start="00:01", end=3)
    ((prompt,),) = model.received
    assert prompt.content == [
        {"type": "video", "url": Path(tent.video.source).as_uri(), "extras": {"start": 1.0, "end": 3.0}},
        {"type": "text", "text": "How many pegs?"},
    ]
    citation = f"file://{tent.video.source}#t=1,3"
    assert message.artifact == {
        "answer": "Eight pegs.",
        "video_id": tent.video_id,
        "start": 1.0,
        "end": 3.0,
        "citation": citation,
    }
    assert "Eight pegs." in text_of(message.content)
    assert citation in text_of(message.content)


@pytest.mark.parametrize("where", [{}, {"video_id": "tent"}, {"start": 3}])
def test_moment_is_found_if_not_given(store: VideoTimelineStore, tent: Timeline, where: dict[str, Any]) -> None:
    tool = AskVideoTool(store=store, model=ScriptedChat(turns=[AIMessage("TX-19")]))
    found = succeed(tool, question="Which code, TX-19?", **where).artifact
    assert (found["video_id"], found["start"], found["end"]) == (tent.video_id, 4.0, 8.0)


def test_a_video_without_observations_is_watched_whole(eggs: Timeline) -> None:
    model = ScriptedChat(turns=[AIMessage("An egg.")])
    tool = AskVideoTool(store=make_store(replace(eggs, observations=())), model=model)
    found = succeed(tool, question="What is it?", video_id="eggs").artifact
    assert (found["start"], found["end"]) == (0.0, 12.0)
    assert "no moment was found" in fail(tool, question="What is it?")


@pytest.mark.parametrize(
    ("turn", "problem"),
    [
        (AIMessage(""), "gave no answer"),
        (AIMessage(" \n"), "gave no answer"),
        (AIMessage([]), "gave no answer"),
        (RuntimeError("out of memory"), "out of memory"),
    ],
)
def test_a_failing_video_model_does_not_stop_the_agent(store: VideoTimelineStore, turn: Any, problem: str) -> None:
    tool = AskVideoTool(store=store, model=ScriptedChat(turns=[turn]))
    message = fail(tool, question="How many eggs?", video_id="eggs", start=0)
    assert problem in message
    assert "view_frames" in message


def test_empty_and_overlong_questions_are_rejected(store: VideoTimelineStore) -> None:
    tool = AskVideoTool(store=store, model=ScriptedChat(turns=[]))
    assert "empty" in fail(tool, question="")
    assert "characters" in fail(tool, question="why " * 100_000)


# Indexing and clips


def test_a_new_video_is_perceived_and_stored(root: Path, eggs: Timeline) -> None:
    store = make_store()
    tool = IndexVideoTool(store=store, files=AgentFiles(root), profile="lite")
    message = succeed(tool, source="eggs.mp4")
    assert message.artifact["video_id"] == eggs.video_id
    assert (message.artifact["status"], message.artifact["problems"]) == ("indexed", [])
    assert eggs.video_id in text_of(message.content)
    assert [one.source for one in store.videos()] == [str(root / "eggs.mp4")]
    assert [one.text for one in store.timeline(eggs.video_id, 9, 10).slice(modalities=["screen_text"])] == EGGS[2]
    again = succeed(tool, source=str(root / "eggs.mp4"))
    assert again.artifact["status"] == "skipped"
    assert again.artifact["observations"] == message.artifact["observations"]


def test_damage_is_reported_and_stored(tmp_path: Path) -> None:
    whole = make_beeps(tmp_path / "beeps.mp4", "-movflags", "faststart").read_bytes()
    (tmp_path / "beeps.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "beeps.srt").write_text("1\n00:01:00,000 --> 00:01:02,000\nToo late.\n")
    store = make_store()
    tool = IndexVideoTool(store=store, files=AgentFiles(tmp_path), profile="lite")
    message = succeed(tool, source="beeps.mp4")
    (problem,) = message.artifact["problems"]
    assert "the file ends early (" in problem
    assert "1 cue starts after the end of the video" in problem
    assert problem in text_of(message.content)
    (record,) = store.videos()
    assert (record.damage, record.failures, record.profile) == (problem, "", "lite")
    assert 0 < record.decoded_fraction < 1
    again = succeed(tool, source="beeps.mp4").artifact
    assert (again["status"], again["problems"]) == ("skipped", [problem])
    listed = succeed(ListVideosTool(store=store))
    assert f"beeps  (incomplete: {problem[:80]}" in text_of(listed.content)
    assert listed.artifact[0]["damage"] == problem


def test_a_video_is_perceived_again_when_its_subtitles_have_changed(tmp_path: Path) -> None:
    make_beeps(tmp_path / "beeps.mp4", seconds=2)
    store = make_store()
    tool = IndexVideoTool(store=store, files=AgentFiles(tmp_path), profile="lite")
    for text in ("Beep.", "Beep, beep."):
        (tmp_path / "beeps.srt").write_text(f"1\n00:00:00,000 --> 00:00:01,000\n{text}\n")
        assert succeed(tool, source="beeps.mp4").artifact["status"] == "indexed"
        assert succeed(tool, source="beeps.mp4").artifact["status"] == "skipped"
        timeline = store.timeline(store.videos()[0].video_id)
        assert [one.text for one in timeline if one.modality == "subtitle"] == [text]
    (tmp_path / "copy.mp4").write_bytes((tmp_path / "beeps.mp4").read_bytes())
    assert succeed(tool, source="copy.mp4").artifact["status"] == "skipped"
    (tmp_path / "copy.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nBoop.\n")
    ignored = succeed(tool, source="copy.mp4").artifact
    assert (ignored["status"], "subtitle files beside it are ignored" in ignored["problems"][0]) == ("skipped", True)
    (tmp_path / "beeps.srt").unlink()
    other = IndexVideoTool(store=store, files=AgentFiles(tmp_path), profile="full")
    assert succeed(other, source="beeps.mp4").artifact["status"] == "skipped"
    assert succeed(tool, source="beeps.mp4").artifact["status"] == "indexed"
    assert succeed(tool, source="copy.mp4").artifact["status"] == "indexed"
    assert succeed(tool, source="beeps.mp4").artifact["status"] == "skipped"


@pytest.mark.parametrize("source", ["nowhere.mp4", "", ".", "notes.mp4", "empty.mp4", "x" * 5000])
def test_files_that_are_not_videos_are_not_stored(root: Path, source: str) -> None:
    (root / "notes.mp4").write_text("not a video")
    (root / "empty.mp4").touch()
    store = make_store()
    fail(IndexVideoTool(store=store, files=AgentFiles(root), profile="lite"), source=source)
    assert store.videos() == []


def test_an_unknown_profile_is_an_error(root: Path) -> None:
    tool = IndexVideoTool(store=make_store(), files=AgentFiles(root), profile="telepathy")
    assert "telepathy" in fail(tool, source="eggs.mp4")


def test_a_clip_is_saved_in_the_folder(root: Path, store: VideoTimelineStore, eggs: Timeline) -> None:
    tool = CutClipTool(store=store, files=AgentFiles(root))
    message = succeed(tool, video_id="eggs", start="00:04", end=6, filename="pan.mp4")
    assert message.artifact == {
        "path": str(root / "pan.mp4"),
        "video_id": eggs.video_id,
        "start": 4.0,
        "end": 6.0,
        "citation": f"file://{eggs.video.source}#t=4,6",
    }
    assert str(root / "pan.mp4") in text_of(message.content)
    assert probe(root / "pan.mp4").duration == pytest.approx(2, abs=0.1)
    named = succeed(tool, video_id="eggs", start=4, end=100).artifact
    assert named["path"] == str(root / "eggs 4-12.mp4")
    assert named["end"] == 12.0


def test_failed_clips_leave_no_files(root: Path, store: VideoTimelineStore) -> None:
    tool = CutClipTool(store=store, files=AgentFiles(root))
    before = sorted(root.iterdir())
    for name in ("clip.avi", "clip", ".bashrc", "no/such/folder.mp4", "x" * 300 + ".mp4", "."):
        fail(tool, video_id="eggs", start=1, end=2, filename=name)
    assert sorted(root.iterdir()) == before


# Texts of any length


def test_texts_of_a_file_are_bounded_where_they_enter(tmp_path: Path) -> None:
    title = f"talk\n\x1b{'x' * 100_000}"
    # Matroska: titles and languages of any length.
    path = make_beeps(
        tmp_path / "beeps.mkv", "-metadata", f"title={title}", "-metadata:s", f"title={title}", "-metadata:s",
        f"language={'x' * 10_000}",
    )  # fmt: skip
    cue = f"<v {'Ada' * 1000}>{'word ' * 10_000}"
    (tmp_path / "beeps.vtt").write_text(f"WEBVTT\n\n00:00.000 --> 00:02.000\n{cue}\n")
    video = probe(path)
    assert (video.title[:7], len(video.title)) == ("talk  x", 200)
    assert all(len(one.title or "") <= 200 and len(one.language or "") <= 35 for one in video.streams)
    assert any(one.title for one in video.streams)
    damage: list[Damage] = []
    (read,) = read_subtitles(path, on_damage=damage.append)
    assert (len(read.text), len(read.speaker or "")) == (9_999, 100)
    assert "1 cue is too long and was cut off" in str(damage[0])


def test_names_of_files_are_titles_without_control_characters(tmp_path: Path) -> None:
    path = make_beeps(tmp_path / "beeps.mp4", seconds=1).rename(tmp_path / "two\nbeeps\x07.mp4")
    assert probe(path).title == "two beeps"


@pytest.mark.parametrize("title", ["x" * 2_000_000, "x\n" * 1_000_000, "\u3164" * 100_000])
def test_a_long_title_in_a_store_is_short_in_results(root: Path, eggs: Timeline, title: str) -> None:
    store = make_store(replace(eggs, video=replace(eggs.video, title=title)))
    files, model = AgentFiles(root), ScriptedChat(turns=[AIMessage("Two eggs.")])
    calls: list[tuple[BaseTool, dict[str, Any]]] = [
        (ListVideosTool(store=store), {}),
        (SearchVideosTool(store=store), {"query": "eggs", "k": 1}),
        (ViewFramesTool(store=store, files=files), {"video_id": eggs.video_id, "times": [1]}),
        (AskVideoTool(store=store, files=files, model=model), {"question": "What?", "video_id": eggs.video_id}),
        (IndexVideoTool(store=store, files=files, profile="lite"), {"source": "eggs.mp4"}),
        (CutClipTool(store=store, files=files), {"video_id": eggs.video_id, "start": 0, "end": 1}),
    ]
    for tool, arguments in calls:
        assert len(text_of(succeed(tool, **arguments).content)) < 2500, tool.name
    assert len(text_of(succeed(VideoChatTextTool(store=store)).content)) < MAX_TEXT_LENGTH + 200
    assert len(fail(VideoChatTextTool(store=store), video_id="nothing")) < 1500


@pytest.mark.parametrize(
    "arguments",
    [
        {"times": [{}] * 20_000},
        {"times": [{}] * 90},
        {"times": [{"x" * 100_000: 1}]},
        {"times": ["x" * 1_000_000]},
        {"start": "9" * 1_000_000},
        {"start": {"x" * 100_000: 1}, "end": []},
        {"video_id": ["x" * 100_000]},
    ],
)
def test_errors_of_invalid_arguments_are_short(store: VideoTimelineStore, arguments: dict[str, Any]) -> None:
    assert len(fail(ViewFramesTool(store=store), **{"video_id": "eggs", **arguments})) < 1500


@pytest.mark.parametrize(
    "value",
    [[{}] * 20_000, {"x" * 100_000: "x"}, "x" * 1_000_000, "9" * 1_000_000, "1\n" * 100_000, 10**4000, None, b"x"],
)
def test_errors_of_all_tools_are_short_whatever_the_arguments(
    root: Path, store: VideoTimelineStore, value: Any
) -> None:
    toolkit = VideoChatToolkit(store=store, root_dir=root, model=ScriptedChat(turns=[]), profile="lite")
    for tool in toolkit.get_tools()[1:]:  # list_videos takes no arguments
        for name in tool.args:
            message = ask(tool, **{"video_id": "eggs", "query": "eggs", "question": "Eggs?", name: value})
            if message.status == "error":
                assert len(text_of(message.content)) < 1500, (tool.name, name)
    assert message.status == "error"


def test_an_error_lists_videos_with_long_titles(eggs: Timeline) -> None:
    other = replace(eggs, video_id="feed1234", video=replace(eggs.video, title="x" * 100_000))
    problem = fail(VideoChatTextTool(store=make_store(other, eggs)), video_id="nothing")
    assert {other.video_id, eggs.video_id} <= set(re.findall(r"[\w-]+", problem))


# Async and calls by models


async def test_async_results_are_the_same(store: VideoTimelineStore) -> None:
    calls: list[tuple[BaseTool, dict[str, Any]]] = [
        (ListVideosTool(store=store), {}),
        (SearchVideosTool(store=store), {"query": "eggs"}),
        (VideoChatTextTool(store=store), {"video_id": "eggs"}),
        (ViewFramesTool(store=store), {"video_id": "eggs", "times": [1]}),
        (VideoChatTextTool(store=store), {"video_id": "nothing"}),
    ]
    messages = [tool.ainvoke(tool_call(tool.name, **arguments)) for tool, arguments in calls]
    for (tool, arguments), message in zip(calls, await asyncio.gather(*messages), strict=True):
        assert message == ask(tool, **arguments)


def test_a_call_written_by_a_model_fits_the_schema(store: VideoTimelineStore) -> None:
    message = calling("search_videos", query="eggs", start="0:01").tool_calls[0]
    assert succeed(SearchVideosTool(store=store), **message["args"]).artifact


def test_a_video_without_duration_can_be_read() -> None:
    still = Timeline.of(
        VideoInfo(source="/films/still.gif", title="still", duration=0.0, width=1, height=1), "still", []
    )
    assert succeed(VideoChatTextTool(timeline=still)).artifact["end"] == 0.0
