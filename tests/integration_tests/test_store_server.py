"""Machines with separate cache folders that share a store on a Chroma server."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chromadb
import pytest
from langchain_core.load import dumps
from typer.testing import CliRunner

from langchain_videochat.cli import app
from langchain_videochat.errors import InputError, StoreError
from langchain_videochat.store import VideoTimelineStore
from tests.chroma_server import run_chroma_server
from tests.subtitled_video import make_subtitled_video
from tests.unit_tests.embeddings import BagOfWords, make_slides

EGGS = make_slides("eggs", "Whisk two eggs", "Heat the pan", "Fold the omelette")
YOGA = make_slides("yoga", "Stand on one leg", "Breathe in slowly")

Machine = Callable[[str], VideoTimelineStore]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    with run_chroma_server(tmp_path / "server") as running:
        yield running


@pytest.fixture
def machine(server: tuple[int, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    def open_store(name: str) -> VideoTimelineStore:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        client = chromadb.HttpClient(host="127.0.0.1", port=server[0])
        return VideoTimelineStore(client=client, embedding=BagOfWords())

    return open_store


def test_two_machines_find_the_same_moments(machine: Machine, tmp_path: Path) -> None:
    first, second = machine("first"), machine("second")
    first.add(EGGS)
    first.add(YOGA)
    conditions: list[tuple[str, dict[str, Any]]] = [
        ("omelette", {}),
        ("eggs", {"video_id": "eggs"}),
        ("leg", {"start": 30}),
    ]
    for query, condition in conditions:
        assert second.search(query, **condition) == first.search(query, **condition)
        assert second.search(query, **condition)
    assert second.timeline("eggs") == EGGS
    assert second.timeline("eggs", 30, 60) == EGGS.slice(30, 60)
    assert second.videos() == first.videos()
    assert list((tmp_path / "first").rglob("*.sqlite3"))
    assert list((tmp_path / "second").rglob("*.sqlite3"))


def test_json_restores_a_retriever_without_secrets(server: tuple[int, object], machine: Machine) -> None:
    machine("first").add(EGGS)
    address: dict[str, Any] = {"host": "127.0.0.1", "port": server[0]}
    config = VideoTimelineStore(client=chromadb.HttpClient(**address)).as_retriever().store.to_config()
    assert VideoTimelineStore.from_config({**config, "embedding": BagOfWords()}).search("omelette", k=1)
    secret = VideoTimelineStore(client=chromadb.HttpClient(**address, headers={"X-Chroma-Token": "s3cret"}))
    assert json.loads(dumps(secret.as_retriever()))["type"] == "not_implemented"
    assert "s3cret" not in dumps(secret.as_retriever())
    with pytest.raises(InputError, match="HTTP headers"):
        secret.to_config()


def test_changes_by_another_machine_are_visible(machine: Machine) -> None:
    first, second = machine("first"), machine("second")
    first.add(EGGS)
    assert len(second.search("eggs")) == 3
    first.remove("eggs")
    second.add(YOGA)
    assert [one.metadata["video_id"] for one in second.search("eggs")] == ["yoga", "yoga"]
    assert first.search("eggs") == second.search("eggs")
    assert [one.metadata["video_id"] for one in machine("third").search("eggs")] == ["yoga", "yoga"]


def test_machine_without_a_cache_folder_works(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("a file where the cache folder should be")
    store = machine("broken")
    store.add(EGGS)
    assert len(store.search("eggs")) == 3


def test_commands_open_a_store_on_a_server(server: tuple[int, object], machine: Machine, tmp_path: Path) -> None:
    machine("first")
    make_subtitled_video(tmp_path / "eggs.mp4", "Whisk two eggs")
    address = f"http://127.0.0.1:{server[0]}/recipes"

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
        return done.stdout

    assert run("index", str(tmp_path / "eggs.mp4"), "--profile", "lite", "--store", address).startswith("indexed")
    assert "Whisk two eggs" in run("search", "eggs", "--store", address)
    assert "1 (0.0 hours)" in run("status", address)


def test_stopped_server_is_reported(machine: Machine, server: tuple[int, subprocess.Popen[bytes]]) -> None:
    store = machine("first")
    store.add(EGGS)
    server[1].terminate()
    server[1].wait()
    with pytest.raises(StoreError, match="does not answer"):
        store.search("eggs")
