"""Indexing with worker processes: the same results as without, shared segments, crashes, restarts and Ctrl-C."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromadb
import psutil
import pytest

from langchain_videochat.errors import InputError, MediaError
from langchain_videochat.media import isolation
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.workers import segments
from tests.chroma_server import run_chroma_server
from tests.subtitled_video import make_subtitled_video
from tests.unit_tests.embeddings import BagOfWords
from tests.worker_plugins import install_plugins, write_profile

DECODING = str(isolation.MAX_MEMORY)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render six videos of four seconds."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(6):
        make_subtitled_video(folder / f"video{number}.mp4", f"This is video {number}", f"Its code is {4711 * number}")
    return folder


@pytest.fixture(scope="module", autouse=True)
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Install perceivers that sleep and die."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(install_plugins(tmp_path_factory.mktemp("plugins") / "package")))
        yield


@pytest.fixture
def store() -> VideoTimelineStore:
    return VideoTimelineStore(embedding=BagOfWords())


def state(store: VideoTimelineStore) -> dict[str, Any]:
    """Return what readers find in a store."""
    return {
        record.video_id: (record.title, record.observations, record.moments, store.timeline(record.video_id).to_json())
        for record in store.videos()
    } | {"found": sorted((one.id, one.page_content) for one in store.search("code 4711", k=50))}


def worker_processes() -> list[psutil.Process]:
    """Return the worker processes of this process."""
    children = psutil.Process().children()
    # Those that decode uploads have another memory limit.
    return [one for one in children if "worker_main" in " ".join(_command(one)) and _command(one)[-1] != DECODING]


def _command(process: psutil.Process) -> list[str]:
    try:
        return [*process.cmdline()]
    except psutil.Error:
        return []


def test_processes_store_what_one_thread_does(store: VideoTimelineStore, videos: Path, tmp_path: Path) -> None:
    sources = [videos, tmp_path / "missing.mp4"]
    alone = VideoTimelineStore(embedding=BagOfWords())
    alone.index(sources, profile="lite", on_error="skip", show_progress=False)
    report = store.index(sources, profile="lite", on_error="skip", show_progress=False, workers=2)

    assert state(store) == state(alone)
    names = [Path(one.source).name for one in report.videos]
    assert names == [*(f"video{number}.mp4" for number in range(6)), "missing.mp4"]
    assert [one.status for one in report.videos] == [*["indexed"] * 6, "failed"]
    assert worker_processes() == []
    again = store.index(videos, profile="lite", show_progress=False, workers=2)
    assert {one.status for one in again.videos} == {"skipped"}


def test_copies_are_perceived_once(store: VideoTimelineStore, videos: Path, tmp_path: Path) -> None:
    for number in range(4):
        shutil.copy(videos / "video0.mp4", tmp_path / f"copy{number}.mp4")
    report = store.index(tmp_path, profile="lite", show_progress=False, workers=2)
    assert sorted(one.status for one in report.videos) == ["indexed", "skipped", "skipped", "skipped"]
    (record,) = store.videos()
    assert {one.address for one in record.sources} == {str(tmp_path / f"copy{number}.mp4") for number in range(4)}


def test_segments_of_one_video_are_shared(
    store: VideoTimelineStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_SECONDS", 4.0)
    monkeypatch.setattr(segments, "OVERLAP_SECONDS", 0.0)
    film = make_subtitled_video(tmp_path / "film.mp4", *[f"Sentence {number}" for number in range(8)])
    profile = write_profile(tmp_path / "slow.yaml", sleeper="{seconds: 0.5}")
    reported: list[tuple[str, float]] = []

    (video,) = store.index(
        film,
        profile=profile,
        show_progress=False,
        workers=2,
        on_progress=lambda _, phase, progress: reported.append((phase, progress)),
    ).videos

    texts = [one.text for one in store.timeline(str(video.video_id))]
    assert [text for text in texts if text != "slept"] == [f"Sentence {number}" for number in range(8)]
    assert texts.count("slept") == 4
    perceived = [progress for phase, progress in reported if phase == "perceiving"]
    assert (perceived[0], perceived[-1]) == (0.0, 1.0)
    assert perceived == sorted(perceived)


def test_file_that_kills_its_process_is_tried_twice_and_left_out(
    store: VideoTimelineStore, videos: Path, tmp_path: Path
) -> None:
    for way in ("kill", "exit"):
        make_subtitled_video(tmp_path / f"{way}.mp4", "Before", way)
    make_subtitled_video(tmp_path / "allocate.mp4", "Before", "allocate")
    log = tmp_path / "tries.txt"
    profile = write_profile(tmp_path / "fragile.yaml", fragile=f"{{log: {log}}}")

    report = store.index([tmp_path, videos], profile=profile, on_error="skip", show_progress=False, workers=2)

    assert sorted(Path(one.source).name for one in report.failed) == ["exit.mp4", "kill.mp4"]
    assert all("was killed or crashed, more than once" in str(one.error) for one in report.failed)
    assert sorted(log.read_text().split()) == ["allocate", "exit", "exit", "kill", "kill"]
    assert len(report.indexed) == 7
    (limited,) = (one for one in report.indexed if one.failures)
    assert limited.source.endswith("allocate.mp4")
    with pytest.raises(MediaError, match=r"kill\.mp4"):
        store.index(tmp_path / "kill.mp4", profile=profile, show_progress=False, workers=1)


def test_errors_of_files_come_back_from_processes(store: VideoTimelineStore, tmp_path: Path) -> None:
    (tmp_path / "letter.mp4").write_text("Dear reader")
    (failed,) = store.index(tmp_path, profile="lite", on_error="skip", show_progress=False, workers=1).videos
    assert failed.error_type == "MediaError"
    assert "killed" not in str(failed.error)


def test_file_that_changes_while_it_is_indexed_is_not_mixed(store: VideoTimelineStore, tmp_path: Path) -> None:
    video = make_subtitled_video(tmp_path / "film.mp4", "Before")
    profile = write_profile(tmp_path / "slow.yaml", sleeper="{seconds: 1}")

    def change(_: str, phase: str, progress: float) -> None:
        if phase == "perceiving" and progress == 0:
            with video.open("ab") as file:
                file.write(b"more")

    options: dict[str, Any] = {"profile": profile, "on_error": "skip", "show_progress": False, "workers": 1}
    (failed,) = store.index(video, **options, on_progress=change).videos
    assert "has changed while it was indexed" in str(failed.error)
    assert store.index(video, **options).indexed


def test_number_of_workers_and_engine_are_checked(store: VideoTimelineStore, videos: Path) -> None:
    with pytest.raises(InputError, match="workers"):
        store.index(videos, profile="lite", workers=0)
    with pytest.raises(InputError, match="engine"):
        store.index(videos, profile="lite", engine="threads")  # type: ignore[arg-type]


def test_results_are_yielded_as_soon_as_they_are_finished(store: VideoTimelineStore, videos: Path) -> None:
    found = store.lazy_index(videos, profile="lite", show_progress=False, workers=1)
    first = next(found)
    assert first.status == "indexed"
    assert first.video_id in [record.video_id for record in store.videos()]
    found.close()  # type: ignore[attr-defined]
    assert worker_processes() == []
    rest = list(store.lazy_index(videos, profile="lite", show_progress=False, workers=1))
    assert sorted({one.status for one in rest}) == ["indexed", "skipped"]


def test_killed_workers_lose_nothing(store: VideoTimelineStore, videos: Path, tmp_path: Path) -> None:
    profile = write_profile(tmp_path / "slow.yaml", sleeper="{seconds: 0.3}")
    undisturbed = VideoTimelineStore(embedding=BagOfWords())
    undisturbed.index(videos, profile=profile, show_progress=False)
    generator, finished = random.Random(4), threading.Event()

    def kill_workers() -> None:
        while not finished.wait(generator.uniform(0.2, 1.5)):
            for process in worker_processes()[:1]:
                process.kill()

    killer = threading.Thread(target=kill_workers)
    killer.start()
    try:
        store.index(videos, profile=profile, on_error="skip", show_progress=False, workers=2)
    finally:
        finished.set()
        killer.join()
    # A video whose process was killed twice by chance was left out.
    assert not store.index(videos, profile=profile, on_error="skip", show_progress=False, workers=2).failed
    assert state(store) == state(undisturbed)


INDEX = """
import sys
from pathlib import Path
import chromadb
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.workers import segments
from tests.unit_tests.embeddings import BagOfWords

segments.SEGMENT_SECONDS = 2.0
port, folder, profile = int(sys.argv[1]), sys.argv[2], sys.argv[3]
store = VideoTimelineStore(embedding=BagOfWords(), client=chromadb.HttpClient("127.0.0.1", port=port))
print("ready", flush=True)
for video in store.lazy_index(folder, profile=profile, show_progress=False, workers=2):
    print(video.status, flush=True)
"""


def test_killed_driver_and_restarted_server_lose_nothing(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_SECONDS", 2.0)
    profile = write_profile(tmp_path / "slow.yaml", sleeper="{seconds: 0.2}")
    undisturbed = VideoTimelineStore(embedding=BagOfWords())
    undisturbed.index(videos, profile=profile, show_progress=False)
    with run_chroma_server(tmp_path / "chroma") as (port, _):
        command = [sys.executable, "-c", INDEX, str(port), str(videos), str(profile)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as driver:
            assert driver.stdout is not None
            assert [driver.stdout.readline().strip() for _ in range(2)] == ["ready", "indexed"]
            workers = psutil.Process(driver.pid).children()
            driver.kill()
        assert psutil.wait_procs(workers, timeout=20)[1] == []  # they notice that the driver is gone
    with run_chroma_server(tmp_path / "chroma", port) as (_, server):
        store = VideoTimelineStore(embedding=BagOfWords(), client=chromadb.HttpClient("127.0.0.1", port=port))
        found = store.lazy_index(videos, profile=profile, show_progress=False, workers=2)
        assert next(found).status == "skipped"
        server.kill()
        server.wait()
        with run_chroma_server(tmp_path / "chroma", port):
            assert {one.status for one in found} <= {"indexed", "skipped"}
            assert state(store) == state(undisturbed)


PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from langchain_videochat.cli.main import app
app()
"""


def test_ctrl_c_ends_all_processes(videos: Path, tmp_path: Path) -> None:
    profile = write_profile(tmp_path / "slow.yaml", sleeper="{seconds: 20}")
    command = [sys.executable, "-c", PROGRAM, "index", str(videos), "--profile", str(profile), "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [*command, "--store", str(tmp_path / "store")], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        shown = ""
        while not re.search(r"video1: perceiving", shown):
            shown += process.stderr.read(1)
        workers = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "to resume" in errors
    assert "Traceback" not in errors
    assert psutil.wait_procs(workers, timeout=10)[1] == []
