"""Tracks: which detections are joined, with their times and places."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_videochat.perception import Box, Observation
from langchain_videochat.perception.spans import MAX_SPAN_SECONDS
from langchain_videochat.perception.tracks import Detection, Tracks, describe_place
from langchain_videochat.timeline.repeats import merge_repeats

EVERY = 1.0


def at(centre: float, label: str = "dog", score: float = 0.8, width: float = 0.2) -> Detection:
    """Return a detection whose centre is at a distance from the left."""
    return Detection(label, (centre - width / 2, 0.4, centre + width / 2, 0.8), score)


def track(samples: Sequence[Sequence[Detection]], every: float = EVERY) -> list[Observation]:
    """Return the observations of a list of samples in time order."""
    tracks = Tracks("detector")
    observations = [
        one for number, found in enumerate(samples) for one in tracks.add(number * every, (number + 1) * every, found)
    ]
    return sorted([*observations, *tracks.close()], key=lambda one: one.order)


def spans(observations: Sequence[Observation]) -> list[tuple[float, float, str]]:
    return [(one.start, one.end, one.text) for one in observations]


def test_successive_detections_are_one_observation() -> None:
    observations = track([[], [], [], *[[at(0.2)]] * 6, [], []])

    assert observations == [Observation(3.0, 9.0, "object", "dog, left", 0.8, at(0.2).box, source="detector")]


def test_a_detection_holds_until_the_next_sample() -> None:
    assert spans(track([[at(0.5)], [at(0.5)]], every=0.5)) == [(0.0, 1.0, "dog, centre")]


def test_score_and_box_are_those_of_the_best_detection() -> None:
    best = at(0.22, score=0.95)

    (observation,) = track([[at(0.2)], [best], [at(0.24)]])

    assert (observation.score, observation.box) == (best.score, best.box)


def test_the_text_contains_the_place() -> None:
    assert spans(track([[at(0.2), at(0.5), at(0.8)]])) == [
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


def test_a_moving_object_has_both_places() -> None:
    assert spans(track([[at(0.2 + 0.06 * step)] for step in range(11)])) == [(0.0, 11.0, "dog, from left to right")]


def test_an_object_that_returns_has_one_place() -> None:
    assert spans(track([[at(place)] for place in (0.2, 0.28, 0.36, 0.28, 0.2)])) == [(0.0, 5.0, "dog, left")]


def test_a_missed_sample_does_not_end_a_track() -> None:
    assert spans(track([[at(0.5)], [], [at(0.5)], [], [at(0.5)]])) == [(0.0, 5.0, "dog, centre")]


def test_two_missed_samples_end_a_track() -> None:
    assert spans(track([[at(0.5)], [], [], [at(0.5)]])) == [(0.0, 1.0, "dog, centre"), (3.0, 4.0, "dog, centre")]


def test_a_track_is_returned_as_soon_as_it_has_ended() -> None:
    tracks = Tracks()
    observations = [
        tracks.add(float(number), number + EVERY, found) for number, found in enumerate([[at(0.5)], [], []])
    ]

    assert [len(one) for one in observations] == [0, 0, 1]
    assert tracks.close() == []


@pytest.mark.parametrize(("step", "objects"), [(0.5, 1), (0.65, 1), (0.7, 2), (3.0, 2)])
def test_an_object_can_move_by_two_thirds_of_its_width(step: float, objects: int) -> None:
    assert len(track([[at(0.2)], [at(0.2 + 0.2 * step)]])) == objects


def test_different_labels_in_one_place_are_different_tracks() -> None:
    observations = track([[at(0.5, "dog"), at(0.5, "cat")], [at(0.5, "cat")], [at(0.5, "cat")]])

    assert sorted(spans(observations)) == [(0.0, 1.0, "dog, centre"), (0.0, 3.0, "cat, centre")]


def test_crossing_objects_with_different_labels_keep_their_tracks() -> None:
    steps = [0.2 + 0.06 * step for step in range(11)]

    observations = track([[at(place, "cat"), at(1 - place, "dog")] for place in steps])

    assert spans(observations) == [(0.0, 11.0, "cat, from left to right"), (0.0, 11.0, "dog, from right to left")]


def test_crossing_objects_with_the_same_label_are_two_tracks() -> None:
    steps = [0.2 + 0.06 * step for step in range(11)]

    observations = track([[at(place), at(1 - place)] for place in steps])

    assert [(one.start, one.end) for one in observations] == [(0.0, 11.0), (0.0, 11.0)]


def test_the_detection_with_the_largest_overlap_extends_the_track() -> None:
    observations = track([[at(0.4)], [at(0.48, score=0.9), at(0.42, score=0.7)]])

    assert [(one.start, one.end, one.score) for one in observations] == [(0.0, 2.0, 0.8), (1.0, 2.0, 0.9)]


def test_long_tracks_are_emitted_in_parts_that_a_timeline_joins() -> None:
    observations = track([[at(0.5)]] * 75)

    assert all(before.end == after.start for before, after in pairwise(observations))
    assert [one.end - one.start for one in observations] == [MAX_SPAN_SECONDS, MAX_SPAN_SECONDS, 15.0]
    assert spans(merge_repeats(observations)) == [(0.0, 75.0, "dog, centre")]


def test_a_part_has_its_own_place_and_score() -> None:
    early, late = at(0.2, score=0.9), at(0.3, score=0.6)

    observations = track([*[[early]] * 30, *[[late]] * 30, *[[at(0.4, score=0.5)]] * 5])

    assert [(one.text, one.score, one.box) for one in observations] == [
        ("dog, left", 0.9, early.box),
        ("dog, left", 0.6, late.box),
        ("dog, centre", 0.5, at(0.4).box),
    ]


def test_no_observation_starts_before_the_pending_time() -> None:
    tracks = Tracks()
    assert tracks.since is None
    pending = [0.0]
    for second in range(70):
        observations = tracks.add(float(second), second + EVERY, [at(0.5)] if second < 65 else [])
        assert all(one.start >= pending[-1] for one in observations)
        pending.append(float(second) if tracks.since is None else tracks.since)

    assert pending == sorted(pending)
    assert tracks.since is None


PLACES = st.integers(0, 9)
DETECTIONS = st.builds(
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
SAMPLES = st.lists(st.lists(DETECTIONS, max_size=5), max_size=8)


@given(SAMPLES, st.randoms(use_true_random=False))
def test_the_order_of_detections_does_not_matter(samples: list[list[Detection]], random: object) -> None:
    shuffled = [random.sample(found, len(found)) for found in samples]  # type: ignore[attr-defined]

    assert track(shuffled) == track(samples)


@given(SAMPLES)
def test_observations_cover_the_detections(samples: list[list[Detection]]) -> None:
    observations = track(samples)

    found = [(one.label, one.score, one.box) for sample in samples for one in sample]
    for one in observations:
        assert one.start + EVERY <= one.end
        assert (one.text.split(",")[0], one.score, one.box) in found
    for number, sample in enumerate(samples):
        for detection in sample:
            present = [
                one for one in observations if one.text.startswith(detection.label) and one.start <= number < one.end
            ]
            assert len(present) >= sum(one.label == detection.label for one in sample)
            assert max(one.score or 0.0 for one in present) >= detection.score


@given(st.lists(st.sets(st.integers(0, 3)), max_size=12))
def test_distant_objects_are_different_tracks(presence: list[set[int]]) -> None:
    observations = track([[at(0.125 + 0.25 * place) for place in sorted(present)] for present in presence])

    expected = [run for place in range(4) for run in _runs([place in present for present in presence])]
    assert sorted((one.start, one.end) for one in observations) == sorted(expected)


def _runs(seen: list[bool]) -> list[tuple[float, float]]:
    """Return the intervals in which an object is detected, with gaps of at most one sample."""
    times = [time for time, present in enumerate(seen) if present]
    begins = [time for time in times if not {time - 1, time - 2} & set(times)]
    ends = [time for time in times if not {time + 1, time + 2} & set(times)]
    return [(float(begin), end + EVERY) for begin, end in zip(begins, ends, strict=True)]
