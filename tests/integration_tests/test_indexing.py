"""Indexing video files: what is skipped, renamed, damaged or refused, and what the report says of it."""

import logging
import os
from pathlib import Path

import pytest

from langchain_videochat.errors import InputError, MediaError, SourceError
from langchain_videochat.store import VideoTimelineStore
from tests.media_files import run_ffmpeg
from tests.unit_tests.embeddings import BagOfWords, make_timeline


def make_video(path: Path, *sentences: str) -> Path:
    """Write a black video with a subtitle of two seconds for each sentence."""
    cues = [f"{at}\n00:00:{at * 2:02},000 --> 00:00:{at * 2 + 2:02},000\n{text}\n" for at, text in enumerate(sentences)]
    path.parent.mkdir(exist_ok=True)
    subtitles = path.parent / "cues.txt"
    subtitles.write_text("\n".join(cues))
    picture = f"color=black:s=64x64:r=5:d={2 * len(sentences)}"
    run_ffmpeg(
        *["-f", "lavfi", "-i", picture, "-f", "srt", "-i", str(subtitles)],
        *["-c:v", "libx264", "-g", "5", "-c:s", "mov_text", "-movflags", "faststart", str(path)],
    )
    subtitles.unlink()
    return path


@pytest.fixture
def store() -> VideoTimelineStore:
    return VideoTimelineStore(embedding=BagOfWords())


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    make_video(folder / "eggs.mp4", "Whisk two eggs", "Fold the omelette")
    make_video(folder / "yoga.mp4", "Stand on one leg", "Breathe in slowly")
    return folder


def test_folder_is_indexed_and_then_skipped(
    store: VideoTimelineStore, videos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
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


def test_progress_is_told_in_steps(store: VideoTimelineStore, videos: Path) -> None:
    told: list[tuple[str, str, float]] = []

    store.index(videos / "eggs.mp4", profile="lite", show_progress=False, on_progress=lambda *what: told.append(what))

    assert {source for source, _, _ in told} == {str(videos / "eggs.mp4")}
    steps = list(dict.fromkeys(step for _, step, _ in told))
    assert steps == ["watching", "summing up", "embedding"]
    for step in steps:
        shares = [share for _, one, share in told if one == step]
        assert shares[0] == 0
        assert shares == sorted(shares)
    assert told[-1][2] == 1


def test_progress_is_shown_in_seconds_of_video(
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


def test_renamed_video_gets_its_new_name_without_being_perceived_again(store: VideoTimelineStore, videos: Path) -> None:
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
    make_video(videos / "eggs.mp4", "Boil three eggs", "Peel them")
    report = store.index(videos / "eggs.mp4", profile="lite", show_progress=False)
    assert [one.status for one in report.videos] == ["indexed"]
    assert len(store.videos()) == 2


def test_added_timeline_gives_way_to_an_indexed_one(store: VideoTimelineStore, videos: Path) -> None:
    (first,) = store.index(videos / "eggs.mp4", profile="lite", show_progress=False).videos
    expected = store.timeline(str(first.video_id))
    store.add(make_timeline(str(first.video_id), duration=4.0))
    assert len(store.timeline(str(first.video_id))) == 0
    assert store.index(videos / "eggs.mp4", profile="lite", show_progress=False).indexed
    assert store.timeline(str(first.video_id)) == expected


def test_unreadable_file_stops_the_run_or_is_left_out(
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


def test_cut_off_file_tells_how_much_is_readable(store: VideoTimelineStore, tmp_path: Path) -> None:
    whole = make_video(tmp_path / "long.mp4", *[f"Sentence {at}" for at in range(20)])
    os.truncate(whole, whole.stat().st_size * 3 // 4)
    (report,) = store.index(whole, profile="lite", show_progress=False).videos
    assert report.status == "indexed"
    assert 0.2 < report.decoded_fraction < 0.95
    assert "% readable" in str(report)


def test_faults_that_no_file_is_to_blame_for_stop_the_run(store: VideoTimelineStore, videos: Path) -> None:
    with pytest.raises(InputError, match="profile"):
        store.index(videos, profile="heavy", on_error="skip", show_progress=False)
    with pytest.raises(InputError, match="on_error"):
        store.index(videos, profile="lite", on_error="ignore", show_progress=False)  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="missing"):
        store.index(videos / "missing.mp4", profile="lite", show_progress=False)
