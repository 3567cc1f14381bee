"""Watching a folder: complete files, renamed and removed ones, and a folder that vanishes."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from langchain_videochat.errors import SourceError
from langchain_videochat.media import folder_events
from langchain_videochat.media.folder_events import FileAdded, FolderEvent, FolderListed, PathRemoved, watch_sources

SETTLE = 0.4
"""Seconds: longer than the steps of a test, shorter than its patience."""


BOTH = pytest.mark.parametrize("watched", ["native", "polling"], indirect=True)
"""For tests with changes that the operating system reports, and with those that are found by looking."""


class Watched:
    """A folder that is watched in a thread.

    Args:
        folder: The folder.
        settle: Seconds in which a complete file does not change.
    """

    def __init__(self, folder: Path, settle: float = SETTLE) -> None:
        self.folder = folder
        self.settle = settle
        self.stop = threading.Event()
        self.events: SimpleQueue[FolderEvent] = SimpleQueue()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        for event in watch_sources(self.folder, stop=self.stop, settle_seconds=self.settle):
            self.events.put(event)

    def next(self, count: int = 1) -> list[FolderEvent]:
        """Wait for events; paths are relative to the folder."""
        return [self._relative(self.events.get(timeout=30)) for _ in range(count)]

    def is_quiet(self) -> bool:
        """Add a file, and return whether the next event is about it."""
        (self.folder / "last.mp4").write_bytes(b"last")
        return self.next() == [FileAdded("last.mp4")]

    def _relative(self, event: FolderEvent) -> FolderEvent:
        if isinstance(event, FolderListed):
            return event
        return type(event)(os.path.relpath(event.path, self.folder))

    def end(self) -> None:
        self.stop.set()
        self.thread.join(30)
        assert not self.thread.is_alive()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "watched" / "sub").mkdir(parents=True)
    return tmp_path / "watched"


@pytest.fixture
def watched(folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """An empty folder that is being watched."""
    polls = getattr(request, "param", "native") == "polling"
    monkeypatch.setattr(folder_events, "_is_on_network", lambda _: polls)
    monkeypatch.setattr(folder_events, "POLL_SECONDS", 0.1)
    started = Watched(folder)
    assert started.next() == [FolderListed(0)]
    yield started
    started.end()


def write_old(path: Path) -> None:
    """Write a file that has not changed for an hour."""
    path.write_bytes(b"old")
    os.utime(path, times=(path.stat().st_atime - 3600, path.stat().st_mtime - 3600))


def test_existing_videos_come_first_and_unfinished_ones_when_they_are_complete(folder: Path) -> None:
    for name in ("a.mp4", "sub/b.mkv", "notes.txt", ".hidden.mp4", "c.mp4.part", "d.temp.mp4"):
        write_old(folder / name)
    (folder / "new.mp4").write_bytes(b"new")
    watched = Watched(folder)
    assert watched.next(4) == [FileAdded("a.mp4"), FileAdded("sub/b.mkv"), FolderListed(3), FileAdded("new.mp4")]
    watched.end()


def test_a_growing_file_is_reported_once(folder: Path) -> None:
    watched = Watched(folder, settle=1.5)
    watched.next()
    with (folder / "a.mp4").open("wb") as file:
        for _ in range(40):
            file.write(b"x" * 1000)
            file.flush()
            time.sleep(0.05)
    assert watched.next() == [FileAdded("a.mp4")]
    assert watched.is_quiet()
    watched.end()


def test_a_download_counts_when_it_is_renamed(watched: Watched) -> None:
    part = watched.folder / "a.mp4.part"
    (watched.folder / "a.mp4").touch()  # as Firefox does
    part.write_bytes(b"video")
    (watched.folder / "b.temp.mp4").write_bytes(b"video")
    (watched.folder / "c.mp4").write_bytes(b"reserved")
    (watched.folder / "c.mp4.aria2").write_bytes(b"state")
    assert watched.is_quiet()
    part.replace(watched.folder / "a.mp4")
    assert watched.next() == [FileAdded("a.mp4")]
    (watched.folder / "c.mp4.aria2").unlink()
    assert watched.next() == [FileAdded("c.mp4")]


@BOTH
def test_renamed_replaced_and_removed_files(watched: Watched) -> None:
    first = watched.folder / "a.mp4"
    first.write_bytes(b"one")
    assert watched.next() == [FileAdded("a.mp4")]
    first.write_bytes(b"another")
    os.utime(first, times=(2e9, 2e9))  # polling compares whole seconds
    assert watched.next() == [FileAdded("a.mp4")]
    second = first.rename(watched.folder / "sub" / "b.mp4")
    assert watched.next(2) == [FileAdded("sub/b.mp4"), PathRemoved("a.mp4")]
    second.unlink()
    assert watched.next() == [PathRemoved("sub/b.mp4")]


@BOTH
def test_folders_moved_in_and_out(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "new" / "deep").mkdir(parents=True)
    for name in ("new/a.mp4", "new/deep/b.mp4", "new/.c.mp4"):
        (tmp_path / name).write_bytes(b"video")
    (tmp_path / "new").rename(watched.folder / "moved.in")
    assert set(watched.next(2)) == {FileAdded("moved.in/a.mp4"), FileAdded("moved.in/deep/b.mp4")}
    (watched.folder / "moved.in" / "c.mp4").write_bytes(b"video")
    assert watched.next() == [FileAdded("moved.in/c.mp4")]
    (watched.folder / "moved.in").rename(tmp_path / "out")
    removed = watched.next()
    if removed != [PathRemoved("moved.in")]:  # polling reports files
        removed += watched.next(2)
        names = {"moved.in", "moved.in/a.mp4", "moved.in/c.mp4", "moved.in/deep/b.mp4"}
        assert {one.path for one in removed if isinstance(one, PathRemoved)} <= names


def test_a_file_that_comes_back_is_not_reported_as_removed(watched: Watched) -> None:
    video = watched.folder / "a.mp4"
    video.write_bytes(b"video")
    assert watched.next() == [FileAdded("a.mp4")]
    video.rename(watched.folder / ".a.mp4")
    (watched.folder / ".a.mp4").rename(video)
    assert watched.next() == [FileAdded("a.mp4")]
    assert watched.is_quiet()


def test_a_burst(watched: Watched) -> None:
    for number in range(300):
        (watched.folder / f"{number}.mp4").write_bytes(b"video")
    assert set(watched.next(300)) == {FileAdded(f"{number}.mp4") for number in range(300)}
    assert watched.is_quiet()


def test_links_are_followed_as_by_list_sources(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.mp4").write_bytes(b"video")
    (watched.folder / "folder").symlink_to(tmp_path / "outside")
    (watched.folder / "lost.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (tmp_path / "outside" / "b.mp4").write_bytes(b"video")
    assert watched.is_quiet()
    (watched.folder / "file.mp4").symlink_to(tmp_path / "outside" / "a.mp4")
    assert watched.next() == [FileAdded("file.mp4")]


def test_hidden_folders_are_not_watched(watched: Watched) -> None:
    (watched.folder / ".cache").mkdir()
    (watched.folder / ".cache" / "a.mp4").write_bytes(b"video")
    assert watched.is_quiet()


def test_a_video_is_reported_again_when_its_subtitles_change(watched: Watched) -> None:
    for name in ("Talk.mp4", "other.mp4"):
        (watched.folder / name).write_bytes(b"video")
    assert set(watched.next(2)) == {FileAdded("Talk.mp4"), FileAdded("other.mp4")}
    (watched.folder / "talk.en.srt").write_text("1")
    assert watched.next() == [FileAdded("Talk.mp4")]
    (watched.folder / "talk.en.srt").unlink()
    assert watched.next() == [FileAdded("Talk.mp4")]


def test_nothing_is_removed_when_the_folder_vanishes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(folder_events, "WAIT_SECONDS", 0.05)
    for name in ("a.mp4", "b.mp4"):
        write_old(folder / name)
    watched = Watched(folder)
    assert watched.next(3) == [FileAdded("a.mp4"), FileAdded("b.mp4"), FolderListed(2)]
    folder.rename(tmp_path / "unmounted")
    folder.mkdir()  # an empty mount point
    assert watched.next() == [FolderListed(0)]
    assert "has vanished" in caplog.text
    folder.rmdir()
    (tmp_path / "unmounted" / "b.mp4").unlink()
    (tmp_path / "unmounted").rename(folder)
    assert watched.next(2) == [FileAdded("a.mp4"), FolderListed(1)]
    assert watched.is_quiet()
    watched.end()


def test_polling_replaces_what_the_operating_system_refuses(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import watchfiles

    watch = watchfiles.watch

    def refuse(*args: Any, force_polling: bool | None, **options: Any) -> Any:
        if not force_polling:
            raise OSError("OS file watch limit reached")
        return watch(*args, force_polling=True, **options)

    monkeypatch.setattr(watchfiles, "watch", refuse)
    monkeypatch.setattr(folder_events, "POLL_SECONDS", 0.1)
    watched = Watched(folder)
    assert watched.next() == [FolderListed(0)]
    assert "limit reached" in caplog.text
    assert watched.is_quiet()
    watched.end()


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        next(watch_sources(tmp_path / "missing"))


def test_stopping_needs_no_change(folder: Path) -> None:
    watched = Watched(folder)
    watched.next()
    watched.end()
    with pytest.raises(Empty):
        watched.events.get_nowait()
