"""The attacks of test_tool_safety.py, and hostile files, through the MCP server."""

from collections.abc import Callable
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage
from mcp import MCPError

from langchain_videochat.mcp import VideoTools, create_server
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.untrusted_text import DATA_TAG
from tests import hostile_files
from tests.agents import ScriptedChat, make_store, make_talk
from tests.mcp_clients import MODES, call, connect, error_of, serve, text_of
from tests.media_files import make_traps
from tests.tool_attacks import (
    INJECTION,
    NOT_PATHS,
    OUTSIDE_PATHS,
    calls_for,
    make_root,
    outside_the_tag,
    poison,
)

both_protocols = pytest.mark.parametrize("mode", MODES)


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Timeline:
    return make_talk(tmp_path_factory.mktemp("talk") / "talk.mp4", [["Hello"], ["World"]])


@pytest.fixture
def root(tmp_path: Path, talk: Timeline) -> Path:
    """The folder that the agent can access, with one video; a private video is next to it."""
    return make_root(tmp_path, talk)


@pytest.fixture
def poisoned(root: Path, talk: Timeline) -> Timeline:
    """A video with instructions on a slide, in its title and in its file name."""
    return poison(root, talk)


# Prompt injection


@both_protocols
async def test_instructions_in_a_video_reach_the_model_only_as_data(mode: str, poisoned: Timeline, root: Path) -> None:
    store = make_store(poisoned)
    model = ScriptedChat(turns=[AIMessage(INJECTION)] * 2)
    server = create_server(VideoTools(lambda: store, open_model=lambda: model, profile="lite"), root)
    report = ("write_report", {"video_id": poisoned.video_id})
    async with connect(server, mode) as client:
        for name, arguments in [*calls_for(poisoned.video_id), report, report]:
            text = text_of(await client.call_tool(name, arguments))
            assert "Ignore" in text, name
            assert "Ignore" not in outside_the_tag(text), name
            assert text.count(f"</{DATA_TAG}>") == text.count(f"<{DATA_TAG}>"), name


@both_protocols
async def test_instructions_in_resources_are_marked_as_data(mode: str, poisoned: Timeline, root: Path) -> None:
    async with connect(serve(make_store(poisoned), root), mode) as client:
        listed = await client.list_resources()
        read = await client.read_resource(listed.resources[0].uri)
        with pytest.raises(MCPError) as error:
            await client.read_resource("video://nothing/timeline")
    for result in (str(listed.resources[0].description), read.contents[0].model_dump()["text"], str(error.value)):
        assert "Ignore" in result
        assert "Ignore" not in outside_the_tag(result)
    assert "Ignore" not in listed.resources[0].model_copy(update={"description": ""}).model_dump_json()


async def test_the_client_is_told_what_the_tag_means(poisoned: Timeline) -> None:
    async with connect(serve(make_store(poisoned))) as client:
        prompt = await client.get_prompt("summarize_video", {"video": "talk"})
        assert DATA_TAG in str(client.instructions)
        assert DATA_TAG in prompt.model_dump_json()


# Paths


@both_protocols
async def test_no_file_outside_the_folder_is_opened(mode: str, root: Path) -> None:
    store = make_store()
    async with connect(serve(store, root), mode) as client:
        for name in [*OUTSIDE_PATHS, *NOT_PATHS]:
            if "\ud800" in name:  # not JSON
                continue
            source = name.format(outside=root.parent, root=root)
            problem = await error_of(client, "index_video", source=source)
            assert ("outside of the folder" in problem) is (name in OUTSIDE_PATHS), name
    assert store.videos() == []


@both_protocols
async def test_no_file_outside_the_folder_is_written(mode: str, poisoned: Timeline, root: Path) -> None:
    before = sorted(root.parent.rglob("*"))
    video = {"video_id": poisoned.video_id}
    async with connect(serve(make_store(poisoned), root), mode) as client:
        for name in OUTSIDE_PATHS:
            filename = name.format(outside=root.parent, root=root).replace("private", "new")
            clip = {**video, "start": 0, "end": 1, "filename": filename}
            assert "outside of the folder" in await error_of(client, "cut_clip", **clip), name
            report = {**video, "filename": f"{filename}.html"}
            assert "outside of the folder" in await error_of(client, "write_report", **report), name
    assert sorted(root.parent.rglob("*")) == before


async def test_reports_never_overwrite_files(poisoned: Timeline, root: Path) -> None:
    (root / "notes.html").write_text("mine")
    async with connect(serve(make_store(poisoned), root)) as client:
        for name, problem in {
            "notes.html": "already exists",
            ".notes.html": "hidden",
            "notes.txt": "HTML",
            "a\u202e.html": "invisible",
        }.items():
            error = await error_of(client, "write_report", video_id=poisoned.video_id, filename=name)
            assert problem in error, name
    assert (root / "notes.html").read_text() == "mine"
    assert sorted(path.name for path in root.iterdir() if path.suffix == ".html") == ["notes.html"]


# Files


def make_cut(path: Path) -> None:
    hostile_files.cut(hostile_files.make_talk(path.with_name("whole.mp4")), path)


def make_flipped(path: Path) -> None:
    flips = [(position * 97, position % 8) for position in range(300)]
    hostile_files.flip_bits(hostile_files.make_talk(path.with_name("whole.mp4")), path, flips)


def make_bomb(path: Path) -> None:
    hostile_files.make_bomb(path.with_suffix(".mov"), 20_000, 20_000).rename(path)


def make_huge(path: Path) -> None:
    hostile_files.make_huge_gif(path, 60_000, 60_000)


def make_text(path: Path) -> None:
    path.write_text("#EXTM3U\nfile:///etc/passwd\n")


@pytest.mark.parametrize("make", [make_cut, make_flipped, make_bomb, make_huge, make_text, Path.touch, Path.mkdir])
async def test_hostile_files_leave_the_server_up(make: Callable[[Path], None], root: Path) -> None:
    make(root / "hostile.mp4")
    async with connect(serve(make_store(), root)) as client:
        text = text_of(await client.call_tool("index_video", {"source": "hostile.mp4"}))
        assert "root:" not in text
        assert "unexpectedly" not in text
        await call(client, "index_video", source="talk.mp4")
        assert "talk" in await call(client, "list_videos")


async def test_playlists_open_no_other_files(root: Path) -> None:
    store = make_store()
    async with connect(serve(store, root)) as client:
        for trap in make_traps(root):
            await error_of(client, "index_video", source=trap.name)
    assert store.videos() == []
