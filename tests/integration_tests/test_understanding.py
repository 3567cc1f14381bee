"""What videochat-embed-tiny understands of clips that it has never seen: from files, through VideoChatEmbed."""

from pathlib import Path
from statistics import fmean

import pytest

from langchain_videochat import VideoChatEmbed
from langchain_videochat.evaluation import evaluate, read_items, write_benchmark
from langchain_videochat.evaluation.shapes import EVIDENCE
from tests.understanding import Rearrange, answer_in_words, rearrange, repeat, shuffle

QUESTIONS = 20
"""Of each kind."""

IN_ORDER = [kind.title() for kind, evidence in EVIDENCE.items() if evidence == "order"]
IN_A_PICTURE = [kind.title() for kind, evidence in EVIDENCE.items() if evidence == "picture"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    write_benchmark(folder, QUESTIONS)
    return folder


@pytest.fixture(scope="module")
def llm() -> VideoChatEmbed:
    return VideoChatEmbed(model="videochat-embed-tiny", max_tokens=80)


def test_it_answers_in_words(clips: Path, llm: VideoChatEmbed) -> None:
    right = answer_in_words(llm, read_items(clips))
    assert fmean(right.values()) > 0.85
    assert min(right.values()) >= 0.4


def test_it_chooses_among_options(clips: Path, llm: VideoChatEmbed) -> None:
    report = evaluate(llm, read_items(clips), num_frames=8, free_answers=True, show_progress=False)
    assert report.mean > 0.8
    assert sum(score.unreadable for score in report.tasks) < 0.1 * len(report.answers)


@pytest.mark.parametrize("change", [shuffle, repeat])
def test_without_the_order_of_frames_it_knows_what_there_is_and_not_what_happens(
    change: Rearrange, clips: Path, llm: VideoChatEmbed, tmp_path: Path
) -> None:
    items = read_items(rearrange(clips, tmp_path / "clips", change))
    report = evaluate(llm, items, num_frames=8, free_answers=True, show_progress=False)
    score = {one.task: one.accuracy for one in report.tasks}
    assert fmean(score[task] for task in IN_A_PICTURE) > fmean(score[task] for task in IN_ORDER) + 0.2
