"""The toolkit of a folder, and tools in an event loop."""

import asyncio
import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool

from langchain_videochat import VideoChatToolkit, VideoTimelineStore
from langchain_videochat.errors import InputError, StoreError
from langchain_videochat.store import VideoRecord
from langchain_videochat.text.toolkit import STORE_FOLDER
from tests.agents import ScriptedChat, make_talk
from tests.slides import render_talk
from tests.unit_tests.embeddings import BagOfWords

EGGS = [["Whisk two eggs"], ["Heat the pan"]]
TENT = [["Unpack the tent"]]


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    """A folder with two talks, one of them in a subfolder."""
    folder = tmp_path / "talks"
    (folder / "camping").mkdir(parents=True)
    render_talk(folder / "eggs.mp4", EGGS)
    render_talk(folder / "camping" / "tent.mp4", TENT)
    return folder


def open_folder(folder: Path, **options: Any) -> VideoChatToolkit:
    return VideoChatToolkit.from_folder(folder, profile="lite", show_progress=False, **options)


def tools_of(toolkit: VideoChatToolkit) -> dict[str, BaseTool]:
    return {tool.name: tool for tool in toolkit.get_tools()}


def titles(toolkit: VideoChatToolkit) -> list[str]:
    return sorted(video.title for video in toolkit.store.videos())


def statuses(toolkit: VideoChatToolkit) -> dict[str, str]:
    assert toolkit.report is not None
    return {Path(one.source).name: one.status for one in toolkit.report.videos}


# A folder


def test_a_folder_becomes_the_tools_of_an_agent(talks: Path) -> None:
    tools = tools_of(open_folder(talks))
    assert list(tools) == [
        "list_videos", "search_videos", "video_chat_text", "view_frames", "index_video", "cut_clip"
    ]  # fmt: skip
    assert "Whisk two eggs" in tools["search_videos"].invoke({"query": "eggs", "k": 1})
    assert "00:04  tent" in tools["list_videos"].invoke({})
    tools["cut_clip"].invoke({"video_id": "eggs", "start": 4, "end": 6, "filename": "pan.mp4"})
    assert (talks / "pan.mp4").exists()


def test_a_second_call_indexes_only_new_videos(talks: Path) -> None:
    assert statuses(open_folder(talks)) == {"eggs.mp4": "indexed", "tent.mp4": "indexed"}
    seen: list[str] = []
    again = open_folder(talks, on_progress=lambda source, _phase, _progress: seen.append(source))
    assert statuses(again) == {"eggs.mp4": "skipped", "tent.mp4": "skipped"}
    assert seen == []
    render_talk(talks / "pan.mp4", [["Clean the pan"]])
    more = open_folder(talks, on_progress=lambda source, _phase, _progress: seen.append(source))
    assert statuses(more) == {"eggs.mp4": "skipped", "pan.mp4": "indexed", "tent.mp4": "skipped"}
    assert set(seen) == {str(talks / "pan.mp4")}


def test_a_replaced_file_replaces_its_timeline(talks: Path) -> None:
    open_folder(talks)
    (talks / "camping" / "tent.mp4").rename(talks / "camping" / "moved.mp4")
    (talks / "eggs.mp4").rename(talks / "gone.mp4")
    render_talk(talks / "eggs.mp4", [["Boil the eggs"]])
    render_talk(talks / "camping" / "tent.mp4", [["Pack the tent"]])
    (talks / "gone.mp4").unlink()
    toolkit = open_folder(talks)
    assert titles(toolkit) == ["eggs", "moved", "tent"]
    assert "Boil the eggs" in tools_of(toolkit)["video_chat_text"].invoke({"video_id": "eggs"})


def test_deleted_videos_stay_searchable(talks: Path) -> None:
    open_folder(talks)
    (talks / "eggs.mp4").unlink()
    assert titles(open_folder(talks)) == ["eggs", "tent"]


def test_unreadable_files_are_reported(talks: Path, caplog: pytest.LogCaptureFixture) -> None:
    (talks / "notes.mp4").write_text("not a video")
    with caplog.at_level(logging.WARNING):
        toolkit = open_folder(talks)
    assert toolkit.report is not None
    (failed,) = toolkit.report.failed
    assert failed.source == str(talks / "notes.mp4")
    assert "cannot be read as a video" in str(failed.error)
    assert "notes.mp4" in caplog.text
    assert titles(toolkit) == ["eggs", "tent"]


def test_an_empty_folder_can_be_filled_by_the_agent(tmp_path: Path) -> None:
    toolkit = open_folder(tmp_path)
    render_talk(tmp_path / "tent.mp4", TENT)
    tools_of(toolkit)["index_video"].invoke({"source": "tent.mp4"})
    assert titles(toolkit) == ["tent"]


def test_the_store_is_in_the_folder_unless_it_is_given(
    talks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert titles(open_folder(Path("talks"))) == ["eggs", "tent"]
    assert sorted(path.name for path in talks.iterdir()) == [STORE_FOLDER, "camping", "eggs.mp4"]
    monkeypatch.chdir(talks)
    assert set(statuses(open_folder(Path())).values()) == {"skipped"}
    assert titles(open_folder(talks, store=tmp_path / "index")) == ["eggs", "tent"]
    assert (tmp_path / "index").is_dir()


def test_a_store_that_is_given_keeps_all_its_videos(talks: Path, tmp_path: Path) -> None:
    store = VideoTimelineStore(embedding=BagOfWords())
    store.add(make_talk(tmp_path / "pan.mp4", [["Clean the pan"]]))
    assert open_folder(talks, store=store).store is store
    render_talk(talks / "eggs.mp4", [["Boil the eggs"]])
    assert titles(open_folder(talks, store=store)) == ["eggs", "eggs", "pan", "tent"]


def test_settings_are_passed_to_the_tools(talks: Path) -> None:
    model = ScriptedChat(turns=[AIMessage("Two.")])
    toolkit = open_folder(talks, model=model, images=False, allow_urls=True)
    assert (toolkit.profile, toolkit.root_dir, toolkit.allow_urls) == ("lite", talks, True)
    tools = tools_of(toolkit)
    assert "Two." in tools["ask_video"].invoke({"question": "How many eggs?"})
    frames = tools["view_frames"].invoke({"video_id": "eggs", "times": [1]})
    assert {block["type"] for block in frames} == {"text"}


def test_a_folder_that_does_not_exist_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere is not a folder"):
        open_folder(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_created_is_an_error(talks: Path) -> None:
    (talks / STORE_FOLDER).write_text("not a folder")
    with pytest.raises(StoreError, match=STORE_FOLDER):
        open_folder(talks)


# The event loop


async def test_a_folder_is_indexed_while_the_event_loop_runs(talks: Path) -> None:
    loop, reached = asyncio.get_running_loop(), threading.Event()

    def wait_for_loop(_source: str, _phase: str, _progress: float) -> None:
        loop.call_soon_threadsafe(reached.set)
        assert reached.wait(60)

    toolkit = await VideoChatToolkit.afrom_folder(talks, profile="lite", show_progress=False, on_progress=wait_for_loop)
    assert statuses(toolkit) == {"eggs.mp4": "indexed", "tent.mp4": "indexed"}


class WatchedStore(VideoTimelineStore):
    """A store that records the threads which use it."""

    users: set[int]

    def videos(self) -> list[VideoRecord]:
        self.users.add(threading.get_ident())
        return super().videos()


CALLS: dict[str, dict[str, Any]] = {
    "list_videos": {},
    "search_videos": {"query": "eggs", "video_id": "eggs"},
    "video_chat_text": {"video_id": "eggs"},
    "view_frames": {"video_id": "eggs", "times": [1]},
    "ask_video": {"question": "How many eggs?", "video_id": "eggs"},
    "index_video": {"source": "eggs.mp4"},
    "cut_clip": {"video_id": "eggs", "start": 0, "end": 1},
}


async def test_no_tool_runs_in_the_thread_of_the_event_loop(talks: Path) -> None:
    store = WatchedStore(embedding=BagOfWords())
    toolkit = VideoChatToolkit(
        store=store, root_dir=talks, model=ScriptedChat(turns=[AIMessage("Two.")]), profile="lite"
    )
    store.users = set()
    await tools_of(toolkit)["index_video"].ainvoke({"source": "eggs.mp4"})
    tools = tools_of(toolkit)
    assert set(tools) == set(CALLS)
    for name, arguments in CALLS.items():
        store.users = set()
        await tools[name].ainvoke(arguments)
        assert store.users, name
        assert threading.get_ident() not in store.users, name
