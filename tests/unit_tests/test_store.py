"""Storing, reading and removing timelines; other processes, old stores and damaged index files."""

import os
import re
import sqlite3
import threading
from itertools import pairwise
from pathlib import Path

import chromadb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_chroma import Chroma

from langchain_videochat.errors import InputError, StoreError
from langchain_videochat.media import Damage, sum_damage
from langchain_videochat.media.subtitles.sidecar_fingerprint import sidecar_fingerprint
from langchain_videochat.perception import Observation, list_modalities
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.store.addresses import VideoSource
from langchain_videochat.store.payloads import read_payloads
from langchain_videochat.store.provenance import Provenance
from langchain_videochat.store.quotas import scan_rows
from langchain_videochat.timeline import Timeline
from tests.old_stores import convert_to_old_format
from tests.unit_tests.embeddings import BagOfWords, make_slides, make_timeline

EGGS = make_slides("eggs", "Whisk two eggs", "Heat the pan", "Fold the omelette")
YOGA = make_slides("yoga", "Stand on one leg", "Breathe in slowly")


@pytest.fixture
def store() -> VideoTimelineStore:
    return VideoTimelineStore(embedding=BagOfWords())


def test_timeline_round_trip(store: VideoTimelineStore) -> None:
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
    st.sampled_from([modality.name for modality in list_modalities()]),
    st.text("ab", max_size=2),
)
STORE = VideoTimelineStore(embedding=BagOfWords(4))


@settings(max_examples=30)
@given(st.lists(observations, max_size=8), times, times)
def test_interval_of_a_stored_timeline_equals_a_slice(seen: list[Observation], first: float, second: float) -> None:
    timeline = make_timeline("v", *seen)
    STORE.add(timeline)
    start, end = sorted([first, second])
    assert STORE.timeline("v", start, end) == timeline.slice(start, end)
    assert STORE.timeline("v", start) == timeline.slice(start)
    assert STORE.timeline("v") == timeline


def test_documents_are_the_moments_of_the_timeline(store: VideoTimelineStore) -> None:
    store.add(EGGS)
    found = store.search("eggs", k=10)
    moments = list(EGGS.to_documents("moment"))
    for moment in moments:
        moment.metadata |= {"hit_start": moment.metadata["start"], "hit_end": moment.metadata["end"]}
    assert list(found[0].metadata) == sorted(found[0].metadata)
    scores = [one.metadata.pop("score") for one in found]
    assert scores == sorted(scores, reverse=True)
    assert sorted(found, key=lambda one: one.metadata["start"]) == moments


def test_videos_are_listed_in_the_order_of_storage(store: VideoTimelineStore) -> None:
    store.add(YOGA)
    store.add(EGGS)
    first, second = store.videos()
    assert (first.video_id, first.title, first.source, first.duration, first.moments) == (
        ("yoga", "yoga", "/films/yoga.mp4", 60, 2)
    )
    assert (second.video_id, second.video, second.observations) == ("eggs", EGGS.video, len(EGGS))


def test_shorter_timeline_replaces_a_longer_one(store: VideoTimelineStore) -> None:
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
        with pytest.raises(InputError, match="'eggs' is not in this store"):
            action("eggs")


def test_in_memory_stores_are_independent(store: VideoTimelineStore) -> None:
    store.add(EGGS)
    other = VideoTimelineStore(embedding=BagOfWords())
    assert other.videos() == []
    assert other.search("eggs") == []


def test_collections_of_one_directory_are_independent(tmp_path: Path) -> None:
    VideoTimelineStore(tmp_path, embedding=BagOfWords()).add(EGGS)
    other = VideoTimelineStore(tmp_path, embedding=BagOfWords(), collection_name="others")
    other.add(YOGA)
    assert [video.video_id for video in other.videos()] == ["yoga"]
    assert {one.metadata["video_id"] for one in other.search("eggs")} == {"yoga"}


def test_store_is_reopened_from_its_directory(tmp_path: Path) -> None:
    VideoTimelineStore(tmp_path, embedding=BagOfWords()).add(EGGS)
    again = VideoTimelineStore(str(tmp_path), embedding=BagOfWords())
    assert again.timeline("eggs") == EGGS
    assert "Whisk" in again.search("eggs", k=1)[0].page_content


def test_changes_by_another_program_are_visible(tmp_path: Path) -> None:
    first = VideoTimelineStore(tmp_path, embedding=BagOfWords())
    second = VideoTimelineStore(tmp_path, embedding=BagOfWords())
    first.add(EGGS)
    assert len(second.search("eggs")) == 3
    first.add(make_slides("eggs", "Boil them instead"))
    assert ["Boil" in one.page_content for one in second.search("eggs")] == [True]
    second.remove("eggs")
    assert first.search("eggs") == []


@pytest.mark.parametrize("content", [b"not a database", b"", b"SQLite format 3\0" + b"\xff" * 5000])
def test_damaged_index_file_is_rebuilt(tmp_path: Path, content: bytes) -> None:
    VideoTimelineStore(tmp_path, embedding=BagOfWords()).add(EGGS)
    for path in tmp_path.glob("videos.index.sqlite3*"):
        path.unlink()
    (tmp_path / "videos.index.sqlite3").write_bytes(content)
    again = VideoTimelineStore(tmp_path, embedding=BagOfWords())
    assert "Whisk" in again.search("eggs", k=1)[0].page_content


def test_index_file_that_is_damaged_while_open_is_rebuilt(tmp_path: Path) -> None:
    store = VideoTimelineStore(tmp_path, embedding=BagOfWords())
    store.add(EGGS)
    before = store.search("eggs")
    with sqlite3.connect(tmp_path / "videos.index.sqlite3") as database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute("DELETE FROM words_data")
    assert store.search("eggs") == before


def test_neighbors_are_the_adjacent_moments(store: VideoTimelineStore) -> None:
    store.add(EGGS)
    store.add(YOGA)
    whisk, heat, fold = EGGS.to_documents("moment")
    stand, breathe = YOGA.to_documents("moment")
    assert store.neighbors([heat]) == [whisk, fold]
    assert store.neighbors([fold, whisk]) == [heat]
    assert store.neighbors([stand, fold]) == [breathe, heat]
    assert store.neighbors([whisk, heat, fold]) == store.neighbors([]) == []


OLD_INDEX = """
DROP TABLE moments;
DROP TABLE modality_sets;
CREATE TABLE moments (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, video_id TEXT NOT NULL, start REAL NOT NULL,
    "end" REAL NOT NULL, modalities INTEGER NOT NULL
);
INSERT INTO moments VALUES (1, 'eggs:000000', 'eggs', 0, 30, 64);
PRAGMA user_version = 24657932;
"""
"""Turns an index into one of the layout that numbered modalities by position."""


@pytest.mark.parametrize(
    "script", [OLD_INDEX, "DROP TABLE moments; CREATE TABLE moments (other); PRAGMA user_version = 99"]
)
def test_index_file_of_another_version_is_rebuilt(tmp_path: Path, script: str) -> None:
    first = VideoTimelineStore(tmp_path, embedding=BagOfWords())
    first.add(EGGS)
    assert len(first.search("eggs", modalities="screen_text")) == 3
    path = tmp_path / "videos.index.sqlite3"
    with sqlite3.connect(path) as database:
        database.executescript(script)
    again = VideoTimelineStore(tmp_path, embedding=BagOfWords())
    assert len(again.search("eggs", modalities="screen_text")) == 3
    assert again.search("eggs", modalities="speech") == []


def rewrite_record(folder: Path, **changes: str | float | None) -> None:
    """Change fields in the catalogue's record of "eggs", in the format of earlier versions; None removes a field."""
    convert_to_old_format(folder)
    catalogue = chromadb.PersistentClient(folder).get_collection("videos-catalogue")
    catalogue.update(["eggs"], metadatas=[changes])


def make_old_store(folder: Path, *timelines: Timeline, complete: bool = True) -> VideoTimelineStore:
    """Store timelines in the layout of earlier versions, whose ids named no save."""
    VideoTimelineStore(folder, embedding=BagOfWords()).add(EGGS)
    client = chromadb.PersistentClient(folder)
    for timeline in timelines:
        VideoTimelineStore(folder, embedding=BagOfWords()).add(timeline)
    convert_to_old_format(folder)
    for name in ("videos", "videos-timelines"):
        collection = client.get_collection(name, embedding_function=None)
        found = collection.get(include=["documents", "metadatas", "embeddings"])
        collection.delete(found["ids"])
        ids = [re.sub(":[0-9a-f]{32}:", ":", one) for one in found["ids"]]
        collection.add(ids, found["embeddings"], found["metadatas"], found["documents"])
    catalogue = client.get_collection("videos-catalogue", embedding_function=None)
    old = {"sources": None, "save_id": None, "complete": complete, "revision": "5a3e"}
    for timeline in (EGGS, *timelines):
        catalogue.update([timeline.video_id], metadatas=[old])
    catalogue.delete([":token"])
    catalogue.modify(metadata={**(catalogue.metadata or {}), "token": "5a3e"})
    for path in folder.glob("videos.index.sqlite3*"):
        path.unlink()
    return VideoTimelineStore(folder, embedding=BagOfWords())


def stored_ids(folder: Path) -> list[str]:
    """Return the ids of all moments and pages."""
    client = chromadb.PersistentClient(folder)
    return [one for name in ("videos", "videos-timelines") for one in client.get_collection(name).get()["ids"]]


def test_record_with_the_old_field_names_is_read(tmp_path: Path) -> None:
    VideoTimelineStore(tmp_path, embedding=BagOfWords()).add(EGGS)
    rewrite_record(tmp_path, decoded_fraction=None, failures=None, readable=0.75, lacking="no speech from Speech: ...")
    store = VideoTimelineStore(tmp_path, embedding=BagOfWords())
    (video,) = store.videos()
    assert (video.decoded_fraction, video.failures) == (0.75, "no speech from Speech: ...")
    assert store.timeline("eggs") == EGGS


def test_record_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    VideoTimelineStore(tmp_path, embedding=BagOfWords()).add(EGGS, "lite")
    rewrite_record(tmp_path, damage=None, sidecars=None, stale=None)
    (video,) = VideoTimelineStore(tmp_path, embedding=BagOfWords()).videos()
    assert (video.profile, video.damage, video.sidecars, video.stale) == ("lite", "", "", False)


def test_store_of_an_earlier_version_is_read_replaced_and_emptied(tmp_path: Path) -> None:
    store = make_old_store(tmp_path, YOGA)
    assert set(stored_ids(tmp_path)) == {
        *("eggs:000000", "eggs:000001", "eggs:000002", "eggs:0", "eggs:1"),
        *("yoga:000000", "yoga:000001", "yoga:0"),
    }
    assert {one.video_id: one.sources for one in store.videos()} == {
        "eggs": (VideoSource("/films/eggs.mp4"),),
        "yoga": (VideoSource("/films/yoga.mp4"),),
    }
    assert store.timeline("eggs") == EGGS
    assert len(store.search("eggs", k=20)) == 5
    record = store.add_source("eggs", "https://example.org/eggs.mp4")
    assert store.timeline("eggs") == Timeline(record.video, "eggs", EGGS.observations)
    assert {one.metadata["source"] for one in store.search("eggs", video_id="eggs")} == {"https://example.org/eggs.mp4"}
    store.add(make_slides("eggs", "Boil them instead"))
    assert [one.text for one in store.timeline("eggs") if one.modality == "screen_text"] == ["Boil them instead"]
    assert sum(one.metadata["video_id"] == "eggs" for one in store.search("eggs", k=20)) == 1
    assert not [one for one in stored_ids(tmp_path) if re.fullmatch("eggs:[0-9]+", one)]
    store.remove("eggs")
    store.remove("yoga")
    assert stored_ids(tmp_path) == []
    assert store.search("eggs") == []


def test_video_that_an_earlier_version_left_incomplete_is_hidden_and_replaced(tmp_path: Path) -> None:
    store = make_old_store(tmp_path, complete=False)
    assert (store.videos(), store.search("eggs")) == ([], [])
    with pytest.raises(InputError, match="'eggs' is not in this store"):
        store.timeline("eggs")
    store.add(EGGS)
    assert store.timeline("eggs") == EGGS
    assert len(store.search("eggs")) == 3
    assert len(stored_ids(tmp_path)) == 5
    store = make_old_store(tmp_path, complete=False)
    store.remove("eggs")
    assert stored_ids(tmp_path) == []


def test_damage_and_failures_of_an_added_timeline_are_stored(store: VideoTimelineStore) -> None:
    damage = [
        Damage("picture", "frames cannot be decoded", 15.0),
        Damage("sound", "no sound", 30.0),
        Damage("picture", "frames cannot be decoded", 7.5),
    ]
    store.add(EGGS, "lite", damage=damage, failures=["no speech", "no caption", "no speech"])
    (video,) = store.videos()
    assert video.damage == "frames cannot be decoded (22.5 s); no sound (30.0 s)"
    assert (video.failures, video.decoded_fraction) == ("no speech; no caption", 0.75)


problems = (st.text(max_size=3) | st.text(min_size=300, max_size=400)).map("no ".__add__)
damages = st.builds(Damage, st.sampled_from(["picture", "sound"]), problems, st.integers(0, 40))


@settings(max_examples=100)
@given(st.lists(damages, max_size=40), st.lists(st.integers(0, 40), max_size=4))
def test_damage_is_described_alike_however_a_video_is_split(found: list[Damage], cuts: list[int]) -> None:
    bounds = sorted({0, *cuts, 40})
    merged = [one for start, end in pairwise(bounds) for one in sum_damage(found[start:end])]
    whole = Provenance.of(EGGS.video, "lite", found)
    assert Provenance.of(EGGS.video, "lite", merged) == whole
    assert 0 <= whole.decoded_fraction <= 1
    assert (whole.decoded_fraction < 1) == any(one.seconds for one in found if one.kind == "picture")
    assert bool(whole.damage) == bool(found)
    assert len(whole.damage) < 2500
    assert whole.damage.isprintable()


# A video's subtitle files, by what follows its name.
sidecars = st.dictionaries(st.sampled_from([".srt", ".en.srt", ".de.srt", ".vtt", ".en.vtt"]), st.binary(max_size=3))


def write_sidecars(folder: Path, name: str, contents: dict[str, bytes]) -> Path:
    """Write the subtitle files of a video, and return the path of the video."""
    for suffix, content in contents.items():
        folder.joinpath(f"{name}{suffix}").write_bytes(content)
    return folder / f"{name}.mp4"


@settings(max_examples=100, deadline=None)
@given(sidecars, sidecars)
def test_fingerprints_are_equal_only_for_equal_subtitle_files(
    tmp_path_factory: pytest.TempPathFactory, one: dict[str, bytes], other: dict[str, bytes]
) -> None:
    folders = [tmp_path_factory.mktemp("sidecars") for _ in range(2)]
    first = write_sidecars(folders[0], "talk", one)
    # The name of the video and files that are not its subtitles make no difference.
    write_sidecars(folders[0], "walk", other)
    second = write_sidecars(folders[1], "[1] a*b", other)
    assert (sidecar_fingerprint(first) == sidecar_fingerprint(second)) == (one == other)
    assert bool(sidecar_fingerprint(first)) == bool(one)


def test_fingerprint_of_unreadable_and_large_subtitle_files(tmp_path: Path) -> None:
    video = write_sidecars(tmp_path, "talk", {".srt": b"x"})
    (tmp_path / "talk.srt").unlink()
    os.mkfifo(tmp_path / "talk.srt")  # reading it would wait forever
    (tmp_path / "talk.en.srt").symlink_to("missing.srt")
    assert sidecar_fingerprint(video) == ""
    with (tmp_path / "talk.vtt").open("wb") as file:
        file.truncate(2**40)
    assert sidecar_fingerprint(video) != ""


@pytest.mark.parametrize("changes", [{"pages": None}, {"resolution": "720p"}])
def test_incompatible_record_must_be_indexed_again(tmp_path: Path, changes: dict[str, str | None]) -> None:
    VideoTimelineStore(tmp_path, embedding=BagOfWords()).add(EGGS)
    rewrite_record(tmp_path, **changes)
    with pytest.raises(StoreError, match=r"video eggs: was stored by an incompatible version.*Index it again"):
        VideoTimelineStore(tmp_path, embedding=BagOfWords()).videos()


def test_plain_vector_store_can_read_the_moments(tmp_path: Path) -> None:
    store = VideoTimelineStore(tmp_path, embedding=BagOfWords())
    store.add(EGGS)
    plain = Chroma("videos", BagOfWords(), persist_directory=str(tmp_path))
    expected = next(EGGS.to_documents("moment"))
    for vectorstore in (store.vectorstore, plain):
        (found,) = vectorstore.similarity_search("whisk two eggs", k=1)
        assert found.page_content == expected.page_content
        assert found.metadata == expected.metadata | {"modality:scene": True, "modality:screen_text": True}


def test_client_of_the_caller_is_used() -> None:
    client = chromadb.EphemeralClient()
    VideoTimelineStore(client=client, embedding=BagOfWords(), collection_name="callers-client").add(EGGS)
    assert client.get_collection("callers-client").count() == 3
    other = VideoTimelineStore(client=client, embedding=BagOfWords(), collection_name="callers-client")
    assert len(other.search("eggs")) == 3


def test_threads_can_search_while_videos_are_added(tmp_path: Path) -> None:
    store = VideoTimelineStore(tmp_path, embedding=BagOfWords())
    store.add(EGGS)
    done = threading.Event()
    unexpected: list[object] = []

    def search() -> None:
        while not done.is_set():
            try:
                found = store.search("omelette", k=1, video_id="eggs")
                unexpected.extend([] if "omelette" in found[0].page_content else found)
            except Exception as error:
                unexpected.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(5):
        store.add(make_slides(f"video-{number}", "one", "two"))
    done.set()
    for thread in threads:
        thread.join()
    assert unexpected == []
    assert len(store.search("one", k=100)) == 13


def test_collection_name_that_chroma_rejects() -> None:
    with pytest.raises(InputError, match="collection_name"):
        VideoTimelineStore(collection_name="a b", embedding=BagOfWords())


def test_directory_and_client_are_mutually_exclusive(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="client"):
        VideoTimelineStore(tmp_path, client=chromadb.EphemeralClient(), embedding=BagOfWords())


def test_directory_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file/store"):
        VideoTimelineStore(tmp_path / "file" / "store", embedding=BagOfWords())


def test_end_before_start_is_rejected(store: VideoTimelineStore) -> None:
    store.add(EGGS)
    with pytest.raises(InputError, match="end"):
        store.timeline("eggs", start=5, end=4)


def test_deleted_collection_is_reported(store: VideoTimelineStore, tmp_path: Path) -> None:
    client = chromadb.PersistentClient(tmp_path)
    store = VideoTimelineStore(client=client, embedding=BagOfWords())
    store.add(EGGS)
    client.delete_collection("videos-catalogue")
    with pytest.raises(StoreError, match="has been deleted"):
        store.search("eggs")


def test_pages_of_a_long_timeline_are_small(tmp_path: Path) -> None:
    store = VideoTimelineStore(tmp_path, embedding=BagOfWords())
    store.add(make_timeline("long", *[Observation(n, n + 1, "speech", f"word {n}") for n in range(3600)]))
    pages = chromadb.PersistentClient(tmp_path).get_collection("videos-timelines")
    contents = read_payloads(pages, scan_rows(pages)).values()
    assert len(contents) == 60
    assert all(len(content["positions"]) <= 61 for content in contents)


def test_videos_without_vectors_of_observations_are_searched_by_moment(tmp_path: Path) -> None:
    VideoTimelineStore(tmp_path, embedding=BagOfWords()).add(EGGS)
    convert_to_old_format(tmp_path)
    pages = chromadb.PersistentClient(tmp_path).get_collection("videos-timelines")
    stored = pages.get(include=["metadatas"])
    pages.update(stored["ids"], metadatas=[{"observation_vectors": ""} for _ in stored["ids"]])
    found = VideoTimelineStore(tmp_path, embedding=BagOfWords()).search("whisk two eggs", k=1)
    assert "Whisk two eggs" in found[0].page_content
