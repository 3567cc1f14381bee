"""What videochat-embed-tiny understands of clips that it has never seen: from files, through VideoChatEmbed."""

from pathlib import Path
from statistics import fmean

import pytest

from langchain_videochat import VideoChatEmbed
from langchain_videochat.evaluation import write_benchmark
from tests.understanding import Rearrange, answer_in_words, average, choose_options, rearrange, repeat, shuffle

QUESTIONS = 20
"""Of each kind."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    write_benchmark(folder, QUESTIONS)
    return folder


@pytest.fixture(scope="module")
def llm() -> VideoChatEmbed:
    return VideoChatEmbed(model="videochat-embed-tiny", max_tokens=80)


def test_it_answers_in_words(clips: Path, llm: VideoChatEmbed) -> None:
    right = answer_in_words(llm, clips)
    assert fmean(right.values()) > 0.9
    assert min(right.values()) >= 0.6


def test_it_chooses_among_options(clips: Path, llm: VideoChatEmbed) -> None:
    scores = choose_options(llm, clips).values()
    assert fmean(score.accuracy for score in scores) > 0.9
    assert sum(score.unreadable for score in scores) < 0.05 * sum(score.count for score in scores)


@pytest.mark.parametrize("change", [shuffle, repeat])
def test_without_the_order_of_frames_it_knows_what_there_is_and_not_what_happens(
    change: Rearrange, clips: Path, llm: VideoChatEmbed, tmp_path: Path
) -> None:
    scores = choose_options(llm, rearrange(clips, tmp_path / "clips", change))
    share = average({kind: score.accuracy for kind, score in scores.items()})
    assert share["picture"] > share["order"] + 0.4
