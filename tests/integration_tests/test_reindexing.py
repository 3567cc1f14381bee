"""Indexing videos again: subtitle files that change, copies with and without them, and refreshes."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest

from langchain_videochat.media import probe, video_id
from langchain_videochat.perception import Observation, load_profile, perceive
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.timeline import Timeline
from langchain_videochat.workers import segments
from tests.media_files import make_beeps
from tests.unit_tests.embeddings import BagOfWords, make_timeline

Index = Callable[..., list[str]]


@pytest.fixture(scope="module")
def beeps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_beeps(tmp_path_factory.mktemp("beeps") / "beeps.mp4", seconds=4)


@pytest.fixture
def folder(beeps: Path, tmp_path: Path) -> Path:
    """A folder with one video without subtitles."""
    folder = tmp_path / "videos"
    folder.mkdir()
    shutil.copy(beeps, folder / "beeps.mp4")
    return folder


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "subtitles.yaml"
    path.write_text("- subtitles\n")
    return path


@pytest.fixture
def store(tmp_path: Path) -> VideoTimelineStore:
    return VideoTimelineStore(tmp_path / "store", embedding=BagOfWords())


@pytest.fixture
def index(store: VideoTimelineStore, profile: Path) -> Index:
    """Index sources, and return the status of each."""

    def run(*sources: str | Path, **options: Any) -> list[str]:
        report = store.index(sources, profile=profile, show_progress=False, **options)
        return [one.status for one in report.videos]

    return run


def write_srt(path: Path, *texts: str) -> Path:
    """Write a subtitle file with a cue of one second for each text."""
    cues = [f"{at + 1}\n00:00:{at:02},000 --> 00:00:{at + 1:02},000\n{text}\n" for at, text in enumerate(texts)]
    path.write_text("\n".join(cues))
    return path


def subtitles(store: VideoTimelineStore) -> list[str]:
    """The subtitles of the only video in a store."""
    (record,) = store.videos()
    return [one.text for one in store.timeline(record.video_id) if one.modality == "subtitle"]


# Subtitle files


def test_subtitles_that_are_added_changed_or_removed_are_seen(
    store: VideoTimelineStore, index: Index, folder: Path
) -> None:
    assert index(folder) == ["indexed"]
    assert index(folder) == ["skipped"]
    for texts in (["Whisk two eggs"], ["Whisk three eggs"], ["Whisk three eggs", "Fold"]):
        sidecar = write_srt(folder / "beeps.srt", *texts)
        assert index(folder) == ["indexed"]
        assert subtitles(store) == texts
        assert index(folder) == ["skipped"]
    assert store.search("whisk", k=1)
    sidecar.unlink()
    assert index(folder) == ["indexed"]
    assert subtitles(store) == []
    assert index(folder) == ["skipped"]


def test_another_language_is_added(store: VideoTimelineStore, index: Index, folder: Path) -> None:
    write_srt(folder / "beeps.en.srt", "Whisk")
    assert index(folder) == ["indexed"]
    write_srt(folder / "beeps.de.srt", "Schlagen")
    assert index(folder) == ["indexed"]
    assert sorted(subtitles(store)) == ["Schlagen", "Whisk"]


def test_subtitles_of_another_video_change_nothing(index: Index, folder: Path) -> None:
    assert index(folder) == ["indexed"]
    write_srt(folder / "beets.srt", "Boil the beets")
    assert index(folder) == ["skipped"]


def test_video_renamed_with_its_subtitles_is_not_perceived_again(
    store: VideoTimelineStore, index: Index, folder: Path
) -> None:
    write_srt(folder / "beeps.en.srt", "Whisk")
    assert index(folder) == ["indexed"]
    renamed = (folder / "beeps.mp4").rename(folder / "eggs.mp4")
    (folder / "beeps.en.srt").rename(folder / "eggs.en.srt")
    assert index(folder) == ["skipped"]
    assert [record.source for record in store.videos()] == [str(renamed)]
    assert subtitles(store) == ["Whisk"]
    assert index(folder) == ["skipped"]


def test_video_renamed_without_its_subtitles_loses_them(store: VideoTimelineStore, index: Index, folder: Path) -> None:
    write_srt(folder / "beeps.srt", "Whisk")
    assert index(folder) == ["indexed"]
    (folder / "beeps.mp4").rename(folder / "eggs.mp4")
    assert index(folder) == ["indexed"]
    assert subtitles(store) == []


@pytest.mark.parametrize("with_subtitles", ["a", "b"])
@pytest.mark.parametrize("separately", [True, False])
def test_copy_with_subtitles_wins_wherever_it_is(
    store: VideoTimelineStore, index: Index, folder: Path, with_subtitles: str, separately: bool
) -> None:
    for name in ("a", "b"):
        (folder / name).mkdir()
        shutil.copy(folder / "beeps.mp4", folder / name / "beeps.mp4")
    (folder / "beeps.mp4").unlink()
    write_srt(folder / with_subtitles / "beeps.srt", "Whisk")
    sources = [folder / "a", folder / "b"]

    def run() -> list[str]:
        return [index(source)[0] for source in sources] if separately else index(folder)

    run()
    assert subtitles(store) == ["Whisk"]
    assert [record.source for record in store.videos()] == [str(folder / with_subtitles / "beeps.mp4")]
    assert run() == ["skipped", "skipped"]
    write_srt(folder / with_subtitles / "beeps.srt", "Whisk well")
    assert sorted(run()) == ["indexed", "skipped"]
    assert subtitles(store) == ["Whisk well"]
    assert run() == ["skipped", "skipped"]
    assert "indexed" in [index(source, refresh=True)[0] for source in sources[:1]]
    assert subtitles(store) == ["Whisk well"]


def test_copies_with_different_subtitles_do_not_replace_each_other_forever(
    store: VideoTimelineStore, index: Index, folder: Path, profile: Path
) -> None:
    shutil.copy(folder / "beeps.mp4", folder / "copy.mp4")
    write_srt(folder / "beeps.srt", "Whisk")
    write_srt(folder / "copy.srt", "Fold")
    assert index(folder) == ["indexed", "skipped"]
    assert subtitles(store) == ["Whisk"]
    used, ignored = store.index(folder, profile=profile, show_progress=False).skipped
    assert used.damage == ""
    assert ignored.damage == (
        f"the subtitle files beside it are ignored: its timeline was made from {folder / 'beeps.mp4'}"
    )
    assert index(folder / "copy.mp4", refresh=True) == ["indexed"]
    assert subtitles(store) == ["Fold"]
    assert index(folder) == ["skipped", "skipped"]
    assert index(folder, refresh=True) == ["indexed", "skipped"]
    assert subtitles(store) == ["Whisk"]
    (folder / "beeps.srt").unlink()
    assert index(folder / "copy.mp4") == ["indexed"]
    assert subtitles(store) == ["Fold"]
    assert index(folder) == ["skipped", "skipped"]


def test_copy_takes_over_when_the_recorded_file_has_other_content(
    store: VideoTimelineStore, index: Index, folder: Path
) -> None:
    write_srt(folder / "beeps.srt", "Whisk")
    assert index(folder) == ["indexed"]
    copy = Path(shutil.copy(folder / "beeps.mp4", folder / "copy.mp4"))
    make_beeps(folder / "beeps.mp4", seconds=2)
    assert index(copy) == ["indexed"]
    assert [(record.source, round(record.duration)) for record in store.videos()] == [(str(copy), 4)]
    assert subtitles(store) == []


def test_local_copy_of_a_video_on_the_web(store: VideoTimelineStore, index: Index, folder: Path, profile: Path) -> None:
    address = "https://example.org/beeps.mp4"
    video = replace(probe(folder / "beeps.mp4"), source=address)
    store.add(Timeline.of(video, video_id(folder / "beeps.mp4"), []), load_profile(profile).name)
    assert index(folder) == ["skipped"]
    assert [record.source for record in store.videos()] == [address]
    write_srt(folder / "beeps.srt", "Whisk")
    assert index(folder) == ["indexed"]
    assert [record.source for record in store.videos()] == [str(folder / "beeps.mp4")]
    assert subtitles(store) == ["Whisk"]


# Refreshes and interruptions


def add_old_version(store: VideoTimelineStore, video: Path, profile_name: str) -> str:
    """Store another timeline of a video, as an earlier version might have perceived it; return its id."""
    identity = video_id(video)
    old = make_timeline(identity, Observation(0, 4, "tag", "old"), duration=4.0, source=str(video))
    store.add(old, profile_name)
    return identity


def texts(store: VideoTimelineStore, identity: str) -> set[str]:
    return {one.text for one in store.timeline(identity)}


def interrupt_at(progress: float, source: Path) -> Callable[[str, str, float], None]:
    def on_progress(current: str, phase: str, reached: float) -> None:
        if current == str(source) and phase == "perceiving" and reached >= progress:
            raise KeyboardInterrupt

    return on_progress


@pytest.fixture
def profile_name(profile: Path) -> str:
    """The name under which the profile is recorded."""
    return load_profile(profile).name


def test_refresh_perceives_again(store: VideoTimelineStore, index: Index, folder: Path, profile_name: str) -> None:
    identity = add_old_version(store, folder / "beeps.mp4", profile_name)
    assert index(folder) == ["skipped"]
    assert texts(store, identity) == {"old"}
    assert index(folder, refresh=True) == ["indexed"]
    assert texts(store, identity) == set()
    assert index(folder) == ["skipped"]
    assert index(folder, refresh=True) == ["indexed"]


def test_refresh_perceives_copies_once(index: Index, folder: Path) -> None:
    shutil.copy(folder / "beeps.mp4", folder / "copy.mp4")
    assert index(folder, refresh=True) == ["indexed", "skipped"]
    assert index(folder, refresh=True) == ["indexed", "skipped"]
    assert index(folder / "copy.mp4", refresh=True) == ["indexed"]


def test_refresh_finds_content_that_changed_without_a_trace(
    store: VideoTimelineStore, index: Index, folder: Path
) -> None:
    video = folder / "beeps.mp4"
    assert index(video) == ["indexed"]
    status, content = video.stat(), video.read_bytes()
    video.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(video, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert index(video) == ["skipped"]
    assert index(video, refresh=True) == ["indexed"]
    assert len(store.videos()) == 2
    assert index(video) == ["skipped"]


def test_refresh_of_a_renamed_video(store: VideoTimelineStore, index: Index, folder: Path) -> None:
    assert index(folder) == ["indexed"]
    renamed = (folder / "beeps.mp4").rename(folder / "eggs.mp4")
    assert index(folder, refresh=True) == ["indexed"]
    assert [record.source for record in store.videos()] == [str(renamed)]


def test_old_version_is_kept_until_the_refreshed_one_is_complete(
    store: VideoTimelineStore, index: Index, folder: Path, profile_name: str
) -> None:
    identity = add_old_version(store, folder / "beeps.mp4", profile_name)
    with pytest.raises(KeyboardInterrupt):
        index(folder, refresh=True, on_progress=interrupt_at(0.5, folder / "beeps.mp4"))
    assert texts(store, identity) == {"old"}
    assert store.search("old", k=1)
    assert index(folder) == ["indexed"]
    assert texts(store, identity) == set()


def test_interrupted_refresh_is_resumed_for_all_videos(
    store: VideoTimelineStore, index: Index, folder: Path, profile_name: str
) -> None:
    other = make_beeps(folder / "other.mp4", seconds=2)
    identities = [add_old_version(store, path, profile_name) for path in (folder / "beeps.mp4", other)]
    with pytest.raises(KeyboardInterrupt):
        index(folder, refresh=True, on_progress=interrupt_at(0.5, folder / "beeps.mp4"))
    assert index(folder) == ["indexed", "indexed"]
    assert [texts(store, identity) for identity in identities] == [set(), set()]
    assert index(folder) == ["skipped", "skipped"]


def test_resumed_run_continues_with_the_next_segment_unless_subtitles_changed(
    store: VideoTimelineStore, index: Index, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_SECONDS", 1.0)
    monkeypatch.setattr(segments, "OVERLAP_SECONDS", 0.0)
    video = folder / "beeps.mp4"
    sidecar = write_srt(folder / "beeps.srt", "one", "two", "three")

    def interrupt(**options: Any) -> None:
        with pytest.raises(KeyboardInterrupt):
            index(video, on_progress=interrupt_at(0.7, video), **options)

    def resume() -> float:
        """Return where a run begins to perceive: at the end of the segments that are saved."""
        reached: list[float] = []

        def on_progress(_source: str, phase: str, progress: float) -> None:
            if phase == "perceiving" and progress > 0:
                reached.append(progress)

        assert index(video, on_progress=on_progress) == ["indexed"]
        return reached[0]

    interrupt()
    assert resume() >= 0.5
    assert subtitles(store) == ["one", "two", "three"]
    interrupt(refresh=True)
    assert resume() >= 0.5
    interrupt(refresh=True)
    write_srt(sidecar, "four", "five", "six")
    assert resume() < 0.5
    assert subtitles(store) == ["four", "five", "six"]


@pytest.mark.parametrize(
    ("refresh", "sidecar", "expected"), [(False, False, ["old"]), (True, False, []), (False, True, ["new"])]
)
def test_draft_of_an_earlier_version_is_used_unless_it_may_be_outdated(
    tmp_path: Path,
    store: VideoTimelineStore,
    index: Index,
    folder: Path,
    profile_name: str,
    refresh: bool,
    sidecar: bool,
    expected: list[str],
) -> None:
    identity = video_id(folder / "beeps.mp4")
    observation = {"start": 0.0, "end": 1.0, "modality": "subtitle", "text": "old"}
    chromadb.PersistentClient(tmp_path / "store").get_collection("videos-timelines").upsert(
        ids=[f"{identity}:draft:{profile_name}:0"],
        embeddings=np.zeros((1, 1), np.float32),
        documents=[json.dumps([0.0, [], [observation]])],
        metadatas=[{"video_id": identity}],
    )
    if sidecar:
        write_srt(folder / "beeps.srt", "new")
    assert index(folder, refresh=refresh) == ["indexed"]
    assert subtitles(store) == expected


def test_failing_source_does_not_stop_a_refresh(store: VideoTimelineStore, index: Index, folder: Path) -> None:
    assert index(folder) == ["indexed"]
    (folder / "letter.mp4").write_text("Dear reader")
    sources = [folder, folder / "missing.mp4"]
    assert index(*sources, refresh=True, on_error="skip") == ["indexed", "failed", "failed"]
    assert index(folder / "beeps.mp4") == ["skipped"]


# Timelines that were added


def test_added_timeline_is_current_until_its_subtitles_change(
    store: VideoTimelineStore, index: Index, folder: Path, profile: Path, profile_name: str
) -> None:
    video = folder / "beeps.mp4"
    sidecar = write_srt(folder / "beeps.srt", "Whisk")
    timeline = Timeline.of(replace(probe(video), source=str(video)), video_id(video), perceive(video, profile))
    store.add(timeline, profile_name)
    assert index(video) == ["skipped"]
    write_srt(sidecar, "Fold")
    assert index(video) == ["indexed"]
    assert subtitles(store) == ["Fold"]
