"""Tracks: which boxes are one thing, from when to when it is there, and where."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_videochat.perception import Box, Observation
from langchain_videochat.perception.spans import LONGEST_SPAN
from langchain_videochat.perception.tracks import Detection, Tracks, describe_place
from langchain_videochat.timeline.repeats import merge_repeats

EVERY = 1.0


def at(centre: float, label: str = "dog", score: float = 0.8, width: float = 0.2) -> Detection:
    """Detect a thing by its centre, from the left."""
    return Detection(label, (centre - width / 2, 0.4, centre + width / 2, 0.8), score)


def follow(samples: Sequence[Sequence[Detection]], every: float = EVERY) -> list[Observation]:
    """Tell what is seen in samples, in the order in which it began."""
    tracks = Tracks("detector")
    told = [
        one for number, found in enumerate(samples) for one in tracks.add(number * every, (number + 1) * every, found)
    ]
    return sorted([*told, *tracks.close()], key=lambda one: one.order)


def spans(observations: Sequence[Observation]) -> list[tuple[float, float, str]]:
    return [(one.start, one.end, one.text) for one in observations]


def test_a_thing_seen_in_six_samples_is_told_once() -> None:
    told = follow([[], [], [], *[[at(0.2)]] * 6, [], []])

    assert told == [Observation(3.0, 9.0, "object", "dog, left", 0.8, at(0.2).box, source="detector")]


def test_the_last_sample_holds_until_the_next_would_come() -> None:
    assert spans(follow([[at(0.5)], [at(0.5)]], every=0.5)) == [(0.0, 1.0, "dog, centre")]


def test_score_and_box_are_those_of_the_surest_detection() -> None:
    sure = at(0.22, score=0.95)

    (told,) = follow([[at(0.2)], [sure], [at(0.24)]])

    assert (told.score, told.box) == (sure.score, sure.box)


def test_what_is_in_the_middle_of_its_third_says_so() -> None:
    assert spans(follow([[at(0.2), at(0.5), at(0.8)]])) == [
        (0.0, 1.0, "dog, left"),
        (0.0, 1.0, "dog, centre"),
        (0.0, 1.0, "dog, right"),
    ]


@pytest.mark.parametrize(
    ("box", "place"),
    [
        ((0.0, 0.0, 0.66, 1.0), "left"),
        ((0.0, 0.0, 0.67, 1.0), "centre"),
        ((0.0, 0.0, 1.0, 1.0), "centre"),
        ((0.33, 0.0, 1.0, 1.0), "centre"),
        ((0.34, 0.0, 1.0, 1.0), "right"),
        ((1.0, 0.0, 1.0, 1.0), "right"),
    ],
)
def test_the_place_is_the_third_of_the_centre(box: Box, place: str) -> None:
    assert describe_place(box, box) == place


def test_what_moves_is_told_with_both_places() -> None:
    assert spans(follow([[at(0.2 + 0.06 * step)] for step in range(11)])) == [(0.0, 11.0, "dog, from left to right")]


def test_what_comes_back_to_its_place_has_not_moved() -> None:
    assert spans(follow([[at(place)] for place in (0.2, 0.28, 0.36, 0.28, 0.2)])) == [(0.0, 5.0, "dog, left")]


def test_a_missed_sample_does_not_end_a_track() -> None:
    assert spans(follow([[at(0.5)], [], [at(0.5)], [], [at(0.5)]])) == [(0.0, 5.0, "dog, centre")]


def test_two_missed_samples_end_a_track() -> None:
    assert spans(follow([[at(0.5)], [], [], [at(0.5)]])) == [(0.0, 1.0, "dog, centre"), (3.0, 4.0, "dog, centre")]


def test_a_track_is_told_as_soon_as_it_is_over() -> None:
    tracks = Tracks()
    told = [tracks.add(float(number), number + EVERY, found) for number, found in enumerate([[at(0.5)], [], []])]

    assert [len(one) for one in told] == [0, 0, 1]
    assert tracks.close() == []


@pytest.mark.parametrize(("step", "things"), [(0.5, 1), (0.65, 1), (0.7, 2), (3.0, 2)])
def test_what_moves_on_by_less_than_two_thirds_of_its_width_is_the_same_thing(step: float, things: int) -> None:
    assert len(follow([[at(0.2)], [at(0.2 + 0.2 * step)]])) == things


def test_things_of_different_kinds_in_one_place_are_followed_apart() -> None:
    told = follow([[at(0.5, "dog"), at(0.5, "cat")], [at(0.5, "cat")], [at(0.5, "cat")]])

    assert sorted(spans(told)) == [(0.0, 1.0, "dog, centre"), (0.0, 3.0, "cat, centre")]


def test_crossing_things_of_different_kinds_keep_their_ways() -> None:
    steps = [0.2 + 0.06 * step for step in range(11)]

    told = follow([[at(place, "cat"), at(1 - place, "dog")] for place in steps])

    assert spans(told) == [(0.0, 11.0, "cat, from left to right"), (0.0, 11.0, "dog, from right to left")]


def test_crossing_things_of_one_kind_stay_two() -> None:
    steps = [0.2 + 0.06 * step for step in range(11)]

    told = follow([[at(place), at(1 - place)] for place in steps])

    assert [(one.start, one.end) for one in told] == [(0.0, 11.0), (0.0, 11.0)]


def test_of_two_the_one_that_overlaps_more_goes_on() -> None:
    told = follow([[at(0.4)], [at(0.48, score=0.9), at(0.42, score=0.7)]])

    assert [(one.start, one.end, one.score) for one in told] == [(0.0, 2.0, 0.8), (1.0, 2.0, 0.9)]


def test_what_stays_for_long_is_told_in_pieces_that_a_timeline_joins() -> None:
    told = follow([[at(0.5)]] * 75)

    assert all(before.end == after.start for before, after in pairwise(told))
    assert [one.end - one.start for one in told] == [LONGEST_SPAN, LONGEST_SPAN, 15.0]
    assert spans(merge_repeats(told)) == [(0.0, 75.0, "dog, centre")]


def test_a_piece_tells_of_itself() -> None:
    early, late = at(0.2, score=0.9), at(0.3, score=0.6)

    told = follow([*[[early]] * 30, *[[late]] * 30, *[[at(0.4, score=0.5)]] * 5])

    assert [(one.text, one.score, one.box) for one in told] == [
        ("dog, left", 0.9, early.box),
        ("dog, left", 0.6, late.box),
        ("dog, centre", 0.5, at(0.4).box),
    ]


def test_nothing_is_told_that_began_before_what_is_open() -> None:
    tracks = Tracks()
    assert tracks.since is None
    since = [0.0]
    for second in range(70):
        told = tracks.add(float(second), second + EVERY, [at(0.5)] if second < 65 else [])
        assert all(one.start >= since[-1] for one in told)
        since.append(float(second) if tracks.since is None else tracks.since)

    assert since == sorted(since)
    assert tracks.since is None


PLACES = st.integers(0, 9)
THINGS = st.builds(
    lambda label, left, top, width, height, score: Detection(
        label, (left / 20, top / 20, (left + width) / 20, (top + height) / 20), score / 100
    ),
    label=st.sampled_from(["cat", "dog"]),
    left=PLACES,
    top=PLACES,
    width=st.integers(1, 10),
    height=st.integers(1, 10),
    score=st.integers(0, 100),
)
SAMPLES = st.lists(st.lists(THINGS, max_size=5), max_size=8)


@given(SAMPLES, st.randoms(use_true_random=False))
def test_the_order_of_detections_does_not_matter(samples: list[list[Detection]], random: object) -> None:
    shuffled = [random.sample(found, len(found)) for found in samples]  # type: ignore[attr-defined]

    assert follow(shuffled) == follow(samples)


@given(SAMPLES)
def test_every_detection_is_told_and_nothing_else(samples: list[list[Detection]]) -> None:
    told = follow(samples)

    found = [(one.label, one.score, one.box) for sample in samples for one in sample]
    for one in told:
        assert one.start + EVERY <= one.end
        assert (one.text.split(",")[0], one.score, one.box) in found
    for number, sample in enumerate(samples):
        for thing in sample:
            there = [one for one in told if one.text.startswith(thing.label) and one.start <= number < one.end]
            assert len(there) >= sum(one.label == thing.label for one in sample)
            assert max(one.score or 0.0 for one in there) >= thing.score


@given(st.lists(st.sets(st.integers(0, 3)), max_size=12))
def test_things_apart_are_followed_apart(presence: list[set[int]]) -> None:
    told = follow([[at(0.125 + 0.25 * place) for place in sorted(there)] for there in presence])

    expected = [run for place in range(4) for run in _runs([place in there for there in presence])]
    assert sorted((one.start, one.end) for one in told) == sorted(expected)


def _runs(seen: list[bool]) -> list[tuple[float, float]]:
    """Find the stretches in which one is seen, with at most one sample between in which it is not."""
    times = [time for time, there in enumerate(seen) if there]
    begins = [time for time in times if not {time - 1, time - 2} & set(times)]
    ends = [time for time in times if not {time + 1, time + 2} & set(times)]
    return [(float(begin), end + EVERY) for begin, end in zip(begins, ends, strict=True)]
