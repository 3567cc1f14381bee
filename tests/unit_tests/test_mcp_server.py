"""The MCP server: tools, resources, prompts, roots, progress and cancellation, with the official client."""

import base64
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from langchain_core.messages import AIMessage
from mcp import MCPError, types

from langchain_videochat.errors import StoreError
from langchain_videochat.mcp import VideoTools, create_server
from langchain_videochat.mcp.calls import Calls, Progress
from langchain_videochat.mcp.tool_list import TOOLS
from langchain_videochat.media import probe
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.toolkit import VideoChatToolkit
from langchain_videochat.timeline import Timeline
from tests.agents import ScriptedChat, make_store, make_talk, slide_in, tool_call
from tests.agents import text_of as text_of_content
from tests.mcp_clients import MODES, call, connect, error_of, serve, text_of
from tests.mcp_tools import describe_tools
from tests.slides import render_talk
from tests.unit_tests.embeddings import make_timeline

SLIDES = [["Hello"], ["World"]]

both_protocols = pytest.mark.parametrize("mode", MODES)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Timeline:
    return make_talk(tmp_path_factory.mktemp("talk") / "talk.mp4", SLIDES)


@pytest.fixture
def folder(tmp_path: Path, rendered: Timeline) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "talk.mp4").write_bytes(Path(rendered.video.source).read_bytes())
    return folder


@pytest.fixture
def talk(folder: Path, rendered: Timeline) -> Timeline:
    return replace(rendered, video=replace(rendered.video, source=str(folder / "talk.mp4")))


@pytest.fixture
def store(talk: Timeline) -> VideoTimelineStore:
    return make_store(talk)


# Tools


def test_the_list_of_tools_is_up_to_date() -> None:
    assert json.loads(TOOLS.read_text()) == describe_tools(), "run python -m tests.mcp_tools"


@both_protocols
async def test_tools_are_those_of_the_toolkit(mode: str, folder: Path) -> None:
    tools = VideoTools(make_store, open_model=lambda: ScriptedChat(turns=[]))
    toolkit = VideoChatToolkit(store=make_store(), model=ScriptedChat(turns=[]), root_dir=folder)
    async with connect(create_server(tools, folder), mode) as client:
        listed = (await client.list_tools()).tools
    assert [tool.name for tool in listed] == [tool.name for tool in toolkit.get_tools()] + ["write_report"]
    read_only = {tool.name for tool in listed if tool.annotations and tool.annotations.read_only_hint}
    assert {tool.name for tool in listed} - read_only == {"index_video", "cut_clip", "write_report"}


async def test_without_a_folder_and_a_model_tools_only_read(store: VideoTimelineStore) -> None:
    async with connect(serve(store)) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert names == ["list_videos", "search_videos", "video_chat_text", "view_frames"]
        with pytest.raises(MCPError, match="Unknown tool: 'cut_clip'"):
            await client.call_tool("cut_clip", {"video_id": "talk", "start": 0, "end": 1})


@both_protocols
async def test_results_are_those_of_the_tools(
    mode: str, store: VideoTimelineStore, folder: Path, talk: Timeline
) -> None:
    tools = {tool.name: tool for tool in VideoChatToolkit(store=store, root_dir=folder).get_tools()}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("list_videos", {}),
        ("search_videos", {"query": "world"}),
        ("video_chat_text", {"video_id": talk.video_id}),
    ]
    async with connect(serve(store, folder), mode) as client:
        for name, arguments in calls:
            expected = tools[name].invoke(tool_call(name, **arguments)).content
            result = await client.call_tool(name, arguments)
            assert text_of(result) == text_of_content(expected)
            assert result.structured_content is None  # its text would not be marked as data


@both_protocols
async def test_frames_are_images(mode: str, store: VideoTimelineStore, folder: Path) -> None:
    async with connect(serve(store, folder), mode) as client:
        result = await client.call_tool("view_frames", {"video_id": "talk", "times": [1, "00:05"]})
    images = [part for part in result.content if isinstance(part, types.ImageContent)]
    blocks = [{"type": "image", "base64": image.data, "mime_type": image.mime_type} for image in images]
    assert [slide_in(block, SLIDES) for block in blocks] == SLIDES


async def test_the_model_is_opened_when_it_is_asked(store: VideoTimelineStore, folder: Path) -> None:
    opened = []

    def open_model() -> ScriptedChat:
        opened.append(ScriptedChat(turns=[AIMessage("It says hello."), AIMessage("It says world.")]))
        return opened[-1]

    async with connect(create_server(VideoTools(lambda: store, open_model=open_model), folder)) as client:
        await call(client, "list_videos")
        assert opened == []
        answers = [await call(client, "ask_video", question="What does it say?") for _ in range(2)]
    assert ["hello" in answers[0], "world" in answers[1]] == [True, True]
    assert len(opened) == 1


# Resources


@both_protocols
async def test_clips_and_reports_are_links_that_can_be_read(
    mode: str, store: VideoTimelineStore, folder: Path, tmp_path: Path
) -> None:
    async with connect(serve(store, folder), mode) as client:
        cut = await client.call_tool("cut_clip", {"video_id": "talk", "start": 1, "end": 3, "filename": "clip.mp4"})
        report = await client.call_tool("write_report", {"video_id": "talk"})
        links = [part for part in (*cut.content, *report.content) if isinstance(part, types.ResourceLink)]
        contents = [(await client.read_resource(link.uri)).contents[0] for link in links]
    assert [(link.name, link.mime_type) for link in links] == [("clip", "video/mp4"), ("report", "text/html")]
    files = [base64.b64decode(one.blob) for one in contents if isinstance(one, types.BlobResourceContents)]
    assert files == [(folder / "clip.mp4").read_bytes(), (folder / "talk.html").read_bytes()]
    assert probe(folder / "clip.mp4").duration == pytest.approx(2, abs=0.2)
    assert [link.size for link in links] == [len(file) for file in files]


@both_protocols
async def test_timelines_are_resources(mode: str, store: VideoTimelineStore, talk: Timeline) -> None:
    address = f"video://{talk.video_id}/timeline"
    async with connect(serve(store), mode) as client:
        (listed,) = (await client.list_resources()).resources
        (template,) = (await client.list_resource_templates()).resource_templates
        (whole,) = (await client.read_resource(address)).contents
        (part,) = (await client.read_resource(f"{address}?start=00:04&end=8")).contents
    assert (listed.uri, listed.mime_type) == (address, "text/plain")
    assert template.uri_template == "video://{video_id}/timeline{?start,end}"
    assert isinstance(whole, types.TextResourceContents)
    assert isinstance(part, types.TextResourceContents)
    assert "Hello" in whole.text
    assert "World" in part.text
    assert "Hello" not in part.text


async def test_resources_are_listed_in_pages() -> None:
    store = make_store(*(make_timeline(f"{number:016x}", duration=1.0) for number in range(130)))
    async with connect(serve(store)) as client:
        pages, cursor = [], None
        while True:
            page = await client.list_resources(cursor=cursor)
            pages.append([resource.uri for resource in page.resources])
            if (cursor := page.next_cursor) is None:
                break
        with pytest.raises(MCPError, match="cursor"):
            await client.list_resources(cursor="-1")
    assert [len(page) for page in pages] == [100, 30]
    assert len({uri for page in pages for uri in page}) == 130


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("video://nothing/timeline", "unknown video"),
        ("video://{id}/timeline?start=soon", "not a valid time"),
        ("video://{id}/files/0123456789abcdef", "unknown resource"),
        ("video://{id}/timeline/../../../etc/passwd", "unknown resource"),
        ("file:///etc/passwd", "unknown resource"),
        ("file://{folder}/talk.mp4", "unknown resource"),
    ],
)
async def test_other_resources_cannot_be_read(
    store: VideoTimelineStore, folder: Path, talk: Timeline, address: str, problem: str
) -> None:
    async with connect(serve(store, folder)) as client:
        with pytest.raises(MCPError, match=problem):
            await client.read_resource(address.format(id=talk.video_id, folder=folder))
        assert "talk" in await call(client, "list_videos")


async def test_large_files_are_not_sent(store: VideoTimelineStore, folder: Path) -> None:
    async with connect(serve(store, folder)) as client:
        cut = await client.call_tool("cut_clip", {"video_id": "talk", "start": 1, "end": 3, "filename": "clip.mp4"})
        (link,) = [part for part in cut.content if isinstance(part, types.ResourceLink)]
        with (folder / "clip.mp4").open("r+b") as file:
            file.truncate(30_000_000)
        with pytest.raises(MCPError, match="30 MB, more than the 20 MB"):
            await client.read_resource(link.uri)
        (folder / "clip.mp4").unlink()
        with pytest.raises(MCPError, match="no such file"):
            await client.read_resource(link.uri)


# Prompts


@both_protocols
async def test_prompts_name_tools_that_exist(mode: str, store: VideoTimelineStore, folder: Path) -> None:
    async with connect(serve(store, folder), mode) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        for prompt in (await client.list_prompts()).prompts:
            arguments = {one.name: "three $eggs" for one in prompt.arguments or ()}
            (message,) = (await client.get_prompt(prompt.name, arguments)).messages
            assert isinstance(message.content, types.TextContent)
            assert "three $eggs" in message.content.text
            words = {word.strip(".,;") for word in message.content.text.split()}
            assert words & tools
            assert {word for word in words if "_" in word and word.isidentifier()} <= tools
            with pytest.raises(MCPError, match="Missing arguments"):
                await client.get_prompt(prompt.name, {})
        with pytest.raises(MCPError, match="Unknown prompt"):
            await client.get_prompt("dance", {})


# Roots


@both_protocols
async def test_roots_are_the_folders_if_the_server_has_none(
    mode: str, store: VideoTimelineStore, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    async with connect(serve(store, accepts_roots=True), mode, [other, folder]) as client:
        assert "cut_clip" in [tool.name for tool in (await client.list_tools()).tools]
        clip = await call(client, "cut_clip", video_id="talk", start=0, end=1, filename="clip.mp4")
        await call(client, "view_frames", video_id="talk")
    assert str(other / "clip.mp4") in clip  # the first root
    async with connect(serve(store, accepts_roots=True), mode, [other]) as client:
        assert "outside of the folder" in await error_of(client, "view_frames", video_id="talk")
        assert "Hello" in await call(client, "video_chat_text", video_id="talk")


@both_protocols
async def test_roots_narrow_the_folder_and_never_extend_it(
    mode: str, store: VideoTimelineStore, folder: Path, tmp_path: Path
) -> None:
    inner = folder / "inner"
    inner.mkdir()
    server = serve(store, folder, accepts_roots=True)
    async with connect(server, mode, [tmp_path]) as client:
        await call(client, "view_frames", video_id="talk")
        outside = {"video_id": "talk", "start": 0, "end": 1, "filename": "../clip.mp4"}
        assert "outside of the folder" in await error_of(client, "cut_clip", **outside)
    async with connect(server, mode, [inner]) as client:
        assert "outside of the folder" in await error_of(client, "view_frames", video_id="talk")
    async with connect(server, mode, [tmp_path.parent / "elsewhere", Path("/")]) as client:
        await call(client, "view_frames", video_id="talk")
    async with connect(server, mode, [tmp_path / "missing"]) as client:
        assert "no root of the client" in await error_of(client, "view_frames", video_id="talk")
    async with connect(server, mode, []) as client:
        await call(client, "view_frames", video_id="talk")


async def test_without_leave_roots_give_no_access(store: VideoTimelineStore, folder: Path) -> None:
    async with connect(serve(store), roots=[folder]) as client:
        assert "cut_clip" not in [tool.name for tool in (await client.list_tools()).tools]


@both_protocols
async def test_clips_of_another_client_cannot_be_read_from_elsewhere(
    mode: str, store: VideoTimelineStore, folder: Path
) -> None:
    (folder / "inner").mkdir()
    server = serve(store, folder)
    async with connect(server, mode, [folder]) as client:
        cut = await client.call_tool("cut_clip", {"video_id": "talk", "start": 0, "end": 1})
    (link,) = [part for part in cut.content if isinstance(part, types.ResourceLink)]
    async with connect(server, mode, [folder / "inner"]) as client:
        with pytest.raises(MCPError, match="outside of the folder"):
            await client.read_resource(link.uri)


# Progress, cancellation and load


class Reports:
    """Progress reports that a client has received."""

    def __init__(self) -> None:
        self.received: list[tuple[float, float | None, str | None]] = []
        self.arrived = anyio.Event()

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        self.received.append((progress, total, message))
        if progress > 0:
            self.arrived.set()


@both_protocols
async def test_progress_is_reported_while_indexing(mode: str, folder: Path) -> None:
    reports = Reports()
    store = make_store()
    async with connect(serve(store, folder), mode) as client:
        await client.call_tool("index_video", {"source": "talk.mp4"}, progress_callback=reports)
        (listed,) = (await client.list_resources()).resources
        (timeline,) = (await client.read_resource(listed.uri)).contents
    assert isinstance(timeline, types.TextResourceContents)
    assert "Hello" in timeline.text
    fractions = [progress for progress, _, _ in reports.received]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert len(fractions) > 2
    assert {total for _, total, _ in reports.received} == {1.0}


@both_protocols
async def test_a_cancelled_call_stops(mode: str, folder: Path) -> None:
    render_talk(folder / "long.mp4", [[f"Slide {number}"] for number in range(60)])
    store, reports = make_store(), Reports()
    async with connect(serve(store, folder), mode) as client:
        async with anyio.create_task_group() as tasks:

            async def index() -> None:
                await client.call_tool("index_video", {"source": "long.mp4"}, progress_callback=reports)

            tasks.start_soon(index)
            await reports.arrived.wait()
            tasks.cancel_scope.cancel()
        # The next video waits until the first one has stopped.
        await call(client, "index_video", source="talk.mp4")
    assert [record.title for record in store.videos()] == ["talk"]


async def test_errors_say_which_videos_are_being_indexed(folder: Path) -> None:
    render_talk(folder / "long.mp4", [[f"Slide {number}"] for number in range(60)])
    reports = Reports()
    async with connect(serve(make_store(), folder)) as client, anyio.create_task_group() as tasks:

        async def index() -> None:
            await client.call_tool("index_video", {"source": "long.mp4"}, progress_callback=reports)

        tasks.start_soon(index)
        await reports.arrived.wait()
        problem = await error_of(client, "view_frames", video_id="long")
        assert "there are no videos yet" in problem
        assert "Being indexed now" in problem
        assert "long.mp4" in await call(client, "list_videos")
        tasks.cancel_scope.cancel()


async def test_too_many_calls_are_refused() -> None:
    calls, finish = Calls(at_once=1, waiting=1), threading.Event()

    def wait(progress: Progress) -> str:
        finish.wait()
        return "done"

    results = []

    async def report(fraction: float, message: str) -> None:
        raise AssertionError

    async def run() -> None:
        results.append(await calls.run(wait, report))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        tasks.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(Exception, match="too many calls"):
            await calls.run(wait, report)
        finish.set()
    assert results == ["done", "done"]
    assert await calls.run(wait, report) == "done"


@both_protocols
async def test_a_flood_is_answered(mode: str, store: VideoTimelineStore) -> None:
    async with connect(serve(store), mode) as client:
        results: list[bool] = []

        async def search() -> None:
            result = await client.call_tool("search_videos", {"query": "world"})
            results.append(result.is_error)

        async with anyio.create_task_group() as tasks:
            for _ in range(600):
                tasks.start_soon(search)
        assert len(results) == 600
        assert results.count(False) >= 500
        assert "World" in await call(client, "search_videos", query="world")


# Errors


async def test_a_store_that_cannot_be_opened_is_tried_again(store: VideoTimelineStore) -> None:
    attempts = []

    def open_store() -> VideoTimelineStore:
        attempts.append(1)
        if len(attempts) == 1:
            raise StoreError("index", "the database is locked", "Close the other program")
        return store

    async with connect(create_server(VideoTools(open_store))) as client:
        problem = await error_of(client, "list_videos")
        assert "the database is locked" in problem
        assert "Close the other program" in problem
        assert "talk" in await call(client, "list_videos")
    assert len(attempts) == 2


async def test_unexpected_errors_are_not_shown_to_the_client(store: VideoTimelineStore) -> None:
    def open_store() -> VideoTimelineStore:
        raise RuntimeError("the password is swordfish")

    async with connect(create_server(VideoTools(open_store))) as client:
        problem = await error_of(client, "list_videos")
        assert "unexpectedly" in problem
        assert "swordfish" not in problem
        with pytest.raises(MCPError) as error:
            await client.list_resources()
        assert "swordfish" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("search_videos", {}, "query"),
        ("search_videos", {"query": "x", "k": 1000}, "k"),
        ("view_frames", {"video_id": 12}, "video_id"),
        ("video_chat_text", {"video_id": "talk", "start": "soon"}, "not a valid time"),
        ("view_frames", {"video_id": "talk", "times": [1000]}, "after the end"),
    ],
)
async def test_wrong_arguments_get_advice(
    store: VideoTimelineStore, name: str, arguments: dict[str, Any], problem: str
) -> None:
    async with connect(serve(store)) as client:
        assert problem in await error_of(client, name, **arguments)
