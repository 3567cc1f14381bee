"""Training samples, read from files."""

from pathlib import Path
from typing import Any

import pytest

from langchain_videochat.embed import Image, Video
from langchain_videochat.errors import InputError, MediaError, SourceError
from langchain_videochat.training import CaptionFile, ConversationFile, Sample
from langchain_videochat.training.samples import Media
from langchain_videochat.training.training_data import load_samples
from tests.tiny_training import IMAGES, VIDEOS, make_config, make_samples, write_json


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_samples(tmp_path_factory.mktemp("samples"))


def texts(sample: Sample) -> list[tuple[str, ...]]:
    return [tuple(part for part in turn.content if isinstance(part, str)) for turn in sample.turns]


def test_caption_answers_a_request_about_the_video(folder: Path) -> None:
    captions = CaptionFile(folder / "captions.json", "video", num_frames=3)
    sample = captions[1]
    video, request = sample.turns[0].content
    assert len(captions) == VIDEOS
    assert isinstance(video, Video)
    assert len(video.times) == 3
    assert isinstance(request, str)
    assert "video" in request
    assert texts(sample)[1] == ("the 1. video",)
    assert (sample.media, sample.source) == ("video", "1.mp4")


def test_images_and_videos_of_a_file_are_separate(folder: Path) -> None:
    captions = CaptionFile(folder / "captions.json", "image")
    assert len(captions) == IMAGES
    assert isinstance(captions[0].turns[0].content[0], Image)
    assert "image" in texts(captions[0])[0][0]


def test_eleven_requests_are_equally_frequent(folder: Path, tmp_path: Path) -> None:
    file = write_json(tmp_path / "many.json", [{"image": "0.png", "caption": "a picture"}] * 22)
    captions = CaptionFile(file, "image", root=folder)
    requests = [texts(captions[index])[0][0] for index in range(22)]
    assert len(set(requests)) == 11
    assert all(requests.count(request) == 2 for request in requests)


def test_conversation_contains_its_video_once(folder: Path) -> None:
    sample = ConversationFile(folder / "conversations.json", "video")[0]
    assert [turn.role for turn in sample.turns] == ["human", "assistant"] * 2
    assert texts(sample) == [("How long is it?",), ("Short.",), ("And what is it?",), ("Squares.",)]
    visuals = [part for turn in sample.turns for part in turn.content if not isinstance(part, str)]
    assert len(visuals) == 1


def test_data_files_are_concatenated(folder: Path, tmp_path: Path) -> None:
    config = make_config(folder, tmp_path / "run", data=[{"file": folder / "captions.json"}] * 2)
    samples = load_samples(config)["image"]
    assert len(samples) == 2 * IMAGES
    assert [samples[index].source for index in range(4)] == ["0.png", "1.png", "2.png", "0.png"]
    with pytest.raises(IndexError):
        samples[2 * IMAGES]


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ([{"video": "0.mp4"}], "0.caption"),
        ([{"video": "0.mp4", "caption": " "}], "0.caption"),
        ([{"caption": "a"}], "either"),
        ([{"video": "0.mp4", "image": "0.png", "caption": "a"}], "either"),
        ({"video": "0.mp4", "caption": "a"}, "list"),
    ],
)
def test_invalid_entry_is_named(tmp_path: Path, entries: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        CaptionFile(write_json(tmp_path / "wrong.json", entries), "video")


@pytest.mark.parametrize("pairs", [[], [{"q": "What?"}], [{"q": "What?", "a": ""}]])
def test_conversation_without_an_answer_is_rejected(tmp_path: Path, pairs: list[Any]) -> None:
    with pytest.raises(InputError, match=r"0\.QA"):
        ConversationFile(write_json(tmp_path / "wrong.json", [{"video": "0.mp4", "QA": pairs}]), "video")


def test_invalid_json_and_missing_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text('[{"video": "0.mp4", ')
    with pytest.raises(InputError, match=r"half\.json: invalid JSON"):
        CaptionFile(tmp_path / "half.json", "video")
    with pytest.raises(SourceError, match="nowhere"):
        CaptionFile(tmp_path / "nowhere.json", "video")


@pytest.mark.parametrize(
    ("media", "name"), [("video", "missing.mp4"), ("image", "missing.png"), ("video", "0.png.mp4")]
)
def test_unreadable_media_raise_on_access(folder: Path, tmp_path: Path, media: Media, name: str) -> None:
    (tmp_path / "0.png.mp4").write_text("not a video")
    captions = CaptionFile(write_json(tmp_path / "some.json", [{media: name, "caption": "a"}]), media)
    with pytest.raises((SourceError, MediaError)):
        captions[0]
