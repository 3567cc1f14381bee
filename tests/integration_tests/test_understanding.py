"""Accuracy of videochat-embed-tiny on unseen clips, from files through VideoChatEmbed."""

from pathlib import Path
from statistics import fmean

import pytest

from langchain_videochat import VideoChatEmbed
from langchain_videochat.evaluation import write_benchmark
from tests.understanding import (
    FORMS,
    AskedClip,
    Rearrange,
    answer_in_form,
    answer_in_words,
    average,
    choose_options,
    rearrange,
    repeat,
    shuffle,
    write_asked_clips,
)

QUESTIONS = 20
"""Questions of each kind."""

ASKED_CLIPS = 50
"""Clips with one question each."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    write_benchmark(folder, QUESTIONS)
    return folder


@pytest.fixture(scope="module")
def llm() -> VideoChatEmbed:
    return VideoChatEmbed(model="videochat-embed-tiny", max_tokens=80)


def test_answers_without_options(clips: Path, llm: VideoChatEmbed) -> None:
    accuracy = answer_in_words(llm, clips)
    assert fmean(accuracy.values()) > 0.9
    assert min(accuracy.values()) >= 0.6


def test_answers_with_options(clips: Path, llm: VideoChatEmbed) -> None:
    scores = choose_options(llm, clips).values()
    assert fmean(score.accuracy for score in scores) > 0.9
    assert sum(score.unreadable for score in scores) < 0.05 * sum(score.count for score in scores)


@pytest.mark.parametrize("change", [shuffle, repeat])
def test_without_the_order_of_frames_only_still_images_are_understood(
    change: Rearrange, clips: Path, llm: VideoChatEmbed, tmp_path: Path
) -> None:
    scores = choose_options(llm, rearrange(clips, tmp_path / "clips", change))
    accuracy = average({kind: score.accuracy for kind, score in scores.items()})
    assert accuracy["picture"] > accuracy["order"] + 0.4


@pytest.fixture(scope="module")
def asked_clips(tmp_path_factory: pytest.TempPathFactory) -> list[AskedClip]:
    return write_asked_clips(tmp_path_factory.mktemp("asked"), ASKED_CLIPS)


@pytest.mark.parametrize("form", FORMS)
def test_conversations_of_various_forms(form: str, asked_clips: list[AskedClip], llm: VideoChatEmbed) -> None:
    # Chance is 39 %. Asked about two clips, a model that was trained on one was right in 31 %.
    assert answer_in_form(llm, asked_clips, form) > (0.55 if "two" in form or "second" in form else 0.85)


@pytest.mark.parametrize("brightness", [60, 120, 180, 230])
def test_backgrounds_of_various_brightnesses(brightness: int, tmp_path: Path, llm: VideoChatEmbed) -> None:
    # Trained on dark backgrounds only, a model was right in 24 % at a brightness of 120.
    clips = write_asked_clips(tmp_path, ASKED_CLIPS, brightness / 255)
    assert answer_in_form(llm, clips, "a video, then a question") > 0.75
