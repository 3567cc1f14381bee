"""Names of files that are not UTF-8, or that have line breaks, control characters and marks of text direction."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient
from typer.testing import CliRunner

from langchain_videochat import VideoChatTextLoader, VideoChatToolkit, VideoTimelineStore
from langchain_videochat.app import Collection, create_app
from langchain_videochat.cli import app
from langchain_videochat.errors import SourceError
from langchain_videochat.media import local_path, probe
from langchain_videochat.media.sources import safe_source
from langchain_videochat.perception import Observation
from tests.media_files import make_beeps
from tests.unit_tests.embeddings import BagOfWords, make_timeline

NAMES = [b"caf\xe9", b"\xff\xfe", b"two\nlines", "\u202egnp.4pm".encode(), b"\x1b[31mred"]
"""Without suffix."""


@pytest.fixture(params=NAMES, ids=ascii)
def video(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Return a video and a subtitle file with such names, in a folder with such a name."""
    name: str = os.fsdecode(request.param)
    folder = tmp_path / name
    folder.mkdir()
    (folder / f"{name}.srt").write_text("1\n00:00:00,000 --> 00:00:02,000\nWhisk two eggs\n")
    (tmp_path / "quick.yaml").write_text("- subtitles\n")
    path = make_beeps(tmp_path / "beeps.mp4", seconds=3)
    path.rename(folder / f"{name}.mp4")
    return folder / f"{name}.mp4"


def is_displayable(text: str) -> bool:
    return text.encode(errors="ignore").decode() == text and text.isprintable()


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run `videochat` in a process of its own."""
    command: list[str | bytes] = [
        sys.executable,
        "-c",
        "from langchain_videochat.cli import app; app()",
        *map(os.fsencode, arguments),
    ]
    environment = {**os.environ, "COLUMNS": "300", "NO_COLOR": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)


@given(st.binary(min_size=1, max_size=50).filter(lambda name: b"/" not in name and b"\0" not in name))
def test_source_of_any_path_can_be_encoded_and_opens_the_file(name: bytes) -> None:
    path = os.path.abspath(os.fsdecode(b"/films/" + name))
    source = safe_source(path)
    source.encode()
    assert "\n" not in source
    assert safe_source(source) == source
    if source != path:
        assert source.startswith("file:///")
        with pytest.raises(SourceError, match="no such file"):
            local_path(source)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_address_opens_the_file(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_text("content")
    assert local_path(safe_source(str(path))) == path


def test_folder_is_indexed_searched_and_read(video: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (video.parent / os.fsdecode(b"not a video \xe9\n.mp4")).write_text("text")
    store = VideoTimelineStore(tmp_path / "store", embedding=BagOfWords())
    profile = tmp_path / "quick.yaml"

    report = store.index(video.parent, profile=profile, on_error="skip", show_progress=False)

    assert len(report.indexed) == len(report.failed) == 1
    assert is_displayable(str(report).replace("\n", " "))
    assert len(str(report).splitlines()) == 2
    assert [one.status for one in store.index(video.parent, profile=profile, on_error="skip").skipped] == ["skipped"]
    (record,) = store.videos()
    assert is_displayable(record.source)
    assert local_path(record.source) == video
    record.title.encode()
    assert "\n" not in record.title
    (found,) = store.search("eggs")
    assert found.metadata["source"] == record.source
    assert found.metadata["citation"] == f"{video.as_uri()}#t=0,2"
    assert store.timeline(record.video_id).to_json().encode()
    assert all(is_displayable(message) for message in caplog.messages)


def test_loader(video: Path, tmp_path: Path) -> None:
    (document,) = VideoChatTextLoader(video, profile=tmp_path / "quick.yaml").load()
    assert document.page_content == "Whisk two eggs"
    assert local_path(document.metadata["source"]) == video
    json.dumps(document.metadata, ensure_ascii=False).encode()


def test_timeline_that_was_added(tmp_path: Path) -> None:
    source = os.fsdecode(b"/films/caf\xe9.mp4")
    store = VideoTimelineStore(embedding=BagOfWords())
    store.add(make_timeline("eggs", Observation(0, 3, "speech", "Whisk two eggs"), source=source))
    (found,) = store.search("eggs")
    assert found.metadata["citation"] == "file:///films/caf%E9.mp4#t=0,3"


def test_agent_indexes_lists_and_cuts(video: Path, tmp_path: Path) -> None:
    store = VideoTimelineStore(tmp_path / "store", embedding=BagOfWords())
    kit = VideoChatToolkit(store=store, root_dir=tmp_path, profile=tmp_path / "quick.yaml")
    tools = {tool.name: tool for tool in kit.get_tools()}
    source = safe_source(str(video))

    def call(name: str, **arguments: object) -> str:
        message = tools[name].invoke({"type": "tool_call", "id": "1", "name": name, "args": arguments})
        assert message.status == "success", message.content
        json.dumps([message.content, message.artifact], ensure_ascii=False, default=dict).encode()
        return str(message.content)

    assert "is now stored" in call("index_video", source=source)
    assert "already stored" in call("index_video", source=source)
    (record,) = store.videos()
    assert record.video_id in call("list_videos")
    assert "Whisk" in call("search_videos", query="eggs")
    call("cut_clip", video_id=record.video_id, start=0, end=1, filename="clip.mp4")
    assert probe(tmp_path / "clip.mp4").duration == pytest.approx(1, abs=0.2)


def test_page_shows_and_serves_the_video(video: Path, tmp_path: Path) -> None:
    store = VideoTimelineStore(tmp_path / "store", embedding=BagOfWords())
    store.index(video, profile=tmp_path / "quick.yaml", show_progress=False)
    page = TestClient(create_app(Collection(store, video.parent), {}), base_url="http://localhost")

    (shown,) = page.get("/api/state").json()["videos"]

    assert shown["unplayable"] is None
    address = f"/api/videos/{shown['video_id']}"
    assert page.get(f"{address}/file").content == video.read_bytes()
    assert page.get(f"{address}/lanes").status_code == 200
    assert page.get("/api/search", params={"query": "eggs"}).json()


@pytest.mark.slow
def test_commands(tmp_path: Path) -> None:
    video = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    make_beeps(tmp_path / "beeps.mp4", seconds=3).rename(video)
    (tmp_path / os.fsdecode(b"caf\xe9.srt")).write_text("1\n00:00:00,000 --> 00:00:02,000\nWhisk two eggs\n")
    (tmp_path / "quick.yaml").write_text("- subtitles\n")
    store = tmp_path / "store"
    clip = tmp_path / os.fsdecode(b"clip\xe9.mp4")
    environment = {"COLUMNS": "300", "NO_COLOR": "1"}

    indexed = run("index", tmp_path, "--profile", tmp_path / "quick.yaml", "--store", store, "--json")
    assert (indexed.returncode, indexed.stderr) == (0, "")
    (report,) = json.loads(indexed.stdout)
    assert local_path(report["source"]) == video
    commands: list[list[str | Path]] = [
        ["index", video, "--profile", tmp_path / "quick.yaml"],
        ["index", report["source"], "--profile", tmp_path / "quick.yaml"],
        ["search", "eggs"],
        ["timeline", video],
        ["timeline", report["source"]],
        ["videos"],
        ["clip", video, "0", "1", "-o", clip],
        ["remove", video],
    ]
    for arguments in commands:
        done = CliRunner().invoke(app, [*map(str, arguments), "--store", str(store)], env=environment)
        assert done.exit_code == 0, done.stderr
        assert done.stdout
    assert probe(clip).duration == pytest.approx(1, abs=0.2)
    missing = run("timeline", video.with_name(os.fsdecode(b"\xe9\n.mp4")), "--store", store)
    assert missing.returncode == 1
    assert len(missing.stderr.splitlines()) == 1
