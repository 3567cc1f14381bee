"""Indexing a video with all perceivers at once, with tiny models."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from langchain_videochat.errors import ModelUnavailableError
from langchain_videochat.perception import list_modalities, load_profile
from langchain_videochat.store import VideoTimelineStore
from tests.media_files import run_ffmpeg
from tests.slides import render_talk
from tests.tiny_models import tiny_bert, tiny_blip, tiny_florence2, tiny_smolvlm, tiny_t5, tiny_videomae
from tests.tiny_vision import NAMES, WORDS, tiny_constant_detr, tiny_siglip
from tests.tiny_whisper import save_whisper
from tests.unit_tests.embeddings import BagOfWords


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Save a tiny model for each perceiver of `full`, and return the profile."""
    folder = tmp_path_factory.mktemp("models")
    whisper = save_whisper(folder / "whisper.pt", [0.0, " Whisk two eggs.", 2.0], languages=("en",))
    return [
        "subtitles",
        "screen_text",
        "scenes",
        {"actions": {"model": str(tiny_videomae(folder / "videomae", "cooking"))}},
        {"captions": {"model": str(tiny_smolvlm(folder / "smolvlm"))}},
        {"visual": {"model": str(tiny_siglip(folder / "siglip"))}},
        {"tags": {"model": str(folder / "siglip"), "labels": list(WORDS[:3]), "min_score": 0.0}},
        {"objects": {"model": str(tiny_constant_detr(folder / "detr", NAMES[1], (0.1, 0.2, 0.3, 0.6)))}},
        {"regions": {"model": str(tiny_florence2(folder / "florence2"))}},
        {"speech": {"model": str(whisper)}},
        {"summaries": {"model": str(tiny_t5(folder / "t5"))}},
    ]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render two slides with a moving pan, sound and a subtitle."""

    def paint(picture: Image.Image, time: float) -> None:
        left = 40 + round(40 * time)
        picture.paste((90, 60, 30), (left, 240, left + 80, 320))

    folder = tmp_path_factory.mktemp("video")
    slides = [["Omelette", "2 eggs"], ["Serve it hot"]]
    silent = render_talk(folder / "silent.mp4", slides, seconds=6.0, decorate=paint)
    (folder / "cues.srt").write_text("1\n00:00:01,000 --> 00:00:03,000\nWhisk them well.\n")
    sound = "aevalsrc='clip(3*sin(2*PI*4*t)+1.5,0,1)*(0.3*sin(2*PI*300*t)+0.1*random(0)-0.05)*lt(t,2)':s=16000:d=12"
    run_ffmpeg(
        *["-i", str(silent), "-f", "lavfi", "-i", sound, "-f", "srt", "-i", str(folder / "cues.srt")],
        *["-c:v", "copy", "-c:a", "aac", "-c:s", "mov_text", str(folder / "omelette.mp4")],
    )
    return folder / "omelette.mp4"


def write_profile(path: Path, settings: list[Any]) -> Path:
    path.write_text(yaml.safe_dump(settings))
    return path


def test_every_modality_is_in_the_timeline_and_can_be_searched(
    settings: list[Any], video: Path, tmp_path: Path
) -> None:
    store = VideoTimelineStore(embedding=BagOfWords())
    (report,) = store.index(video, profile=write_profile(tmp_path / "all.yaml", settings), show_progress=False).videos
    assert (report.status, report.failures, report.decoded_fraction) == ("indexed", "", 1.0)
    assert report.video_id is not None
    timeline = store.timeline(report.video_id)
    observed = {one.modality: one for one in timeline}
    # The output of the tiny Florence-2 has no locations.
    assert set(observed) >= {modality.name for modality in list_modalities()} - {"region"}
    assert (observed["action"].start, observed["action"].end, observed["action"].text) == (0.0, 12.0, "cooking")
    assert (observed["object"].start, observed["object"].end, observed["object"].text) == (0.0, 12.0, "dog, left")
    assert (observed["speech"].start, observed["speech"].end) == pytest.approx((0.0, 2.0), abs=0.3)
    assert observed["speech"].text == "Whisk two eggs."
    assert (observed["subtitle"].start, observed["subtitle"].text) == (1.0, "Whisk them well.")
    assert all(0 <= one.start <= one.end <= 12.0 for one in timeline)
    (found,) = store.search("eggs", k=1, modalities="speech")
    assert found.metadata["start"] == pytest.approx(0.0, abs=0.3)


def test_a_damaged_model_is_reported_and_its_perceiver_runs_again(
    settings: list[Any], video: Path, tmp_path: Path
) -> None:
    captions = tmp_path / "captions"
    tiny_bert(captions)
    profile = write_profile(tmp_path / "some.yaml", ["screen_text", {"captions": {"model": str(captions)}}])
    store = VideoTimelineStore(embedding=BagOfWords())
    (first,) = store.index(video, profile=profile, show_progress=False).videos
    assert first.status == "indexed"
    assert f"no caption from Captions: {captions}: cannot be loaded" in str(first)
    assert store.search("omelette", k=1)
    assert store.videos()[0].failures == first.failures
    tiny_blip(captions)
    (second,) = store.index(video, profile=profile, show_progress=False).videos
    assert (second.status, second.failures) == ("indexed", "")
    assert store.search("a", k=1, modalities="caption")
    (third,) = store.index(video, profile=profile, show_progress=False).videos
    assert third.status == "skipped"


def test_a_missing_model_ends_the_run_before_anything_is_stored(video: Path) -> None:
    store = VideoTimelineStore(embedding=BagOfWords())
    with pytest.raises(ModelUnavailableError, match="siglip2"):
        store.index(video, profile="standard", on_error="skip", show_progress=False)
    assert store.videos() == []


def test_a_missing_summarization_model_is_reported_before_the_video_is_perceived(
    settings: list[Any], video: Path, tmp_path: Path
) -> None:
    profile = write_profile(tmp_path / "late.yaml", ["scenes", "summaries"])
    with pytest.raises(ModelUnavailableError, match="flan-t5-base"):
        VideoTimelineStore(embedding=BagOfWords()).index(video, profile=profile, show_progress=False)


def test_a_video_is_perceived_again_with_other_options(settings: list[Any], video: Path, tmp_path: Path) -> None:
    store = VideoTimelineStore(embedding=BagOfWords())
    names = []
    for every in (2, 4):
        profile = write_profile(tmp_path / "tags.yaml", [{"tags": settings[6]["tags"] | {"every": every}}])
        (report,) = store.index(video, profile=profile, show_progress=False).videos
        assert report.status == "indexed"
        assert store.videos()[0].profile == load_profile(profile).name
        names.append(store.videos()[0].profile)
    assert len(set(names)) == 2
