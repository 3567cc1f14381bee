"""Storing, reading and removing timelines; what another process or a broken index file does to it."""

import json
import sqlite3
import threading
from pathlib import Path

import chromadb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_chroma import Chroma

from langchain_videochat.errors import InputError, StoreError
from langchain_videochat.perception import MODALITIES, Observation
from langchain_videochat.store import VideoTimelineStore
from tests.unit_tests.embeddings import BagOfWords, make_slides, make_timeline

EGGS = make_slides("eggs", "Whisk two eggs", "Heat the pan", "Fold the omelette")
YOGA = make_slides("yoga", "Stand on one leg", "Breathe in slowly")


@pytest.fixture
def store() -> VideoTimelineStore:
    return VideoTimelineStore(embedding=BagOfWords())


def test_timeline_comes_back_as_it_was_stored(store: VideoTimelineStore) -> None:
    observation = Observation(
        1.25, 61.5, "object", "Ei 鸡蛋 \n x", score=0.5, box=(0, 0.1, 0.2, 1), language="de", source="m"
    )
    timeline = make_timeline("eggs", observation, Observation(0, 0, "speech", "", score=0.0), duration=300)
    store.add(timeline)
    assert store.timeline("eggs") == timeline


times = st.floats(0, 400)
observations = st.builds(
    lambda first, second, modality, text: Observation(min(first, second), max(first, second), modality, text),
    times,
    times,
    st.sampled_from(MODALITIES),
    st.text("ab", max_size=2),
)
STORE = VideoTimelineStore(embedding=BagOfWords(4))


@settings(max_examples=30)
@given(st.lists(observations, max_size=8), times, times)
def test_stretch_of_stored_timeline_equals_stretch_of_timeline(
    seen: list[Observation], first: float, second: float
) -> None:
    timeline = make_timeline("v", *seen)
    STORE.add(timeline)
    start, end = sorted([first, second])
    assert STORE.timeline("v", start, end) == timeline.slice(start, end)
    assert STORE.timeline("v", start) == timeline.slice(start)
    assert STORE.timeline("v") == timeline


def test_documents_are_the_moments_of_the_timeline(store: VideoTimelineStore) -> None:
    store.add(EGGS)
    found = store.search("eggs", k=10)
    assert sorted(found, key=lambda one: one.metadata["start"]) == list(EGGS.to_documents("moment"))
    assert list(found[0].metadata) == sorted(found[0].metadata)


def test_stored_videos_are_listed_in_order(store: VideoTimelineStore) -> None:
    store.add(YOGA)
    store.add(EGGS)
    first, second = store.videos()
    assert (first.video_id, first.title, first.source, first.duration, first.moments) == (
        ("yoga", "yoga", "/films/yoga.mp4", 60, 2)
    )
    assert (second.video_id, second.video, second.observations) == ("eggs", EGGS.video, len(EGGS))


def test_shorter_timeline_takes_the_place_of_a_longer_one(store: VideoTimelineStore) -> None:
    store.add(make_slides("eggs", *[f"slide {number}" for number in range(10)]))
    store.add(EGGS)
    assert store.timeline("eggs") == EGGS
    assert [video.moments for video in store.videos()] == [3]
    assert len(store.search("slide", k=20)) == 3
    assert len(store.vectorstore.get()["ids"]) == 3


def test_removed_video_is_gone(store: VideoTimelineStore) -> None:
    store.add(EGGS)
    store.add(YOGA)
    store.remove("eggs")
    assert [video.video_id for video in store.videos()] == ["yoga"]
    assert {one.metadata["video_id"] for one in store.search("eggs", k=10)} == {"yoga"}
    assert len(store.vectorstore.get()["ids"]) == 2
    for action in (store.timeline, store.remove):
        with pytest.raises(InputError, match="'eggs' is no video of this store"):
            action("eggs")


def test_stores_in_memory_do_not_see_each_other(store: VideoTimelineStore) -> None:
    store.add(EGGS)
    other = VideoTimelineStore(embedding=BagOfWords())
    assert other.videos() == []
    assert other.search("eggs") == []


def test_collections_of_one_directory_do_not_see_each_other(tmp_path: Path) -> None:
    VideoTimelineStore(tmp_path, embedding=BagOfWords()).add(EGGS)
    other = VideoTimelineStore(tmp_path, embedding=BagOfWords(), collection_name="others")
    other.add(YOGA)
    assert [video.video_id for video in other.videos()] == ["yoga"]
    assert {one.metadata["video_id"] for one in other.search("eggs")} == {"yoga"}


def test_store_is_found_again_in_its_directory(tmp_path: Path) -> None:
    VideoTimelineStore(tmp_path, embedding=BagOfWords()).add(EGGS)
    again = VideoTimelineStore(str(tmp_path), embedding=BagOfWords())
    assert again.timeline("eggs") == EGGS
    assert "Whisk" in again.search("eggs", k=1)[0].page_content


def test_change_made_by_another_program_is_seen(tmp_path: Path) -> None:
    first = VideoTimelineStore(tmp_path, embedding=BagOfWords())
    second = VideoTimelineStore(tmp_path, embedding=BagOfWords())
    first.add(EGGS)
    assert len(second.search("eggs")) == 3
    first.add(make_slides("eggs", "Boil them instead"))
    assert ["Boil" in one.page_content for one in second.search("eggs")] == [True]
    second.remove("eggs")
    assert first.search("eggs") == []


@pytest.mark.parametrize("content", [b"no database", b"", b"SQLite format 3\0" + b"\xff" * 5000])
def test_broken_index_file_is_rebuilt(tmp_path: Path, content: bytes) -> None:
    VideoTimelineStore(tmp_path, embedding=BagOfWords()).add(EGGS)
    for path in tmp_path.glob("videos.index.sqlite3*"):
        path.unlink()
    (tmp_path / "videos.index.sqlite3").write_bytes(content)
    again = VideoTimelineStore(tmp_path, embedding=BagOfWords())
    assert "Whisk" in again.search("eggs", k=1)[0].page_content


def test_index_file_that_breaks_while_in_use_is_rebuilt(tmp_path: Path) -> None:
    store = VideoTimelineStore(tmp_path, embedding=BagOfWords())
    store.add(EGGS)
    before = store.search("eggs")
    with sqlite3.connect(tmp_path / "videos.index.sqlite3") as database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute("DELETE FROM words_data")
    assert store.search("eggs") == before


def test_neighbours_are_the_moments_beside_others(store: VideoTimelineStore) -> None:
    store.add(EGGS)
    store.add(YOGA)
    whisk, heat, fold = EGGS.to_documents("moment")
    stand, breathe = YOGA.to_documents("moment")
    assert store.neighbours([heat]) == [whisk, fold]
    assert store.neighbours([fold, whisk]) == [heat]
    assert store.neighbours([stand, fold]) == [breathe, heat]
    assert store.neighbours([whisk, heat, fold]) == store.neighbours([]) == []


def test_index_file_of_another_version_is_rebuilt(tmp_path: Path) -> None:
    VideoTimelineStore(tmp_path, embedding=BagOfWords()).add(EGGS)
    path = tmp_path / "videos.index.sqlite3"
    with sqlite3.connect(path) as database:
        database.executescript("DROP TABLE moments; CREATE TABLE moments (other); PRAGMA user_version = 99")
    assert len(VideoTimelineStore(tmp_path, embedding=BagOfWords()).search("eggs")) == 3


def test_plain_vector_store_reads_the_moments(tmp_path: Path) -> None:
    store = VideoTimelineStore(tmp_path, embedding=BagOfWords())
    store.add(EGGS)
    plain = Chroma("videos", BagOfWords(), persist_directory=str(tmp_path))
    expected = next(EGGS.to_documents("moment"))
    for vectorstore in (store.vectorstore, plain):
        (found,) = vectorstore.similarity_search("whisk two eggs", k=1)
        assert (found.page_content, found.metadata) == (expected.page_content, expected.metadata)


def test_users_client_is_used() -> None:
    client = chromadb.EphemeralClient()
    VideoTimelineStore(client=client, embedding=BagOfWords(), collection_name="users-client").add(EGGS)
    assert client.get_collection("users-client").count() == 3
    other = VideoTimelineStore(client=client, embedding=BagOfWords(), collection_name="users-client")
    assert len(other.search("eggs")) == 3


def test_threads_may_search_while_videos_are_added(tmp_path: Path) -> None:
    store = VideoTimelineStore(tmp_path, embedding=BagOfWords())
    store.add(EGGS)
    done = threading.Event()
    wrong: list[object] = []

    def search() -> None:
        while not done.is_set():
            try:
                found = store.search("omelette", k=1, video_id="eggs")
                wrong.extend([] if "omelette" in found[0].page_content else found)
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(5):
        store.add(make_slides(f"video-{number}", "one", "two"))
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(store.search("one", k=100)) == 13


def test_collection_name_that_chroma_refuses() -> None:
    with pytest.raises(InputError, match="collection_name"):
        VideoTimelineStore(collection_name="a b", embedding=BagOfWords())


def test_directory_and_client_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="client"):
        VideoTimelineStore(tmp_path, client=chromadb.EphemeralClient(), embedding=BagOfWords())


def test_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file/store"):
        VideoTimelineStore(tmp_path / "file" / "store", embedding=BagOfWords())


def test_end_before_start_is_refused(store: VideoTimelineStore) -> None:
    store.add(EGGS)
    with pytest.raises(InputError, match="end"):
        store.timeline("eggs", start=5, end=4)


def test_deleted_collection_is_told(store: VideoTimelineStore, tmp_path: Path) -> None:
    client = chromadb.PersistentClient(tmp_path)
    store = VideoTimelineStore(client=client, embedding=BagOfWords())
    store.add(EGGS)
    client.delete_collection("videos-catalogue")
    with pytest.raises(StoreError, match="has been deleted"):
        store.search("eggs")


def test_record_of_a_long_timeline_is_small(tmp_path: Path) -> None:
    store = VideoTimelineStore(tmp_path, embedding=BagOfWords())
    store.add(make_timeline("long", *[Observation(n, n + 1, "speech", f"word {n}") for n in range(3600)]))
    pages = chromadb.PersistentClient(tmp_path).get_collection("videos-timelines").get(include=["documents"])
    assert len(pages["ids"]) == 60
    assert all(len(json.loads(document)[0]) <= 61 for document in pages["documents"] or [])
