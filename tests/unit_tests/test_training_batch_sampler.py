"""The order of the samples."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_videochat.errors import InputError
from langchain_videochat.training.batch_sampler import BatchIndices, MediaBatchSampler, split_batch
from langchain_videochat.training.samples import Media

sources = st.fixed_dictionaries({"image": st.integers(0, 40).map(range), "video": st.integers(1, 40).map(range)})


@given(sources, st.integers(1, 9), st.integers(0, 3), st.integers(0, 2))
def test_epoch_contains_every_sample(samples: dict[Media, range], batch_size: int, seed: int, epoch: int) -> None:
    sampler = MediaBatchSampler.of(samples, batch_size, seed)
    first = epoch * sampler.steps_per_epoch
    batches = [sampler.batch(step) for step in range(first, first + sampler.steps_per_epoch)]
    for media, indices in samples.items():
        seen = Counter(index for batch in batches if batch.media == media for index in batch.indices)
        assert set(seen) == set(indices)
        # Only samples that fill the last batch are repeated.
        assert seen.total() - len(indices) < batch_size
    assert all(len(batch.indices) == batch_size for batch in batches)


@given(sources, st.integers(1, 9), st.integers(0, 99))
def test_step_does_not_depend_on_earlier_steps(samples: dict[Media, range], batch_size: int, step: int) -> None:
    used = MediaBatchSampler.of(samples, batch_size, seed=7)
    for before in range(step):
        used.batch(before)
    assert MediaBatchSampler.of(dict(reversed(samples.items())), batch_size, seed=7).batch(step) == used.batch(step)


def test_media_types_are_mixed_in_proportion() -> None:
    sampler = MediaBatchSampler.of({"image": range(600), "video": range(400)}, batch_size=4, seed=0)
    order = [sampler.batch(step).media for step in range(sampler.steps_per_epoch)]
    assert Counter(order) == {"image": 150, "video": 100}
    assert 30 < Counter(order[:125])["video"] < 70


def test_epochs_and_seeds_give_different_orders() -> None:
    sampler = MediaBatchSampler.of({"video": range(50)}, batch_size=50, seed=0)
    other = MediaBatchSampler.of({"video": range(50)}, batch_size=50, seed=1)
    assert len({sampler.batch(0), sampler.batch(1), other.batch(0), BatchIndices("video", tuple(range(50)))}) == 4


@pytest.mark.parametrize(("world_size", "parts"), [(1, 1), (2, 1), (1, 4), (2, 3), (6, 2)])
def test_processes_split_a_batch_without_overlap(world_size: int, parts: int) -> None:
    batch = BatchIndices("video", tuple(range(100, 112)))
    shares = [split_batch(batch, rank=rank, world_size=world_size, parts=parts) for rank in range(world_size)]
    assert all(len(each) == parts for each in shares)
    assert {part.media for each in shares for part in each} == {"video"}
    assert sorted(index for each in shares for part in each for index in part.indices) == list(batch.indices)


def test_no_samples_is_an_error() -> None:
    with pytest.raises(InputError, match="no samples"):
        MediaBatchSampler.of({"image": [], "video": []}, batch_size=4, seed=0)
