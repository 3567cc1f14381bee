"""Stores in Chroma Cloud: within its limits, without its key in any configuration, and read incrementally."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from langchain_videochat.errors import InputError, StoreError
from langchain_videochat.media import VideoInfo
from langchain_videochat.perception import Observation
from langchain_videochat.perception.frame_vectors import dump_vector
from langchain_videochat.store import VideoTimelineStore, revisions
from langchain_videochat.timeline import Timeline
from tests.chroma_cloud import API_KEY, Cloud, run_chroma_cloud
from tests.media_files import make_beeps
from tests.old_stores import put_old_record
from tests.unit_tests.embeddings import BagOfWords, SerializableWords, make_slides, make_timeline

EGGS = make_slides("eggs", "Whisk two eggs", "Heat the pan", "Fold the omelette")
YOGA = make_slides("yoga", "Stand on one leg", "Breathe in slowly")

LONG_PATH = "/films/" + "/".join(f"folder {number}" for number in range(400)) + "/talk.mp4"
FRAMES = 130
WORDS = [f"word{number}" for number in range(4000)]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with run_chroma_cloud(tmp_path_factory.mktemp("server")) as running:
        yield running


Machine = Callable[..., VideoTimelineStore]


@pytest.fixture
def machine(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Opens a store of this test on a machine with a cache folder of its own; no request may exceed a limit."""

    def open_store(name: str = "first", *, local_index: bool = True) -> VideoTimelineStore:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        return VideoTimelineStore(
            client=cloud.client(),
            embedding=BagOfWords(700),  # as wide as those of real models
            collection_name=tmp_path.name[:40],
            local_index=local_index,
        )

    cloud.rejected.clear()
    yield open_store
    assert cloud.rejected == []


def make_film() -> Timeline:
    """Return a film with frames and speech, more text on screen than a document can hold, and a long path and title."""
    numbers = np.random.default_rng(0).standard_normal((FRAMES, 768), dtype=np.float32)
    frames = [
        Observation(at, at + 1, "visual", "", source="a/model", vector=dump_vector(vector))
        for at, vector in enumerate(numbers)
    ]
    said = [Observation(at, at + 4, "speech", f"Sentence {at} is about number {at}.") for at in range(0, FRAMES, 5)]
    shown = Observation(10, 20, "screen_text", " ".join(WORDS))
    video = VideoInfo(LONG_PATH, "A long title " * 40, FRAMES, 640, 360)
    return Timeline.of(video, "film", [*frames, *said, shown])


def test_a_film_lives_within_the_limits(machine: Machine) -> None:
    film = make_film()
    store = machine()
    store.add(film, failures=[f"no objects: {'a long message ' * 200}"] * 2)
    store.add(EGGS)
    for number in range(15):
        store.add_source("film", f"https://example.org/{'copy/' * 200}{number}.mp4")
    (record, _) = store.videos()
    assert store.timeline("film").observations == film.observations
    assert 10 < len(record.sources) < 16
    assert record.sources[0].address == LONG_PATH
    assert record.sources[-1].address.endswith("/14.mp4")
    assert record.title.startswith("A long title A long title")
    assert "no objects: a long message" in record.failures
    for reader in (store, machine("second"), machine("third", local_index=False)):
        assert reader.search("Sentence 45 is about number 45", k=1)[0].metadata["hit_start"] == 45
        (found,) = reader.search(WORDS[-1], k=1)
        assert (found.metadata["hit_start"], WORDS[-1] in found.page_content) == (10, True)
        assert found.metadata["source"] == record.source
    assert machine("second").search(like=("film", 45.0), k=1)
    store.remove("film")
    assert [one.video_id for one in machine("second").videos()] == ["eggs"]
    store.remove("eggs")
    assert machine("second").search("Sentence") == []


def test_files_are_indexed_resumed_and_refreshed(machine: Machine, tmp_path: Path) -> None:
    video = make_beeps(tmp_path / f"{'beeps ' * 30}.mp4", seconds=4)
    words = " ".join(WORDS[:1000])  # of one subtitle; the moment has three
    cues = [f"{at + 1}\n00:00:0{at},000 --> 00:00:0{at + 1},000\n{at} {words}\n" for at in range(3)]
    video.with_suffix(".srt").write_text("\n".join(cues))
    profile = tmp_path / f"{'subtitles ' * 15}.yaml"
    profile.write_text("- subtitles\n")
    store = machine()
    for refresh, status in [(False, "indexed"), (False, "skipped"), (True, "indexed")]:
        report = store.index(video, profile=profile, refresh=refresh, show_progress=False)
        assert [one.status for one in report.videos] == [status]
    (record,) = store.videos()
    assert [one.text for one in store.timeline(record.video_id)] == [f"{at} {words}" for at in range(3)]
    assert store.search(WORDS[999], k=1)[0].metadata["video_id"] == record.video_id


def test_many_moments_and_leftovers_are_replaced(machine: Machine) -> None:
    store = machine()
    for word in ("old", "new"):
        store.add(make_slides("slides", *[f"{word} slide {number}" for number in range(320)], seconds=1))
    assert {one.page_content.split()[-3] for one in machine("second").search("slide", k=400)} == {"new"}
    assert len(store.vectorstore.get(limit=1, offset=319)["ids"]) == 1
    assert store.vectorstore.get(limit=1, offset=320)["ids"] == []


def test_too_long_names_are_refused(machine: Machine) -> None:
    store = machine()
    with pytest.raises(InputError, match=r"^video_id: has 65 bytes"):
        store.add(make_slides("x" * 65, "Whisk two eggs"))
    address = f"https://example.org/{'x' * 20_000}"
    with pytest.raises(InputError, match=r"^source: its address has 20,020 characters"):
        store.add(make_timeline("eggs", Observation(0, 1, "speech", "Whisk"), source=address))
    assert store.videos() == []


def test_an_exceeded_quota_is_reported(cloud: Cloud, machine: Machine) -> None:
    store = machine()
    with pytest.raises(StoreError, match="a limit of the Chroma server is exceeded"), store._connection.errors():
        store.vectorstore.get(limit=1000)
    cloud.rejected.clear()


# The key


def test_a_configuration_has_no_key(cloud: Cloud, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    store = machine()
    store.add(EGGS)
    config = VideoTimelineStore(client=cloud.client(), collection_name=store.vectorstore._collection_name).to_config()
    assert API_KEY not in json.dumps(config)
    options = {**config, "embedding": BagOfWords(700)}
    monkeypatch.delenv("CHROMA_API_KEY", raising=False)
    with pytest.raises(InputError, match=r"^CHROMA_API_KEY: is needed to open this store"):
        VideoTimelineStore.from_config(options)
    monkeypatch.setenv("CHROMA_API_KEY", "ck-wrong")
    with pytest.raises(StoreError, match="Chroma Cloud cannot be opened"):
        VideoTimelineStore.from_config(options)
    monkeypatch.setenv("CHROMA_API_KEY", API_KEY)
    assert len(VideoTimelineStore.from_config(options).search("eggs")) == 3


@pytest.mark.parametrize("host", ["example.org", "trychroma.com.example.org", "api.trychroma.com"])
def test_keys_are_sent_to_chroma_cloud_only(cloud: Cloud, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMA_API_KEY", API_KEY)
    config = VideoTimelineStore(client=cloud.client(), embedding=BagOfWords()).to_config()
    cloud_config = {**config["cloud"], "cloud_host": host}  # without SSL
    with pytest.raises(InputError, match=r"^cloud_host: API keys are sent only to hosts of Chroma Cloud"):
        VideoTimelineStore.from_config({**config, "cloud": cloud_config})


def test_a_pickled_store_opens_in_another_process(cloud: Cloud, tmp_path: Path) -> None:
    store = VideoTimelineStore(client=cloud.client(), embedding=SerializableWords(), collection_name="pickled")
    store.add(EGGS)
    pickled = pickle.dumps(store)
    assert API_KEY.encode() not in pickled
    code = "import pickle, sys; print(len(pickle.load(sys.stdin.buffer).search('eggs')))"
    environment = {**os.environ, "CHROMA_API_KEY": API_KEY, "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], input=pickled, env=environment, capture_output=True, check=True)
    assert done.stdout.split() == [b"3"]


# Incremental reading


@pytest.fixture
def no_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    """All calls are over when readers read."""
    monkeypatch.setattr(revisions, "MARGIN_MS", 0)


def slides(number: int) -> Timeline:
    return make_slides(f"video{number}", f"slide {number}")


@pytest.mark.usefixtures("no_margin")
def test_only_changed_records_are_read(cloud: Cloud, machine: Machine) -> None:
    writer, reader = machine("first"), machine("second")
    for number in range(20):
        writer.add(slides(number))
    assert len(reader.search("slide", k=30)) == 20
    writer.add(slides(20))
    writer.remove("video0")
    writer.add_source("video1", "https://example.org/one.mp4")
    before = cloud.count("get")
    found = {one.metadata["video_id"]: one.metadata["source"] for one in reader.search("slide", k=30)}
    assert cloud.count("get") - before < 15
    assert found.keys() == {f"video{number}" for number in range(1, 21)}
    assert found["video1"] == "https://example.org/one.mp4"


@pytest.mark.usefixtures("no_margin")
def test_removed_videos_can_be_saved_again(machine: Machine) -> None:
    writer, reader = machine("first"), machine("second")
    for _ in range(2):
        writer.add(EGGS)
        writer.add(YOGA)
        assert len(reader.search("eggs leg", k=9)) == 5
        writer.remove("eggs")
        assert len(reader.search("eggs leg", k=9)) == 2
        with pytest.raises(InputError, match="'eggs' is not in this store"):
            writer.remove("eggs")
    assert [one.video_id for one in reader.videos()] == ["yoga"]


@pytest.mark.usefixtures("no_margin")
def test_changes_are_seen_although_the_clock_of_the_server_is_set_back(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = machine("first"), machine("second")
    writer.add(EGGS)
    assert len(reader.search("eggs leg", k=9)) == 3
    monkeypatch.setattr(type(writer._connection.client), "heartbeat", lambda _: 10**9)
    writer.add(YOGA)
    assert len(reader.search("eggs leg", k=9)) == 5
    writer.remove("eggs")
    assert len(reader.search("eggs leg", k=9)) == 2


def test_a_call_in_flight_is_seen(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow writer's record has an earlier revision than the token that a reader already knows."""
    slow, fast, reader = machine("first"), machine("second"), machine("third")
    slow.add(slides(0))
    stamp = revisions.next_revision(0, slow._catalogue.token())
    fast.add(slides(1))
    assert len(reader.search("slide", k=9)) == 2
    monkeypatch.setattr("langchain_videochat.store.catalogue.next_revision", lambda *_: stamp)
    slow.add(slides(2))
    monkeypatch.undo()
    fast.add(slides(3))
    assert len(reader.search("slide", k=9)) == 4


@pytest.mark.usefixtures("no_margin")
def test_changes_by_an_earlier_version_are_seen(machine: Machine, cloud: Cloud) -> None:
    writer, reader = machine("first"), machine("second")
    writer.add(EGGS)
    writer.add(YOGA)
    assert len(reader.search("eggs leg", k=9)) == 5
    name = writer.vectorstore._collection_name
    catalogue = cloud.client().get_collection(f"{name}-catalogue", embedding_function=None)
    (eggs, _) = writer.videos()
    catalogue.delete(["yoga"])
    put_old_record(catalogue, eggs)
    reader = machine("second")  # The first search sees everything.
    assert {one.metadata["video_id"] for one in reader.search("eggs leg", k=9)} == {"eggs"}
    assert reader.timeline("eggs") == EGGS
    assert writer.add_source("eggs", "https://example.org/eggs.mp4").source == "https://example.org/eggs.mp4"
    writer.add(YOGA)
    assert len(reader.search("eggs leg", k=9)) == 5
