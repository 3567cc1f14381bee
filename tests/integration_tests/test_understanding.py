"""Accuracy of videochat-embed-tiny on unseen clips, from files through VideoChatEmbed."""

from pathlib import Path
from statistics import fmean

import pytest

from langchain_videochat import VideoChatEmbed
from langchain_videochat.evaluation import write_benchmark
from tests.understanding import Rearrange, answer_in_words, average, choose_options, rearrange, repeat, shuffle

QUESTIONS = 20
"""Questions of each kind."""


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
