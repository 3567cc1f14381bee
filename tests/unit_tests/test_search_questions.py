"""The benchmark of search: its hand-written questions refer to their videos, and its figures are right."""

import math

import pytest

from tests.benchmarks.baselines import ScoredMoment, WordIndex, fuse
from tests.benchmarks.questions import HAND_WRITTEN, KINDS, UNANSWERABLE, GoldSegment, Question, read_collection
from tests.benchmarks.retrieval import SEARCHES, Outcome, SearchQuality


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_each_gold_segment_overlaps_an_observation(name: str) -> None:
    timelines, questions = read_collection(name)
    observed = {(one.video_id, item.start, item.end) for one in timelines for item in one if item.modality != "scene"}
    for segment in (segment for question in questions for segment in question.gold):
        assert any(
            video_id == segment.video_id and segment.overlaps(start, end) for video_id, start, end in observed
        ), segment


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_each_answerable_question_has_a_moment_that_answers_it(name: str) -> None:
    timelines, questions = read_collection(name)
    moments = [moment for timeline in timelines for moment in timeline.to_documents("moment")]
    unanswered = [question for question in questions if not any(map(question.is_answered_by, moments))]
    assert unanswered == [question for question in questions if question.kind == UNANSWERABLE]


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_kinds_are_known_and_questions_asked_once(name: str) -> None:
    questions = read_collection(name)[1]
    assert {question.kind for question in questions} <= KINDS.keys()
    assert len({question.text for question in questions}) == len(questions)


@pytest.mark.parametrize(
    ("segment", "overlapping"),
    [((3.0, 5.0), True), ((0.0, 2.0), False), ((9.0, 12.0), False), ((2.0, 2.0), True), ((9.0, 9.0), False)],
)
def test_times_are_half_open_and_may_be_single_frames(segment: tuple[float, float], overlapping: bool) -> None:
    assert GoldSegment("eggs", *segment).overlaps(2.0, 9.0) is overlapping


def test_a_moment_of_another_video_does_not_answer() -> None:
    timelines, _ = read_collection(HAND_WRITTEN[0])
    first = next(timelines[0].to_documents("moment"))
    other = Question("wh", "Where?", (GoldSegment(timelines[1].video_id, 0.0, 5.0),))
    assert not other.is_answered_by(first)


def test_figures_follow_from_ranks_and_scores() -> None:
    outcomes = [
        Outcome("wh", rank=1, rank_in_video=1, score=0.9),
        Outcome("wh", rank=2, rank_in_video=1, score=0.6),
        Outcome("name", rank=10, rank_in_video=4, score=0.5),
        Outcome("name", rank=math.inf, rank_in_video=math.inf, score=0.2),
        Outcome(UNANSWERABLE, rank=math.inf, rank_in_video=math.inf, score=0.5),
    ]
    quality = SearchQuality({name: dict.fromkeys(SEARCHES, outcomes) for name in HAND_WRITTEN}, [])
    for row in quality.by_collection().rows:
        assert row[2:] == ["25 %", "50 %", "0.40", "50 %", "50 %", "0.56", "0.62"]
    asked = str(2 * len(HAND_WRITTEN))
    assert [row[1:3] for row in quality.by_kind().rows] == [[asked, "100 %"], [asked, "0 %"]]


def test_textbook_rankings() -> None:
    moments = [moment for timeline in read_collection("languages")[0] for moment in timeline.to_documents("moment")]
    words = WordIndex(moments)
    best = words.search("Wo ist der Dichtungsring?", k=1)
    assert "Dichtungsring" in best[0].moment.page_content
    assert words.search("Dichtungsring", k=3, video_ids=[moments[-1].metadata["video_id"]]) == []
    first, second, third = (ScoredMoment(moment, 1.0) for moment in moments[:3])
    fused = fuse([[first, second], [second, third]])
    assert [one.moment for one in fused] == [second.moment, first.moment, third.moment]
