"""Indexing video files: new, known, renamed and damaged files, and the report."""

import json
import logging
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest

from langchain_videochat.errors import InputError, MediaError, SourceError
from langchain_videochat.media import video_id
from langchain_videochat.perception import SegmentResult, load_profile
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.utils.interval import Interval
from langchain_videochat.workers import segments
from tests.media_files import make_beeps, overwrite_frames
from tests.subtitled_video import make_subtitled_video
from tests.unit_tests.embeddings import BagOfWords, make_timeline


@pytest.fixture
def store() -> VideoTimelineStore:
    return VideoTimelineStore(embedding=BagOfWords())


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    make_subtitled_video(folder / "eggs.mp4", "Whisk two eggs", "Fold the omelette")
    make_subtitled_video(folder / "yoga.mp4", "Stand on one leg", "Breathe in slowly")
    return folder


def test_folder_is_indexed_once(store: VideoTimelineStore, videos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first = store.index(videos, profile="lite", show_progress=False)
    assert [(Path(one.source).name, one.status) for one in first.videos] == [
        ("eggs.mp4", "indexed"),
        ("yoga.mp4", "indexed"),
    ]
    assert [(one.duration, one.decoded_fraction, one.error) for one in first.indexed] == [(4.0, 1.0, None)] * 2
    assert store.search("omelette", k=1)[0].metadata["source"] == str(videos / "eggs.mp4")
    records = store.videos()
    second = store.index(str(videos / "*.mp4"), profile="lite", show_progress=False)
    assert [one.video_id for one in second.skipped] == [one.video_id for one in first.indexed]
    assert store.videos() == records
    assert capfd.readouterr() == ("", "")


def test_progress_is_reported_in_phases(store: VideoTimelineStore, videos: Path) -> None:
    reports: list[Any] = []

    def on_progress(*report: Any) -> None:
        reports.append(report)

    store.index(videos / "eggs.mp4", profile="lite", show_progress=False, on_progress=on_progress)

    assert {source for source, _, _ in reports} == {str(videos / "eggs.mp4")}
    phases = list(dict.fromkeys(phase for _, phase, _ in reports))
    assert phases == ["perceiving", "summarizing", "embedding"]
    for phase in phases:
        progress = [progress for _, one, progress in reports if one == phase]
        assert progress[0] == 0
        assert progress == sorted(progress)
    assert reports[-1][2] == 1


def test_progress_bar_counts_seconds_of_video(
    store: VideoTimelineStore, videos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store.index(videos / "eggs.mp4", profile="lite")
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "eggs" in shown.err
    assert "/4" in shown.err


def test_copy_is_the_same_video(store: VideoTimelineStore, videos: Path) -> None:
    (videos / "copy.mp4").write_bytes((videos / "eggs.mp4").read_bytes())
    report = store.index(videos, profile="lite", show_progress=False)
    assert [one.status for one in report.videos] == ["indexed", "skipped", "indexed"]
    assert [one.title for one in store.videos()] == ["copy", "yoga"]


def test_renamed_video_is_updated_without_being_perceived_again(store: VideoTimelineStore, videos: Path) -> None:
    store.index(videos / "eggs.mp4", profile="lite", show_progress=False)
    (before,) = store.videos()
    renamed = (videos / "eggs.mp4").rename(videos / "omelette.mp4")
    (report,) = store.index(renamed, profile="lite", show_progress=False).videos
    (after,) = store.videos()
    assert report.status == "skipped"
    assert (after.video_id, after.title, after.source) == (before.video_id, "omelette", str(renamed))
    assert store.timeline(after.video_id).observations
    (found,) = store.search("whisk", k=1)
    assert found.page_content.startswith("omelette\n")
    assert found.metadata["source"] == str(renamed)


def test_changed_file_is_another_video(store: VideoTimelineStore, videos: Path) -> None:
    store.index(videos / "eggs.mp4", profile="lite", show_progress=False)
    make_subtitled_video(videos / "eggs.mp4", "Boil three eggs", "Peel them")
    report = store.index(videos / "eggs.mp4", profile="lite", show_progress=False)
    assert [one.status for one in report.videos] == ["indexed"]
    assert len(store.videos()) == 2


def test_indexing_replaces_an_added_timeline(store: VideoTimelineStore, videos: Path) -> None:
    (first,) = store.index(videos / "eggs.mp4", profile="lite", show_progress=False).videos
    expected = store.timeline(str(first.video_id))
    store.add(make_timeline(str(first.video_id), duration=4.0))
    assert len(store.timeline(str(first.video_id))) == 0
    assert store.index(videos / "eggs.mp4", profile="lite", show_progress=False).indexed
    assert store.timeline(str(first.video_id)) == expected


def test_unreadable_file_stops_the_run_or_is_skipped(
    store: VideoTimelineStore, videos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (videos / "letter.mp4").write_text("Dear reader")
    with pytest.raises(MediaError, match=r"letter\.mp4"):
        store.index(videos, profile="lite", show_progress=False)
    assert [one.title for one in store.videos()] == ["eggs"]
    with caplog.at_level(logging.WARNING, "langchain_videochat.store"):
        sources = [videos, videos / "missing.mp4"]
        report = store.index(sources, profile="lite", on_error="skip", show_progress=False)
    assert [one.status for one in report.videos] == ["skipped", "failed", "indexed", "failed"]
    assert [Path(one.source).name for one in report.failed] == ["letter.mp4", "missing.mp4"]
    assert "letter.mp4" in caplog.text
    lines = str(report).splitlines()
    assert len(lines) == 4
    assert lines[1].startswith(f"failed {videos / 'letter.mp4'}: ")


def test_report_of_a_truncated_file_contains_the_decoded_fraction(store: VideoTimelineStore, tmp_path: Path) -> None:
    video = make_subtitled_video(tmp_path / "long.mp4", *[f"Sentence {at}" for at in range(20)])
    os.truncate(video, video.stat().st_size * 3 // 4)
    (report,) = store.index(video, profile="lite", show_progress=False).videos
    assert report.status == "indexed"
    assert 0.2 < report.decoded_fraction < 0.95
    assert f"% decoded; damaged: {report.damage}" in str(report)
    assert report.damage.startswith("the file ends early (")
    (record,) = store.videos()
    assert (record.damage, record.decoded_fraction) == (report.damage, report.decoded_fraction)
    (again,) = store.index(video, profile="lite", show_progress=False).videos
    assert again == replace(report, status="skipped")
    renamed = video.rename(tmp_path / "other.mp4")
    (moved,) = store.index(renamed, profile="lite", show_progress=False).videos
    assert moved == replace(again, source=str(renamed))


def test_video_without_any_readable_picture_fails_unless_it_has_subtitles(
    store: VideoTimelineStore, tmp_path: Path
) -> None:
    whole = make_beeps(tmp_path / "beeps.mkv", "-g", "1", seconds=2)
    video = overwrite_frames(whole, tmp_path / "damaged.mkv", -1, 3)
    whole.unlink()
    (failed,) = store.index(video, profile="lite", on_error="skip", show_progress=False).videos
    assert (failed.status, store.videos()) == ("failed", [])
    assert "decoded" in str(failed.error)
    assert store.index(video, profile="lite", on_error="skip", show_progress=False).failed
    (tmp_path / "damaged.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nBeep.\n")
    (indexed,) = store.index(video, profile="lite", show_progress=False).videos
    assert (indexed.status, indexed.observations, indexed.decoded_fraction) == ("indexed", 1, 0.0)
    assert "picture cannot be read" in indexed.damage
    assert store.index(video, profile="lite", show_progress=False).skipped


def test_errors_unrelated_to_a_file_stop_the_run(store: VideoTimelineStore, videos: Path) -> None:
    with pytest.raises(InputError, match="profile"):
        store.index(videos, profile="heavy", on_error="skip", show_progress=False)
    with pytest.raises(InputError, match="on_error"):
        store.index(videos, profile="lite", on_error="ignore", show_progress=False)  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="missing"):
        store.index(videos / "missing.mp4", profile="lite", show_progress=False)


def test_plan_contains_segments_without_a_result_and_those_with_failures() -> None:
    results = {0: SegmentResult((), (), ()), 1: SegmentResult((), (), ("no speech",))}
    tasks = segments.plan(Path("talk.mp4"), 1500.0, load_profile("lite"), results)
    assert [(task.number, task.interval) for task in tasks] == [(1, Interval(598, 1200)), (2, Interval(1198, 1800))]
    assert [task.number for task in segments.plan(Path("photo.gif"), 0.0, load_profile("lite"), {})] == [0]


def test_segments_are_perceived_in_another_process(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_SECONDS", 2.5)
    tasks = segments.plan(videos / "eggs.mp4", 4.0, load_profile("lite"), {})
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        results = list(pool.map(segments.perform, tasks))
    assert results == [segments.perform(task) for task in tasks]
    assert [one.text for one in results[1].observations if one.modality == "subtitle"] == [
        "Whisk two eggs",
        "Fold the omelette",
    ]


def test_segments_of_an_interrupted_run_are_not_perceived_again(videos: Path, tmp_path: Path) -> None:
    # In the format of earlier versions.
    identity = video_id(videos / "eggs.mp4")
    store = VideoTimelineStore(tmp_path, embedding=BagOfWords())
    pages = chromadb.PersistentClient(tmp_path).get_collection("videos-timelines")
    observation = {"start": 1.0, "end": 3.0, "modality": "speech", "text": "Beat them well"}
    pages.upsert(
        ids=[f"{identity}:draft:lite:0"],
        embeddings=np.zeros((1, 1), np.float32),
        documents=[json.dumps([2.0, [], [observation]])],
        metadatas=[{"video_id": identity}],
    )
    (video,) = store.index(videos / "eggs.mp4", profile="lite", show_progress=False).videos
    assert [one.text for one in store.timeline(identity)] == ["Beat them well"]
    assert (video.decoded_fraction, video.damage) == (0.5, "frames cannot be decoded (2.0 s)")
    (page,) = pages.get(where={"video_id": identity})["ids"]  # the draft is gone
    assert "draft" not in page
