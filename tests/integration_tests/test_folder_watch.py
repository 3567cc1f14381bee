"""A store that follows a folder: new, renamed, replaced and deleted videos, and a disk that is not mounted."""

import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import pytest

from langchain_videochat.media import folder_events, video_id
from langchain_videochat.store import VideoTimelineStore
from tests.subtitled_video import make_subtitled_video
from tests.unit_tests.embeddings import BagOfWords

SETTLE = 0.3


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos to copy."""
    folder = tmp_path_factory.mktemp("films")
    make_subtitled_video(folder / "eggs.mp4", "Whisk two eggs", "Fold the omelette")
    make_subtitled_video(folder / "yoga.mp4", "Stand on one leg", "Breathe in slowly")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "talks").mkdir()
    return tmp_path / "talks"


@pytest.fixture
def store(tmp_path: Path) -> VideoTimelineStore:
    return VideoTimelineStore(tmp_path / "store", embedding=BagOfWords())


class Service:
    """Indexes what appears in a folder, in a thread."""

    def __init__(self, store: VideoTimelineStore, folder: Path) -> None:
        self.store = store
        self.log: SimpleQueue[tuple[str, str]] = SimpleQueue()
        """What was done, and the name of the file or video."""
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, args=[folder], daemon=True)
        self.thread.start()

    def _run(self, folder: Path) -> None:
        sources = self.store.watch_folder(
            folder,
            stop=self.stop,
            settle_seconds=SETTLE,
            on_removed=lambda record: self.log.put(("removed", record.title)),
        )
        for source in sources:
            report = self.store.index(source, profile="lite", on_error="skip", show_progress=False)
            self.log.put((report.videos[0].status, Path(source).name))

    def wait(self, count: int = 1) -> list[tuple[str, str]]:
        return [self.log.get(timeout=60) for _ in range(count)]


@contextmanager
def running(store: VideoTimelineStore, folder: Path) -> Iterator[Service]:
    service = Service(store, folder)
    try:
        yield service
    finally:
        service.stop.set()
        service.thread.join(30)
        assert not service.thread.is_alive()


def names(store: VideoTimelineStore) -> list[str]:
    return sorted(Path(record.source).name for record in store.videos())


def test_a_store_follows_a_folder(store: VideoTimelineStore, folder: Path, films: Path) -> None:
    shutil.copy(films / "eggs.mp4", folder)
    with running(store, folder) as service:
        assert service.wait() == [("indexed", "eggs.mp4")]
        shutil.copy(films / "yoga.mp4", folder)
        assert service.wait() == [("indexed", "yoga.mp4")]
        # A renamed video is neither removed nor perceived again.
        (folder / "archive").mkdir()
        (folder / "eggs.mp4").rename(folder / "archive" / "omelette.mp4")
        assert service.wait() == [("skipped", "omelette.mp4")]
        (folder / "yoga.mp4").unlink()
        assert service.wait() == [("removed", "yoga")]
        assert names(store) == ["omelette.mp4"]
        # A file that is replaced in place is another video.
        shutil.copy(films / "yoga.mp4", folder / "archive" / "omelette.mp4")
        assert service.wait(2) == [("removed", "omelette"), ("indexed", "omelette.mp4")]
        assert [record.video_id for record in store.videos()] == [video_id(films / "yoga.mp4")]


def test_a_restart_finds_what_changed_meanwhile(store: VideoTimelineStore, folder: Path, films: Path) -> None:
    for name in ("eggs.mp4", "yoga.mp4"):
        shutil.copy(films / name, folder)
    with running(store, folder) as service:
        service.wait(2)
    (folder / "yoga.mp4").unlink()
    (folder / "eggs.mp4").rename(folder / "omelette.mp4")
    with running(store, folder) as service:
        assert sorted(service.wait(2)) == [("removed", "yoga"), ("skipped", "omelette.mp4")]
    assert names(store) == ["omelette.mp4"]


def test_a_renamed_video_is_kept_although_it_was_not_indexed_again_yet(
    store: VideoTimelineStore, folder: Path, films: Path
) -> None:
    for name in ("eggs.mp4", "yoga.mp4"):
        shutil.copy(films / name, folder)
        store.index(folder / name, profile="lite", show_progress=False)
    removed: list[str] = []
    stop = threading.Event()
    sources = store.watch_folder(
        folder, stop=stop, settle_seconds=SETTLE, on_removed=lambda record: removed.append(record.title)
    )
    assert {Path(next(sources)).name, Path(next(sources)).name} == {"eggs.mp4", "yoga.mp4"}
    (folder / "eggs.mp4").rename(folder / "omelette.mp4")
    (folder / "yoga.mp4").unlink()
    assert Path(next(sources)).name == "omelette.mp4"
    threading.Timer(4 * SETTLE, stop.set).start()
    assert list(sources) == []
    assert removed == ["yoga"]
    assert names(store) == ["omelette.mp4"]


def test_copies_elsewhere_and_other_videos_are_kept(
    store: VideoTimelineStore, folder: Path, films: Path, tmp_path: Path
) -> None:
    shutil.copy(films / "eggs.mp4", folder)
    for source in (folder / "eggs.mp4", films / "eggs.mp4", films / "yoga.mp4"):
        store.index(source, profile="lite", show_progress=False)
    (folder / "eggs.mp4").unlink()
    make_subtitled_video(folder / "new.mp4", "Boil water")
    with running(store, folder) as service:
        assert service.wait() == [("indexed", "new.mp4")]
        (folder / "new.mp4").unlink()
        assert service.wait() == [("removed", "new")]
    assert names(store) == ["eggs.mp4", "yoga.mp4"]


@pytest.mark.parametrize("vanish", ["moved", "emptied"])
def test_a_disk_that_is_not_mounted_costs_nothing(
    vanish: str,
    store: VideoTimelineStore,
    folder: Path,
    films: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(folder_events, "WAIT_SECONDS", 0.05)
    shutil.copy(films / "eggs.mp4", folder)
    disk = tmp_path / "disk"
    with running(store, folder) as service:
        service.wait()
        if vanish == "moved":  # while it runs
            folder.rename(disk)
            folder.mkdir()
            wait_until(lambda: "holds no videos any more" in caplog.text)
    if vanish == "emptied":  # while it does not run
        folder.rename(disk)
        folder.mkdir()
        with caplog.at_level(logging.WARNING), running(store, folder):
            wait_until(lambda: "holds no videos any more" in caplog.text)
    assert names(store) == ["eggs.mp4"]
    folder.rmdir()
    disk.rename(folder)
    with running(store, folder) as service:
        assert service.wait() == [("skipped", "eggs.mp4")]


def wait_until(condition: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(600):
        if condition():
            return
        waiting.wait(0.05)
    raise TimeoutError
