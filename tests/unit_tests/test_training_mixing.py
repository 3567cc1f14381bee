"""The order in which samples come."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_videochat.errors import InputError
from langchain_videochat.training.mixing import Draw, Mixture, share
from langchain_videochat.training.samples import Media

sizes = st.fixed_dictionaries({"image": st.integers(0, 40), "video": st.integers(1, 40)})


@given(sizes, st.integers(1, 9), st.integers(0, 3), st.integers(0, 2))
def test_an_epoch_shows_every_sample(found: dict[Media, int], batch_size: int, seed: int, epoch: int) -> None:
    mixture = Mixture.of(found, batch_size, seed)
    first = epoch * mixture.steps_per_epoch
    draws = [mixture.draw(step) for step in range(first, first + mixture.steps_per_epoch)]
    for media, size in found.items():
        seen = Counter(index for draw in draws if draw.media == media for index in draw.indices)
        assert set(seen) == set(range(size))
        # Only what fills the last batch comes again.
        assert seen.total() - size < batch_size
    assert all(len(draw.indices) == batch_size for draw in draws)


@given(sizes, st.integers(1, 9), st.integers(0, 99))
def test_a_step_is_the_same_whatever_came_before_it(found: dict[Media, int], batch_size: int, step: int) -> None:
    going = Mixture.of(found, batch_size, seed=7)
    for before in range(step):
        going.draw(before)
    assert Mixture.of(dict(reversed(found.items())), batch_size, seed=7).draw(step) == going.draw(step)


def test_media_come_in_proportion_and_mixed() -> None:
    mixture = Mixture.of({"image": 600, "video": 400}, batch_size=4, seed=0)
    order = [mixture.draw(step).media for step in range(mixture.steps_per_epoch)]
    assert Counter(order) == {"image": 150, "video": 100}
    assert 30 < Counter(order[:125])["video"] < 70


def test_epochs_and_seeds_differ() -> None:
    mixture = Mixture.of({"video": 50}, batch_size=50, seed=0)
    other = Mixture.of({"video": 50}, batch_size=50, seed=1)
    assert len({mixture.draw(0), mixture.draw(1), other.draw(0), Draw("video", tuple(range(50)))}) == 4


@pytest.mark.parametrize(("ranks", "parts"), [(1, 1), (2, 1), (1, 4), (2, 3), (6, 2)])
def test_processes_share_a_step_without_overlap(ranks: int, parts: int) -> None:
    draw = Draw("video", tuple(range(100, 112)))
    shares = [share(draw, rank=rank, ranks=ranks, parts=parts) for rank in range(ranks)]
    assert all(len(each) == parts for each in shares)
    assert {part.media for each in shares for part in each} == {"video"}
    assert sorted(index for each in shares for part in each for index in part.indices) == list(draw.indices)


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(InputError, match="no sample"):
        Mixture.of({"image": 0, "video": 0}, batch_size=4, seed=0)
