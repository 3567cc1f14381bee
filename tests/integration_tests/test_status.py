"""Records of indexing runs, and the status of a store."""

import json
import logging
from pathlib import Path

import chromadb
import numpy as np
import pytest
from chromadb import Collection
from typer.testing import CliRunner

from langchain_videochat.cli import app
from langchain_videochat.perception import Observation
from langchain_videochat.store import IndexedVideo, VideoTimelineStore, run_records, run_status
from langchain_videochat.store.run_records import RunRecord, read_runs
from tests.chroma_server import run_chroma_server
from tests.unit_tests.embeddings import BagOfWords, make_timeline


@pytest.fixture
def store(tmp_path: Path) -> VideoTimelineStore:
    """A store of two videos, one of them without its speech."""
    opened = VideoTimelineStore(tmp_path / "store", embedding=BagOfWords())
    for video_id, seconds, failures in (("eggs", 3600.0, ()), ("yoga", 1800.0, ("no speech from Speech: no memory",))):
        spoken = Observation(0.0, 3.0, "speech", f"about {video_id}")
        opened.add(make_timeline(video_id, spoken, duration=seconds), "lite", failures=failures)
    return opened


@pytest.fixture
def pages(store: VideoTimelineStore, tmp_path: Path) -> Collection:
    return chromadb.PersistentClient(str(tmp_path / "store")).get_collection("videos-timelines")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_records, "WRITE_SECONDS", 0.02)


def failed(source: str, reason: str = "is not a video", error_type: str = "") -> IndexedVideo:
    return IndexedVideo(source, "failed", error=reason, error_type=error_type)


def test_a_store_is_counted(store: VideoTimelineStore) -> None:
    found = store.status()
    assert (found.videos, found.hours, found.observations) == (2, 1.5, 2)
    assert found.moments == sum(record.moments for record in store.videos())
    assert (found.profiles, found.missing, found.damaged, found.runs) == ({"lite": 2}, {"speech": 1}, 0, ())


@pytest.mark.usefixtures("quick")
def test_a_run_is_visible_while_it_works(store: VideoTimelineStore, pages: Collection) -> None:
    token = store._catalogue.token()
    with RunRecord(pages, engine="local", workers=2) as run:
        run.started("/films/talk.mp4", duration=600.0, position=100.0)
        run.progress("/films/talk.mp4", 250.0)
        run.finished(failed("/films/notes.mp4", error_type="ValueError"))
        while not (shown := store.status().runs[0]).failures:
            pass
        assert (shown.state, shown.engine, shown.workers) == ("running", "local", 2)
        assert [(one.source, one.position, one.duration) for one in shown.running] == [
            ("/films/talk.mp4", 250.0, 600.0)
        ]
        assert shown.seconds == 150.0
        assert shown.throughput > 0
        run.finished(IndexedVideo("/films/talk.mp4", "indexed", "talk", duration=600.0))
        run.finished(IndexedVideo("/films/eggs.mp4", "skipped", "eggs", duration=3600.0))
    found = store.status()
    (ended,) = found.runs
    assert (ended.state, ended.indexed, ended.skipped, ended.failed, ended.seconds) == ("finished", 1, 1, 1, 500.0)
    assert ended.running == ()
    assert [(one.source, one.kind, one.reason) for one in found.failures] == [
        ("/films/notes.mp4", "ValueError", "is not a video")
    ]
    assert found.failures_by_kind == {"ValueError": 1}
    # Readers of the catalogue neither see the record nor read all videos again.
    assert [record.video_id for record in store.videos()] == ["eggs", "yoga"]
    assert store._catalogue.token() == token


@pytest.mark.parametrize(("error", "state"), [(ValueError, "failed"), (KeyboardInterrupt, "interrupted")])
def test_how_a_run_ended_is_recorded(pages: Collection, error: type[BaseException], state: str) -> None:
    def index() -> None:
        with RunRecord(pages, engine="local", workers=1) as run:
            run.started("/films/talk.mp4")
            raise error

    with pytest.raises(error):
        index()
    assert [(one.state, one.running) for one in read_runs(pages)] == [(state, ())]


def test_a_killed_run_is_shown_as_stopped(pages: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunRecord(pages, engine="local", workers=1) as run:
        assert [one.state for one in read_runs(pages)] == ["running"]
        monkeypatch.setattr(run_status, "STOPPED_SECONDS", -1.0)
        assert [one.state for one in read_runs(pages)] == ["stopped"]
        assert run.status().state == "running"


def test_old_runs_are_deleted(pages: Collection) -> None:
    for workers in range(1, run_records.MAX_RUNS + 3):
        with RunRecord(pages, engine="local", workers=workers):
            pass
    assert [run.workers for run in read_runs(pages)] == list(range(22, 2, -1))


def test_records_fit_the_limits_of_chroma_cloud(store: VideoTimelineStore, pages: Collection) -> None:
    with RunRecord(pages, engine="ray", workers=2) as run:
        for number in range(150):
            run.started(f"/films/{'ü' * 300}/{number}.mp4")
        for number in range(150):
            run.finished(failed(f"/films/{'ü' * 300}/{number}.mp4", "é" * 3000))
    found = pages.get()
    record = next(number for number, name in enumerate(found["ids"]) if name.startswith(":run:"))
    document, metadata = (found["documents"] or [])[record], (found["metadatas"] or [])[record]
    assert len(document.encode()) <= 16 * 1024
    assert len(json.dumps(dict(metadata)).encode()) < 256
    status = store.status()
    assert status.failures[0].source.endswith("ü/149.mp4")
    assert len(status.failures) >= 15
    assert status.runs[0].failed == 150


def test_a_store_that_cannot_be_written_does_not_stop_the_run(
    pages: Collection, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise OSError("disk full")

    with caplog.at_level(logging.WARNING), RunRecord(pages, engine="local", workers=1, prepare=fail) as run:
        run.finished(failed("/films/notes.mp4"))
        assert run.status().failed == 1
    assert [record.getMessage() for record in caplog.records] == ["cannot record the run: disk full"]


def test_a_record_of_another_version_is_ignored(store: VideoTimelineStore, pages: Collection) -> None:
    pages.upsert(
        ids=[":run:0"],
        embeddings=np.zeros((1, 1), np.float32),
        documents=['{"version": 9}'],
        metadatas=[{"run_started": 1.0, "complete": False}],
    )
    assert store.status().runs == ()


def test_runs_are_recorded_on_a_server(tmp_path: Path) -> None:
    with run_chroma_server(tmp_path) as (port, _):
        client = chromadb.HttpClient(host="127.0.0.1", port=port)
        opened = VideoTimelineStore(client=client, embedding=BagOfWords())
        with RunRecord(client.get_collection("videos-timelines"), engine="ray", workers=8) as run:
            run.finished(failed("/films/notes.mp4"))
        assert [(one.state, one.failed) for one in opened.status().runs] == [("finished", 1)]


def test_the_command_shows_the_status(
    store: VideoTimelineStore, pages: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with RunRecord(pages, engine="local", workers=2) as run:
        run.started("/films/talk.mp4", duration=600.0)
        run.finished(
            failed("/films/notes [1].mp4", "/films/notes [1].mp4: is not a video. Check it.", error_type="OSError")
        )
        run._write()  # not before the next write
        shown = CliRunner().invoke(app, ["status", str(tmp_path / "store")])
        as_json = CliRunner().invoke(app, ["status", str(tmp_path / "store"), "--json"])
    assert shown.exit_code == as_json.exit_code == 0
    for part in ("2 (1.5 hours)", "lite 2", "speech 1", "running", "2 local", "00:00 of 10:00", "/films/talk.mp4"):
        assert part in shown.output
    assert "  /films/notes [1].mp4: is not a video. Check it.\n" in shown.output
    assert json.loads(as_json.output)["failures_by_kind"] == {"OSError": 1}


def test_the_command_creates_no_store(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["status", str(tmp_path / "nothing")])
    assert shown.exit_code == 1
    assert not (tmp_path / "nothing").exists()
