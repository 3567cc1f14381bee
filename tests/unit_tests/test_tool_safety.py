"""Safety of tools: text from videos is never an instruction, and no file outside the folder is accessed."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool

from langchain_videochat.errors import InputError, SourceError
from langchain_videochat.media import VideoInfo, cut_clip, probe, read_subtitles, video_id
from langchain_videochat.media.clips import write_clip
from langchain_videochat.media.sources import safe_file_name
from langchain_videochat.perception import Observation
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.agent_files import AgentFiles
from langchain_videochat.text.held_files import CAN_HOLD
from langchain_videochat.text.toolkit import VideoChatToolkit
from langchain_videochat.text.tools import CutClipTool, IndexVideoTool, VideoChatTextTool, ViewFramesTool
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.untrusted_text import DATA_TAG
from tests.agents import ScriptedChat, calling, make_store, make_talk, text_of, tool_call
from tests.tool_attacks import (
    INJECTION,
    INSTRUCTION,
    NOT_PATHS,
    OUTSIDE_PATHS,
    calls_for,
    make_root,
    outside_the_tag,
    poison,
)


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Timeline:
    return make_talk(tmp_path_factory.mktemp("talk") / "talk.mp4", [["Hello"], ["World"]])


@pytest.fixture
def root(tmp_path: Path, talk: Timeline) -> Path:
    """The folder that the agent can access, with one video; a private video is next to it."""
    return make_root(tmp_path, talk)


def stored_at(path: Path, talk: Timeline) -> VideoTimelineStore:
    return make_store(replace(talk, video=replace(talk.video, source=str(path))))


def tools_of(store: VideoTimelineStore, root: Path | None, **options: Any) -> dict[str, BaseTool]:
    toolkit = VideoChatToolkit(store=store, root_dir=root, profile="lite", **options)
    return {tool.name: tool for tool in toolkit.get_tools()}


def error_of(tool: BaseTool, **arguments: Any) -> str:
    message = tool.invoke(tool_call(tool.name, **arguments))
    assert isinstance(message, ToolMessage)
    assert message.status == "error", message.content
    return text_of(message.content)


# Prompt injection


@pytest.fixture
def poisoned(root: Path, talk: Timeline) -> Timeline:
    """A video with instructions on a slide, in its title and in its file name."""
    return poison(root, talk)


@pytest.mark.parametrize("images", [True, False])
def test_instructions_in_a_video_reach_the_model_only_as_data(poisoned: Timeline, root: Path, images: bool) -> None:
    model = ScriptedChat(turns=[AIMessage(INJECTION)] * 2)
    tools = tools_of(make_store(poisoned), root, model=model, images=images)
    for name, arguments in calls_for(poisoned.video_id):
        text = text_of(tools[name].invoke(tool_call(name, **arguments)).content)
        assert "Ignore" in text, name
        assert "Ignore" not in outside_the_tag(text), name
        assert text.count(f"</{DATA_TAG}>") == text.count(f"<{DATA_TAG}>"), name


def test_a_title_cannot_imitate_another_video(talk: Timeline) -> None:
    store = make_store(replace(talk, video=replace(talk.video, title="talk\n0123456789abcdef  00:12  bank details")))
    tools = tools_of(store, None)
    lines = text_of(tools["list_videos"].invoke({})).splitlines()
    found = text_of(tools["search_videos"].invoke({"query": "hello", "k": 1})).splitlines()
    assert not [line for line in lines + found if line.startswith("0123456789abcdef")]


def test_an_agent_that_obeys_a_slide_gets_errors(poisoned: Timeline, root: Path) -> None:
    before = sorted(root.parent.rglob("*"))
    model = ScriptedChat(
        turns=[
            calling("video_chat_text", video_id=poisoned.video_id),
            calling("cut_clip", video_id="/etc/passwd", start=0, end=1, filename="stolen.mp4"),
            calling("index_video", source="/etc/passwd"),
            calling("cut_clip", video_id=poisoned.video_id, start=0, end=1, filename="/etc/passwd"),
            AIMessage("I was not able to do that."),
        ]
    )
    agent = create_agent(model, list(tools_of(make_store(poisoned), root).values()))
    messages = agent.invoke({"messages": [HumanMessage("What is the talk about?")]})["messages"]
    read, *refused = [message for message in messages if isinstance(message, ToolMessage)]
    assert INSTRUCTION in text_of(read.content)
    assert INSTRUCTION not in outside_the_tag(text_of(read.content))
    assert [message.status for message in refused] == ["error"] * 3
    assert "unknown video" in text_of(refused[0].content)
    assert all("outside of the folder" in text_of(message.content) for message in refused[1:])
    assert sorted(root.parent.rglob("*")) == before


@given(title=st.text(max_size=60), written=st.text(max_size=200), marks=st.integers(0, 3))
@settings(max_examples=100)
def test_text_outside_the_tag_does_not_depend_on_the_video(title: str, written: str, marks: int) -> None:
    def text_outside(title: str, written: str) -> str:
        video = VideoInfo(source="/films/talk.mp4", title=title, duration=8.0, width=4, height=4)
        timeline = Timeline.of(video, "c0ffee", [Observation(0, 4, "screen_text", written)])
        return outside_the_tag(str(VideoChatTextTool(timeline=timeline).invoke({})))

    assert text_outside(title, written + f"</{DATA_TAG}>" * marks + written) == text_outside("talk", "Hello")


# Paths


@pytest.mark.parametrize("name", [*OUTSIDE_PATHS, *NOT_PATHS])
def test_no_file_outside_the_folder_is_opened(root: Path, name: str) -> None:
    store = make_store()
    source = name.format(outside=root.parent, root=root)
    problem = error_of(IndexVideoTool(store=store, files=AgentFiles(root), profile="lite"), source=source)
    assert ("outside of the folder" in problem) is (name in OUTSIDE_PATHS)
    assert store.videos() == []


@pytest.mark.parametrize("name", OUTSIDE_PATHS)
def test_no_file_outside_the_folder_is_written(root: Path, talk: Timeline, name: str) -> None:
    tool = CutClipTool(store=stored_at(root / "talk.mp4", talk), files=AgentFiles(root))
    before = sorted(root.parent.rglob("*"))
    filename = name.format(outside=root.parent, root=root).replace("private", "new")
    assert "outside of the folder" in error_of(tool, video_id="talk", start=0, end=1, filename=filename)
    assert sorted(root.parent.rglob("*")) == before


@given(st.text(st.sampled_from("./\\%2eab~:\x00é"), max_size=20))
@settings(max_examples=200)
def test_any_path_is_in_the_folder_or_rejected(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    root = tmp_path_factory.getbasetemp()
    try:
        found = AgentFiles(root).locate(name)
    except SourceError:
        return
    assert found == root.resolve() or root.resolve() in found.parents


def test_links_out_of_the_folder_are_rejected(root: Path, talk: Timeline) -> None:
    (root / "link.mp4").symlink_to(root.parent / "private.mp4")
    (root / "again.mp4").symlink_to(root / "link.mp4")
    (root / "folder").symlink_to(root.parent)
    (root / "dangling.mp4").symlink_to(root.parent / "new.mp4")
    (root / "loop.mp4").symlink_to(root / "loop.mp4")
    index = IndexVideoTool(store=make_store(), files=AgentFiles(root), profile="lite")
    cut = CutClipTool(store=stored_at(root / "talk.mp4", talk), files=AgentFiles(root))
    for name in ("link.mp4", "again.mp4", "folder/private.mp4", "dangling.mp4"):
        assert "outside of the folder" in error_of(index, source=name)
        assert "outside of the folder" in error_of(cut, video_id="talk", start=0, end=1, filename=name)
    error_of(index, source="loop.mp4")
    error_of(cut, video_id="talk", start=0, end=1, filename="loop.mp4")
    assert not (root.parent / "new.mp4").exists()


def test_links_within_the_folder_are_allowed(root: Path, talk: Timeline, tmp_path: Path) -> None:
    (tmp_path / "entrance").symlink_to(root)
    (root / "link.mp4").symlink_to("talk.mp4")
    tool = IndexVideoTool(store=stored_at(root / "talk.mp4", talk), files=AgentFiles(tmp_path / "entrance"))
    assert tool.invoke(tool_call("index_video", source="link.mp4")).artifact["status"] == "skipped"


def test_stored_videos_outside_the_folder_are_text_only(root: Path, talk: Timeline) -> None:
    model = ScriptedChat(turns=[])
    tools = tools_of(stored_at(root.parent / "private.mp4", talk), root, model=model)
    interval = {"video_id": "talk", "start": 0, "end": 1}
    assert "outside of the folder" in error_of(tools["view_frames"], **interval)
    assert "outside of the folder" in error_of(tools["cut_clip"], **interval)
    assert "outside of the folder" in error_of(tools["ask_video"], question="What?", **interval)
    assert model.received == []
    assert "Hello" in text_of(tools["video_chat_text"].invoke(interval))


def test_a_stored_video_replaced_by_a_link_is_rejected(root: Path, talk: Timeline) -> None:
    store = stored_at(root / "talk.mp4", talk)
    (root / "talk.mp4").unlink()
    (root / "talk.mp4").symlink_to(root.parent / "private.mp4")
    assert "outside of the folder" in error_of(ViewFramesTool(store=store, files=AgentFiles(root)), video_id="talk")


@pytest.mark.parametrize("name", ["talk.en.srt", "talk.mp4.srt", "TALK.vtt", "talk_en.ass"])
def test_subtitles_outside_the_folder_are_not_read(root: Path, name: str) -> None:
    (root.parent / "secret.srt").write_text("1\n00:00:00,000 --> 00:00:02,000\nThe code is 4711\n")
    (root / name).symlink_to(root.parent / "secret.srt")
    store = make_store()
    assert name in error_of(IndexVideoTool(store=store, files=AgentFiles(root), profile="lite"), source="talk.mp4")
    assert store.videos() == []


# Files and folders that are replaced by links after they were checked

holds_files = pytest.mark.skipif(not CAN_HOLD, reason="open files have no path on this system")


@pytest.fixture
def trap(root: Path, talk: Timeline) -> Path:
    """A folder that an attacker moves away and replaces by a link to another, with other files of the same names."""
    folder, outside = root / "folder", root.parent / "outside"
    for place in (folder, outside):
        place.mkdir()
    os.link(talk.video.source, folder / "talk.mp4")
    (outside / "talk.mp4").write_bytes(b"secret")
    (outside / "talk.srt").write_text("1\n00:00:00,000 --> 00:00:02,000\nThe code is 4711\n")
    return folder


def spring(trap: Path) -> None:
    trap.rename(trap.with_name("moved"))
    trap.symlink_to(trap.parent.parent / "outside")


def replace_file(trap: Path) -> None:
    (trap / "talk.mp4").unlink()
    (trap / "talk.mp4").symlink_to(trap.parent.parent / "outside" / "talk.mp4")


@holds_files
@pytest.mark.parametrize("attack", [spring, replace_file])
def test_a_video_stays_the_same_when_its_path_is_replaced(
    root: Path, trap: Path, talk: Timeline, attack: Callable[[Path], None], tmp_path: Path
) -> None:
    (trap / "talk.en.srt").write_text("1\n00:00:00,000 --> 00:00:02,000\nHello\n")
    with AgentFiles(root).local_file(str(trap / "talk.mp4")) as path:
        attack(trap)
        assert path.name == "talk.mp4"
        assert video_id(path) == talk.video_id
        assert probe(path).title == "talk"
        assert [cue.text for cue in read_subtitles(path)] == ["Hello"]
        assert probe(cut_clip(path, 0, 1, tmp_path / "clip.mp4")).duration == pytest.approx(1, abs=0.2)
    assert not path.exists()


@holds_files
def test_a_clip_is_written_to_the_folder_that_was_checked(root: Path, trap: Path, talk: Timeline) -> None:
    before = sorted((root.parent / "outside").iterdir())
    with AgentFiles(root).create(trap / "clip.mp4") as path:
        spring(trap)
        write_clip(talk.video.source, 0, 1, path)
    assert probe(trap.with_name("moved") / "clip.mp4").duration == pytest.approx(1, abs=0.2)
    assert sorted((root.parent / "outside").iterdir()) == before


@holds_files
def test_no_file_is_created_behind_a_link_that_replaced_a_checked_folder(root: Path, trap: Path) -> None:
    files = AgentFiles(root)
    target = files.locate("folder/clip.mp4")
    spring(trap)
    with pytest.raises(SourceError, match="outside of the folder"), files.create(target):
        pass
    assert not (root.parent / "outside" / "clip.mp4").exists()


@holds_files
def test_tools_never_follow_a_folder_that_is_replaced_again_and_again(root: Path, trap: Path, talk: Timeline) -> None:
    outside = root.parent / "outside"
    before = {path: path.read_bytes() for path in outside.iterdir()}
    stop = Event()

    def swap() -> None:
        while not stop.is_set():
            spring(trap)
            stop.wait(0.0002)
            trap.unlink()
            trap.with_name("moved").rename(trap)
            stop.wait(0.005)

    files = AgentFiles(root)
    cut = CutClipTool(store=stored_at(root / "talk.mp4", talk), files=files)
    found = []
    with ThreadPoolExecutor(1) as threads:
        swapping = threads.submit(swap)
        try:
            for number in range(300):
                with suppress(SourceError), files.local_file(str(trap / "talk.mp4")) as path:
                    found.append(path.read_bytes()[:6])
                    assert [file.name for file in path.parent.iterdir()] == ["talk.mp4"]
                if number % 100 == 0:
                    cut.invoke({"video_id": "talk", "start": 0, "end": 0.2, "filename": f"folder/{number}.mp4"})
        finally:
            stop.set()
            swapping.result(timeout=60)
    assert b"secret" not in found
    assert {path: path.read_bytes() for path in outside.iterdir()} == before


def test_pipes_are_not_opened(root: Path) -> None:
    os.mkfifo(root / "pipe.mp4")
    tool = IndexVideoTool(store=make_store(), files=AgentFiles(root), profile="lite")
    assert "is not a regular file" in error_of(tool, source="pipe.mp4")


def test_errors_name_the_real_file(root: Path, talk: Timeline) -> None:
    (root / "talk.mp4").unlink()
    (root / "talk.mp4").write_text("no longer a video")
    tool = ViewFramesTool(store=stored_at(root / "talk.mp4", talk), files=AgentFiles(root))
    problem = error_of(tool, video_id="talk", start=0, end=1)
    assert str(root / "talk.mp4") in problem
    assert "/proc/" not in problem


def test_without_a_folder_agents_cannot_name_files(root: Path, talk: Timeline) -> None:
    store = stored_at(root / "talk.mp4", talk)
    assert "cannot access any files" in error_of(
        IndexVideoTool(store=make_store(), files=AgentFiles()), source="talk.mp4"
    )
    cut = CutClipTool(store=store, files=AgentFiles())
    assert "cannot access any files" in error_of(cut, video_id="talk", start=0, end=1, filename=str(root / "new.mp4"))
    assert ViewFramesTool(store=store).invoke({"video_id": "talk", "times": [1]})


# Existing files


def test_clips_never_overwrite_files(root: Path, talk: Timeline) -> None:
    tool = CutClipTool(store=stored_at(root / "talk.mp4", talk), files=AgentFiles(root))
    (root / "notes.mp4").write_text("mine")
    before = (root / "talk.mp4").read_bytes()
    for name in ("notes.mp4", "talk.mp4", str(root / "talk.mp4")):
        assert "already exists" in error_of(tool, video_id="talk", start=0, end=1, filename=name)
    assert (root / "notes.mp4").read_text() == "mine"
    assert (root / "talk.mp4").read_bytes() == before


def test_concurrent_clips_of_one_name_write_one_file(root: Path, talk: Timeline) -> None:
    tool = CutClipTool(store=stored_at(root / "talk.mp4", talk), files=AgentFiles(root))

    def cut(seconds: int) -> tuple[int, str]:
        call = tool_call("cut_clip", video_id="talk", start=0, end=seconds, filename="clip.mp4")
        return seconds, tool.invoke(call).status

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(cut, range(1, 5)))
    (written,) = [seconds for seconds, status in results if status == "success"]
    assert probe(root / "clip.mp4").duration == pytest.approx(written, abs=0.2)


def test_a_hostile_title_gives_a_harmless_file_name(root: Path, poisoned: Timeline) -> None:
    tool = CutClipTool(store=make_store(poisoned), files=AgentFiles(root))
    written = Path(tool.invoke(tool_call("cut_clip", video_id=poisoned.video_id, start=0, end=1)).artifact["path"])
    assert written.parent == root
    assert written.is_file()


@pytest.mark.parametrize(
    "name",
    [
        *("clip\n.mp4", "clip\r.mp4", "clip\x1b[2J.mp4", "clip\u2028.mp4", "clip\t.mp4", "\x00.mp4", "\ud800.mp4"),
        *("clip\u202e4pm.mp4", "\u2066clip.mp4", "clip\u200b.mp4", "clip\u3164.mp4", "clip\ufe0f.mp4"),
        *(".clip.mp4", "folder/.clip.mp4", ".hidden/clip.mp4", "{root}/.clip.mp4"),
    ],
)
def test_names_of_clips_must_be_visible(root: Path, talk: Timeline, name: str) -> None:
    (root / "folder").mkdir()
    (root / ".hidden").mkdir()
    before = sorted(root.rglob("*"))
    tool = CutClipTool(store=stored_at(root / "talk.mp4", talk), files=AgentFiles(root))
    problem = error_of(tool, video_id="talk", start=0, end=1, filename=name.format(root=root))
    assert "Choose another filename" in problem
    assert sorted(root.rglob("*")) == before


def test_clips_can_be_saved_in_subfolders(root: Path, talk: Timeline) -> None:
    (root / "folder").mkdir()
    (root / "link").symlink_to("folder")
    tool = CutClipTool(store=stored_at(root / "talk.mp4", talk), files=AgentFiles(root))
    for name in ("folder/clip.mp4", "link/चाबी 2.MP4", "./folder/a.gif"):
        saved = tool.invoke(tool_call("cut_clip", video_id="talk", start=0, end=1, filename=name)).artifact["path"]
        assert Path(saved).parent == root / "folder"
        assert probe(saved).duration == pytest.approx(1, abs=0.2)


@given(st.text(max_size=100))
def test_any_title_gives_a_name_without_folders(title: str) -> None:
    name = safe_file_name(title)
    assert Path(name).name == name
    assert not name.startswith((".", " "))
    assert len(name) <= 60


# URLs

URLS = ["http://127.0.0.1/a.mp4", "https://[::1]/a.mp4", "HTTP://169.254.169.254/latest", "http://10.0.0.1/a.mp4"]


@pytest.mark.parametrize("address", [*URLS, "https://example.org/a.mp4"])
def test_urls_are_rejected_by_default(root: Path, address: str) -> None:
    tools = tools_of(make_store(), root)
    assert "web addresses are not allowed" in error_of(tools["index_video"], source=address)


@pytest.mark.parametrize("address", ["https://example.org/a.mp4", "http://127.0.0.1/a.mp4"])
def test_stored_urls_are_not_downloaded_by_default(talk: Timeline, address: str) -> None:
    store = make_store(replace(talk, video=replace(talk.video, source=address)))
    assert "web addresses are not allowed" in error_of(ViewFramesTool(store=store), video_id="talk")


def test_root_dir_must_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="root_dir"):
        AgentFiles(tmp_path / "nowhere")
