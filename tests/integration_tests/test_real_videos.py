"""Two real clips, if they are available: indexing, listing and search."""

from pathlib import Path

import pytest

from langchain_videochat import VideoTimelineStore
from langchain_videochat.media import probe, sample_frames, thumbnail

VIDEOS = Path(__file__).parents[3] / "shared" / "videos"

pytestmark = pytest.mark.skipif(not VIDEOS.is_dir(), reason="the real clips are not in the repository")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> VideoTimelineStore:
    store = VideoTimelineStore(tmp_path_factory.mktemp("store"))
    report = store.index(VIDEOS, profile="lite", show_progress=False)
    assert [(Path(video.source).name, video.status, video.decoded_fraction) for video in report.videos] == [
        ("jesse_dance.mp4", "indexed", 1.0),
        ("yoga.mp4", "indexed", 1.0),
    ]
    return store


@pytest.mark.parametrize(("query", "title"), [("yoga", "yoga"), ("dance", "jesse_dance")])
def test_search_finds_the_clips(store: VideoTimelineStore, query: str, title: str) -> None:
    best = store.search(query, k=1)[0]
    assert best.metadata["title"] == title
    assert best.metadata["start"] == 0.0
    assert best.metadata["end"] == pytest.approx(10, abs=0.3)


def test_timelines_cover_the_clips(store: VideoTimelineStore) -> None:
    for record in store.videos():
        timeline = store.timeline(record.video_id)
        assert timeline.observations[0].start == 0.0
        assert timeline.observations[-1].end == pytest.approx(record.duration)


def test_a_second_run_skips_both(store: VideoTimelineStore) -> None:
    assert len(store.index(VIDEOS, profile="lite", show_progress=False).skipped) == 2


def test_frames_have_the_requested_times() -> None:
    yoga = VIDEOS / "yoga.mp4"
    assert (probe(yoga).width, probe(yoga).height, probe(yoga).duration) == (569, 320, 10.0)
    times = [time for batch in sample_frames(yoga, fps=1, mode="exact") for time in batch.times.tolist()]
    assert times == pytest.approx(range(10))
    assert thumbnail(yoga, 5.0).startswith(b"\xff\xd8")
