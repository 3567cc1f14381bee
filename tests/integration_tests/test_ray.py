"""Indexing on a Ray cluster: the same results, a writer per store on a server, and lost actors and nodes."""

import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import chromadb
import psutil
import pytest

from langchain_videochat.perception import load_profile
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.workers import segments
from langchain_videochat.workers.ray_cluster import Placement, count_actors, place
from tests.chroma_server import run_chroma_server
from tests.subtitled_video import make_subtitled_video
from tests.unit_tests.embeddings import BagOfWords
from tests.worker_plugins import install_plugins, write_profile

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start two nodes on this machine, and connect to them."""
    from ray.cluster_utils import Cluster

    plugins = install_plugins(tmp_path_factory.mktemp("plugins") / "package")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(plugins))
        patch.setenv("PYTHONPATH", str(plugins))  # for the processes of the nodes
        started: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
        started.add_node(num_cpus=2)
        ray.init(address=started.address, log_to_driver=False, logging_level="ERROR")
        yield started
        ray.shutdown()
        started.shutdown()


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render four videos of eight seconds."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(4):
        make_subtitled_video(folder / f"video{number}.mp4", *[f"Video {number}, sentence {at}" for at in range(4)])
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with run_chroma_server(tmp_path_factory.mktemp("chroma")) as (port, _):
        yield port


def open_on_server(port: int, name: str) -> VideoTimelineStore:
    client = chromadb.HttpClient("127.0.0.1", port=port)
    return VideoTimelineStore(embedding=BagOfWords(), client=client, collection_name=name)


def state(store: VideoTimelineStore) -> dict[str, Any]:
    """Return what readers find in a store."""
    return {record.video_id: (record.title, store.timeline(record.video_id).to_json()) for record in store.videos()}


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    return write_profile(tmp_path / "slow.yaml", sleeper="{seconds: 0.5}")


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_SECONDS", 4.0)


@pytest.fixture
def undisturbed(videos: Path, slow: Path) -> dict[str, Any]:
    """Return the state of a store that one thread has written."""
    store = VideoTimelineStore(embedding=BagOfWords())
    store.index(videos, profile=slow, show_progress=False)
    return state(store)


def actor_processes() -> list[psutil.Process]:
    """Return the processes of our actors."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name().startswith(("ray::JobActor", "ray::WriterActor")):
                found.append(process)
    return found


@pytest.mark.usefixtures("cluster")
def test_actors_perceive_and_write(videos: Path, slow: Path, server: int, undisturbed: dict[str, Any]) -> None:
    store = open_on_server(server, "actors")
    assert place(load_profile(slow)) == Placement(cpus=1, gpus=0.0)
    assert count_actors(Placement(cpus=1, gpus=0.0)) == 4

    report = store.index([videos, "missing.mp4"], profile=slow, engine="ray", on_error="skip", show_progress=False)

    assert [one.status for one in report.videos] == [*["indexed"] * 4, "failed"]
    assert state(store) == undisturbed
    again = store.index(videos, profile=slow, engine="ray", workers=1, show_progress=False)
    assert {one.status for one in again.videos} == {"skipped"}


@pytest.mark.usefixtures("cluster")
def test_killed_actors_and_writers_lose_nothing(
    videos: Path, slow: Path, server: int, undisturbed: dict[str, Any]
) -> None:
    store = open_on_server(server, "killed")
    generator, finished, killed = random.Random(2), threading.Event(), list[str]()

    def kill_actors() -> None:
        while not finished.wait(generator.uniform(0.5, 1.5)):
            for process in generator.sample(found, 1) if (found := actor_processes()) else []:
                with suppress(psutil.Error):
                    killed.append(process.name())
                    process.kill()

    killer = threading.Thread(target=kill_actors)
    killer.start()
    try:
        store.index(videos, profile=slow, engine="ray", workers=3, on_error="skip", show_progress=False)
    finally:
        finished.set()
        killer.join()
    assert killed
    # A video whose process was killed twice by chance was left out.
    assert not store.index(videos, profile=slow, engine="ray", on_error="skip", show_progress=False).failed
    assert state(store) == undisturbed


def test_lost_node_loses_nothing(cluster: Any, videos: Path, slow: Path, undisturbed: dict[str, Any]) -> None:
    store = VideoTimelineStore(embedding=BagOfWords())  # in memory: this process writes
    lost = cluster.add_node(num_cpus=4)
    cluster.wait_for_nodes()

    found = store.lazy_index(videos, profile=slow, engine="ray", workers=6, on_error="raise", show_progress=False)
    first = next(found)
    cluster.remove_node(lost, allow_graceful=False)

    assert {first.status, *(one.status for one in found)} == {"indexed"}
    assert state(store) == undisturbed


def test_actors_fit_on_gpus() -> None:
    assert Placement(cpus=1, gpus=0.25).count({"CPU": 16, "GPU": 2}) == 8
    assert Placement(cpus=4, gpus=0.25).count({"CPU": 16, "GPU": 2}) == 4
    assert Placement(cpus=4, gpus=0.0).count({"CPU": 6}) == 1
