"""The local index: snapshots, and signs in memory and in files that follow what is written."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_videochat.store import resident_signs, sign_clusters
from langchain_videochat.store.addresses import VideoSource
from langchain_videochat.store.filters import Filter
from langchain_videochat.store.frame_index import FrameVectors
from langchain_videochat.store.hits import TimedWords
from langchain_videochat.store.index_reader import IndexReader, IndexReplacedError
from langchain_videochat.store.local_index import IndexedMoment, IndexedVersion, LocalIndex
from langchain_videochat.store.search import Diversity, Query, search

MOMENTS = 3
DIMENSIONS = 70  # two words of signs, the second of which is padded


def make_moments(video_id: str, version: int) -> Iterator[IndexedMoment]:
    generator = np.random.default_rng([version, *video_id.encode()])
    for number in range(MOMENTS):
        start, end = 10.0 * number, 10.0 * number + 10
        text = f"{video_id}\nversion{version} number{number} common"
        metadata = {"video_id": video_id, "title": video_id, "start": start, "end": end, "modalities": "speech"}
        vectors = generator.integers(-127, 128, (2, DIMENSIONS), np.int8)
        frames = FrameVectors(np.array([[start, end]]), generator.standard_normal((1, DIMENSIONS)).astype(np.float16))
        words = [TimedWords(start, end, "speech", f"version{version} number{number}")]
        yield IndexedMoment(Document(page_content=text, metadata=metadata), words, vectors, frames)


def put(index: LocalIndex, video_id: str, version: int) -> None:
    source = VideoSource(f"https://example.com/{video_id}.mp4", "")
    with index.updating():
        index.put_video(video_id, IndexedVersion(str(version), video_id, (source,)), make_moments(video_id, version))


def remove(index: LocalIndex, video_id: str) -> None:
    with index.updating():
        index.delete_video(video_id)


def find(reader: IndexReader, text: str = "version1 number2", k: int = 30) -> list[tuple[str, str, float]]:
    vector = np.random.default_rng(7).standard_normal(DIMENSIONS).astype(np.float32)
    with reader.snapshot() as index:
        if index.size() == 0:
            return []
        found = search(index, Query(text, vector), k=k, condition=Filter(), diversity=Diversity(), min_score=0.0)
        near = index.signs.nearest(vector, 5)
        nearest = sorted((place[0], place[1].start) for place in index.places(near).values())
    rows = [(one.metadata["video_id"], one.page_content, one.metadata["score"]) for one in found]
    return [*rows, ("nearest", str(nearest), 0.0)]


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pack and cluster signs as if they were many."""
    monkeypatch.setattr(resident_signs, "UNPACKED_VECTORS", 8)
    monkeypatch.setattr(sign_clusters, "MIN_CLUSTERED", 30)
    monkeypatch.setattr(sign_clusters, "VECTORS_PER_CLUSTER", 8)
    monkeypatch.setattr(sign_clusters, "PROBED_SHARE", 1.0)


STEPS = st.tuples(st.sampled_from(["put", "put", "put", "remove", "read", "pack", "open"]), st.integers(0, 6))


@pytest.mark.usefixtures("small_limits")
@given(st.lists(STEPS, max_size=25))
@settings(max_examples=15)
def test_any_history_leads_to_the_results_of_a_new_index(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    path = tmp_path_factory.mktemp("index") / "index.sqlite3"
    index, present = LocalIndex(path), {}
    readers = [IndexReader(path), IndexReader(path)]
    for version, (step, number) in enumerate(steps):
        video_id = f"v{number}"
        if step == "put":
            put(index, video_id, version)
            present[video_id] = version
        elif step == "remove":
            remove(index, video_id)
            present.pop(video_id, None)
        elif step == "read":
            find(readers[0])
        elif step == "pack":
            find(readers[0])
            readers[0].pack()
        else:
            readers.append(IndexReader(path))
    fresh = LocalIndex(None)
    for video_id, version in present.items():
        put(fresh, video_id, version)
    expected = find(IndexReader(fresh.path))
    assert len(expected) == (MOMENTS * len(present) + 1 if present else 0)
    for reader in readers:
        assert sorted(find(reader)) == sorted(expected)


def test_snapshot_does_not_change(tmp_path: Path) -> None:
    index = LocalIndex(tmp_path / "index.sqlite3")
    put(index, "eggs", 1)
    reader = IndexReader(index.path)
    with reader.snapshot() as before:
        put(index, "eggs", 2)
        put(index, "yoga", 1)
        with reader.snapshot() as after:
            assert (before.size(), after.size()) == (MOMENTS, 2 * MOMENTS)
            numbers, later = before.find(Filter(), 9), after.find(Filter(video_ids=("eggs",)), 9)
            assert not set(numbers) & set(later)
            assert ["version1" in one.page_content for one in before.documents(numbers)] == [True] * MOMENTS
            assert ["version2" in one.page_content for one in after.documents(later)] == [True] * MOMENTS
        assert before.signs.nearest(np.ones(DIMENSIONS, np.float32), 99) == numbers
        assert before.frame_index is not None
        assert before.frame_index.nearest(np.ones(DIMENSIONS, np.float32), 99) == numbers


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "of another index"])
def test_file_of_signs_that_does_not_fit_is_ignored_and_written_again(tmp_path: Path, damage: str) -> None:
    index = LocalIndex(tmp_path / "index.sqlite3")
    for number in range(6):
        put(index, f"v{number}", 1)
    reader, file = IndexReader(index.path), tmp_path / "index.sqlite3.signs"
    expected = find(reader)
    assert not file.exists()
    reader.pack()
    whole = file.read_bytes()
    if damage == "of another index":
        other = LocalIndex(tmp_path / "other.sqlite3")
        for number in range(6):
            put(other, f"v{number}", 1)
        find(other_reader := IndexReader(other.path))
        other_reader.pack()
        (tmp_path / "other.sqlite3.signs").replace(file)
    else:
        file.write_bytes({"truncated": whole[:-100], "empty": b"", "garbage": b"\xff" * len(whole)}[damage])
    again = IndexReader(index.path)
    assert sorted(find(again)) == sorted(expected)
    again.pack()
    assert file.read_bytes() == whole


@pytest.mark.usefixtures("small_limits")
def test_signs_are_read_from_their_file(tmp_path: Path) -> None:
    index = LocalIndex(tmp_path / "index.sqlite3")
    for number in range(6):
        put(index, f"v{number}", 1)
    reader = IndexReader(index.path)
    find(reader)
    reader.pack()
    remove(index, "v2")
    put(index, "v3", 2)
    with IndexReader(index.path).snapshot() as snapshot:
        packed, recent = snapshot.signs.blocks
        assert (packed.moments, recent.moments) == (4 * MOMENTS, MOMENTS)
        assert packed.clusters is not None


def test_reader_of_a_replaced_index_notices_it(tmp_path: Path) -> None:
    index = LocalIndex(tmp_path / "index.sqlite3")
    put(index, "eggs", 1)
    reader = IndexReader(index.path)
    assert len(find(reader)) == MOMENTS + 1
    index.rebuild()
    with pytest.raises(IndexReplacedError):
        find(reader)
    reader.reset()
    assert find(reader) == []


def test_temporary_index_is_deleted_with_its_owner() -> None:
    index = LocalIndex(None)
    put(index, "eggs", 1)
    folder = index.path.parent
    assert len(find(IndexReader(index.path))) == MOMENTS + 1
    del index
    assert not folder.exists()
