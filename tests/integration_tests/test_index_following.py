"""Searches while other processes write: they do not wait, and see everything in time; processes may be killed."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import chromadb
import pytest

from langchain_videochat.errors import StoreError
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.store.local_index import LocalIndex
from tests.chroma_server import run_chroma_server
from tests.unit_tests.embeddings import BagOfWords, make_slides

WAIT_SECONDS = 60

PREPARE = """
import os, signal, sys, time
import chromadb
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.store.local_index import LocalIndex
from tests.unit_tests.embeddings import BagOfWords, make_slides

if sys.argv[1].isdigit():
    place = {"client": chromadb.HttpClient(host="127.0.0.1", port=int(sys.argv[1]))}
else:
    place = {"persist_directory": sys.argv[1]}
store = VideoTimelineStore(**place, embedding=BagOfWords())
"""

WRITE_FOREVER = """
number = 0
while True:
    number += 1
    store.add(make_slides(f"{sys.argv[2]}{number % 5}", f"{sys.argv[2]} version{number}", f"{sys.argv[2]} again"))
    print(number, flush=True)
"""

SEARCH = """
found = store.search("video", k=1000)
print(len(found), len({one.id for one in found}))
"""

HOLD_WRITE_LOCK = """
import sqlite3
store.add(make_slides("eggs", "cracked eggs"))
sqlite3.connect(sys.argv[1] + "/chroma.sqlite3").execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""

DIE_WHILE_INDEXING = """
put_video, left = LocalIndex.put_video, int(sys.argv[2])

def put_or_die(*arguments):
    global left
    left -= 1
    if not left:
        index = arguments[0]
        with index._change() as database:
            database.execute("DELETE FROM moments")
            os.kill(os.getpid(), signal.SIGKILL)
    put_video(*arguments)

LocalIndex.put_video = put_or_die
store.search("video")
"""


def start(program: str, *arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PREPARE + program, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextmanager
def writers(place: object) -> Iterator[None]:
    """Run three processes that write without a pause."""
    processes = [start(WRITE_FOREVER, place, name) for name in ("eggs", "yoga", "talk")]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline()
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.fixture(params=["folder", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if request.param == "folder":
        yield tmp_path / "store"
        return
    with run_chroma_server(tmp_path / "server") as (port, _):
        yield port


def open_store(place: object) -> VideoTimelineStore:
    if isinstance(place, int):
        return VideoTimelineStore(client=chromadb.HttpClient(host="127.0.0.1", port=place), embedding=BagOfWords())
    return VideoTimelineStore(str(place), embedding=BagOfWords())


def fill(place: object, videos: int) -> VideoTimelineStore:
    store = open_store(place)
    for number in range(videos):
        store.add(make_slides(f"v{number}", f"video {number}", "video again"))
    return store


def versions(store: VideoTimelineStore, video_id: str) -> set[str]:
    return {one.page_content for one in store.search("version", k=20, video_id=video_id)}


def test_searches_see_whole_videos_while_three_processes_write(place: object) -> None:
    store = open_store(place)
    store.add(make_slides("own", "version0", "again"))
    with writers(place):
        for number in range(1, 6):
            store.add(make_slides("own", f"version{number}", "again"))
            assert any(f"version{number}" in one for one in versions(store, "own"))
            for name in ("eggs1", "yoga1", "talk1"):
                assert len(versions(store, name)) in (0, 2)
    time.sleep(1.0)
    expected = {one.video_id: one.moments for one in store.videos()}
    found = store.search("version", k=1000)
    assert len(found) == sum(expected.values())
    assert {one.metadata["video_id"] for one in found} == set(expected)
    record = next(one for one in store.videos() if one.video_id == "eggs1")
    newest = {one.text for one in store.timeline(record.video_id).moments()}
    assert versions(store, "eggs1") == newest


def test_searches_see_new_videos_while_another_process_is_about_to_write(tmp_path: Path) -> None:
    store = fill(tmp_path, 1)
    store.search("video")
    with start(HOLD_WRITE_LOCK, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        until = time.monotonic() + WAIT_SECONDS
        while (found := store.search("cracked eggs", k=1)[0].metadata["video_id"]) != "eggs":
            assert time.monotonic() < until, found
            time.sleep(0.1)


def test_searches_do_not_wait_for_a_server_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with run_chroma_server(tmp_path / "server") as (port, server):
        store = fill(port, 2)
        expected = store.search("video")
        server.send_signal(signal.SIGSTOP)
        try:
            for _ in range(10):
                assert store.search("video") == expected
                time.sleep(0.1)
        finally:
            server.send_signal(signal.SIGCONT)


def test_errors_of_updates_in_the_background_are_raised_by_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with run_chroma_server(tmp_path / "server") as (port, server):
        store = fill(port, 2)
        store.search("video")
        server.kill()
        server.wait()
        with pytest.raises(StoreError, match="does not answer"):
            search_for(store, WAIT_SECONDS)


def search_for(store: VideoTimelineStore, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        store.search("video")
        time.sleep(0.1)


def test_two_processes_build_the_same_index(tmp_path: Path) -> None:
    store = fill(tmp_path, 12)
    processes = [start(SEARCH, tmp_path) for _ in range(2)]
    found = [process.communicate(timeout=WAIT_SECONDS)[0].split() for process in processes]
    assert found == [["24", "24"]] * 2
    assert len(store.search("video", k=1000)) == 24


@pytest.mark.parametrize("put", [1, 4])
def test_index_whose_update_was_killed_is_completed(tmp_path: Path, put: int) -> None:
    store = fill(tmp_path, 5)
    process = start(DIE_WHILE_INDEXING, tmp_path, put)
    assert process.wait(WAIT_SECONDS) == -signal.SIGKILL
    index = LocalIndex(tmp_path / "videos.index.sqlite3")
    assert len(index.versions()) == put - 1
    assert len(store.search("video", k=1000)) == 10
