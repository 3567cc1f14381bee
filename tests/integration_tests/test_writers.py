"""Several writers of one video, and readers meanwhile: a video is always whole, and nothing is left over."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import chromadb
import pytest
from chromadb import Collection

from langchain_videochat.errors import InputError
from langchain_videochat.store import VideoTimelineStore, leases, saving
from langchain_videochat.store import search as search_module
from langchain_videochat.store.index_snapshot import IndexSnapshot
from langchain_videochat.timeline import Timeline
from tests.chroma_server import run_chroma_server
from tests.unit_tests.embeddings import BagOfWords, make_slides

HANG_SECONDS = 120

SEEN_SECONDS = 1.0
"""Seconds after which a search sees what another process has written."""

QUERY = "Old First Second"


def make_version(video_id: str, word: str, moments: int) -> Timeline:
    return make_slides(video_id, *[f"{word} {number}" for number in range(moments)])


def old(video_id: str) -> Timeline:
    return make_version(video_id, "Old", 3)


def first(video_id: str) -> Timeline:
    return make_version(video_id, "First", 4)


def second(video_id: str) -> Timeline:
    return make_version(video_id, "Second", 2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with run_chroma_server(tmp_path_factory.mktemp("server")) as (port, _):
        yield port


Machines = tuple[VideoTimelineStore, VideoTimelineStore]


@pytest.fixture(params=["folder", "server"])
def machines(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    """Two stores with the same videos: in one folder, or on a server, where each has a local index of its own."""
    monkeypatch.setattr(saving, "WRITE_BATCH", 2)

    def open_store(name: str) -> VideoTimelineStore:
        if request.param == "folder":
            return VideoTimelineStore(tmp_path / "store", embedding=BagOfWords())
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        client = chromadb.HttpClient(host="127.0.0.1", port=request.getfixturevalue("server"))
        return VideoTimelineStore(client=client, embedding=BagOfWords(), collection_name=tmp_path.name)

    return open_store("first"), open_store("second")


class Pause:
    """Stops a thread before its nth call of some methods, by default those of Chroma, until it is resumed."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        paused: type = Collection,
        methods: Iterable[str] = ("get", "upsert", "update", "delete"),
    ) -> None:
        self._thread: threading.Thread | None = None
        self._calls = self._stop_at = 0
        self._reached, self._resumed = threading.Event(), threading.Event()
        for name in methods:
            monkeypatch.setattr(paused, name, self._counted(getattr(paused, name)))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            if threading.current_thread() is self._thread:
                self._calls += 1
                if self._calls == self._stop_at:
                    self._reached.set()
                    assert self._resumed.wait(HANG_SECONDS)
            return call(*arguments, **options)

        return wrapper

    def run(self, action: Callable[[], None], stop_at: int, meanwhile: Callable[[], None]) -> bool:
        """Run an action in a thread, and another while it is stopped; return whether it made so many calls."""
        errors: list[BaseException] = []

        def work() -> None:
            try:
                action()
            except BaseException as error:
                errors.append(error)
            finally:
                self._reached.set()

        self._calls, self._stop_at = 0, stop_at
        self._reached.clear()
        self._resumed.clear()
        self._thread = threading.Thread(target=work)
        self._thread.start()
        assert self._reached.wait(HANG_SECONDS)
        try:
            meanwhile()
        finally:
            self._resumed.set()
            self._thread.join(HANG_SECONDS)
        assert not self._thread.is_alive()
        assert errors == []
        return self._calls >= stop_at


@pytest.fixture
def pause(monkeypatch: pytest.MonkeyPatch) -> Pause:
    return Pause(monkeypatch)


def read(store: VideoTimelineStore, video_id: str) -> set[str]:
    """Return the versions of a video that readers see; each must be whole."""
    versions = {word: make(video_id) for word, make in (("Old", old), ("First", first), ("Second", second))}
    seen = set()
    try:
        seen.add(next(word for word, one in versions.items() if one == store.timeline(video_id)))
    except InputError:
        seen.add("none")
    found = store.search(QUERY, k=20, video_id=video_id)
    texts = sorted(one.page_content for one in found)
    of_versions = {word: sorted(one.text for one in version.moments()) for word, version in versions.items()}
    return seen | {next(word for word, one in (of_versions | {"none": []}).items() if one == texts)}


def leftovers(store: VideoTimelineStore, video_id: str) -> list[str]:
    """Return what is stored of a video, and does not belong to its record."""
    records = [one for one in store.videos() if one.video_id == video_id]
    client, name = store.vectorstore._client, store.vectorstore._collection_name
    stored = {each: client.get_collection(each).get()["ids"] for each in (name, f"{name}-timelines")}
    ids = [one for found in stored.values() for one in found if one.startswith(f"{video_id}:")]
    assert sum(one.moments + one.pages for one in records) == sum(
        one.save_id in each for each in ids for one in records
    )
    rest = [one for one in ids if not any(record.save_id in one for record in records)]
    marks = client.get_collection(f"{name}-timelines").get(where={"lease_on": video_id})["ids"]
    return [*rest, *marks]


def act(action: str, store: VideoTimelineStore, video_id: str) -> Callable[[], None]:
    versions = {"save first": first, "save second": second}
    return lambda: store.remove(video_id) if action == "remove" else store.add(versions[action](video_id))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("machines", "lease_seconds"), [("folder", 600.0), ("server", 600.0), ("server", 0.0)], indirect=["machines"]
)
@pytest.mark.parametrize(
    ("stopped", "meanwhile", "expected"),
    [
        ("save first", "save second", {"First", "Second"}),
        ("save first", "remove", {"First", "none"}),
        ("remove", "save second", {"Second", "none"}),
    ],
)
def test_writer_that_pauses_anywhere_and_another_one(
    machines: Machines,
    pause: Pause,
    monkeypatch: pytest.MonkeyPatch,
    stopped: str,
    meanwhile: str,
    expected: set[str],
    lease_seconds: float,
) -> None:
    monkeypatch.setattr(leases, "LEASE_SECONDS", lease_seconds)
    one, other = machines
    position, is_paused = 0, True
    while is_paused:
        position += 1
        video_id = f"v{position}"
        one.add(old(video_id))
        assert read(other, video_id) == {"Old"}
        is_paused = pause.run(act(stopped, one, video_id), position, act(meanwhile, other, video_id))
        seen = read(one, video_id)
        assert len(seen) == 1
        assert seen <= expected
        assert read(other, video_id) == seen
        assert leftovers(one, video_id) == [], position
    assert position > 8


def test_readers_see_a_whole_version_at_each_step(machines: Machines, pause: Pause) -> None:
    one, other = machines
    seen: list[set[str]] = []
    position, is_paused = 0, True
    while is_paused:
        position += 1
        video_id = f"v{position}"
        one.add(old(video_id))
        action = act("save first", one, video_id)
        is_paused = pause.run(action, position, lambda video_id=video_id: seen.append(read(other, video_id)))  # type: ignore[misc]
        assert read(other, video_id) == {"First"}
    assert seen[0] == {"Old"}
    assert seen[-1] == {"First"}
    assert all(len(one) == 1 and one < {"Old", "First"} for one in seen)


def test_readers_that_pause_while_a_video_is_replaced_or_removed(machines: Machines, pause: Pause) -> None:
    one, other = machines
    for meanwhile, expected in (("save second", {"Old", "Second"}), ("remove", {"Old", "none"})):
        position, is_paused = 0, True
        while is_paused:
            position += 1
            video_id = f"{meanwhile}-{position}".replace(" ", "-")
            one.add(old(video_id))
            seen: list[set[str]] = []
            action = lambda video_id=video_id, seen=seen: seen.append(read(other, video_id))  # noqa: E731
            is_paused = pause.run(action, position, act(meanwhile, one, video_id))
            assert seen[0] <= expected
            assert read(other, video_id) == expected - {"Old"}


def test_readers_that_pause_while_another_reader_updates_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = ("size", "find", "vectors", "count_phrase", "find_phrase", "moments")
    pause = Pause(monkeypatch, IndexSnapshot, methods)
    one, other = (VideoTimelineStore(tmp_path, embedding=BagOfWords()) for _ in range(2))
    position, is_paused = 0, True
    while is_paused:
        position += 1
        video_id = f"v{position}"
        one.add(old(video_id))
        one.add(make_slides(f"later-{position}", "Old"))  # its moments have higher numbers in the index
        assert read(other, video_id) == {"Old"}
        seen: list[set[str]] = []
        action = lambda video_id=video_id, seen=seen: seen.append(read(other, video_id))  # noqa: E731

        def replace_and_read(video_id: str = video_id) -> None:
            one.add(second(video_id))
            assert read(one, video_id) == {"Second"}

        is_paused = pause.run(action, position, replace_and_read)
        assert seen[0] <= {"Old", "Second"}, position


class WaitingEmbeddings(BagOfWords):
    """Waits before it embeds a text with the word "last"."""

    def __init__(self) -> None:
        super().__init__()
        self.waits, self.resumed = threading.Event(), threading.Event()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if any("last" in text for text in texts):
            self.waits.set()
            assert self.resumed.wait(HANG_SECONDS)
        return super().embed_documents(texts)


def test_search_among_many_moments_is_complete_while_they_are_saved_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module, "EXACT_LIMIT", 10)  # Chroma's index is used from here on
    reader, embedding = VideoTimelineStore(tmp_path, embedding=BagOfWords()), WaitingEmbeddings()
    writer = VideoTimelineStore(tmp_path, embedding=embedding)
    timeline = make_slides("eggs", *[f"egg {number}" for number in range(200)], "last")
    reader.add(timeline)
    before = reader.search("egg", k=20)
    threads = [threading.Thread(target=writer.add, args=[timeline]) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert embedding.waits.wait(HANG_SECONDS)
    assert reader.search("egg", k=20) == before
    embedding.resumed.set()
    for thread in threads:
        thread.join(HANG_SECONDS)
    assert len(reader.search("egg", k=500)) >= len(before)
    assert leftovers(reader, "eggs") == []


def test_failed_save_leaves_nothing_behind(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    upsert = chromadb.Collection.upsert

    def interrupted_upsert(self: chromadb.Collection, *arguments: Any, **records: Any) -> None:
        if any(text.endswith("On screen: First 2") for text in records.get("documents") or []):  # a moment
            raise KeyboardInterrupt
        upsert(self, *arguments, **records)

    one, other = machines
    one.add(old("eggs"))
    with monkeypatch.context() as patch:
        patch.setattr(chromadb.Collection, "upsert", interrupted_upsert)
        with pytest.raises(KeyboardInterrupt):
            one.add(first("eggs"))
    assert read(other, "eggs") == {"Old"}
    assert leftovers(other, "eggs") == []


SAVE_AND_DIE = """
import os, signal, sys
from chromadb.api.models.Collection import Collection
from langchain_videochat.store import VideoTimelineStore, saving
from tests.unit_tests.embeddings import BagOfWords, make_slides

upsert = Collection.upsert

def deadly_upsert(self, *arguments, **records):
    if any("On screen: First 3" in text for text in records.get("documents") or []):  # the text of a moment
        os.kill(os.getpid(), signal.SIGKILL)
    return upsert(self, *arguments, **records)

Collection.upsert = deadly_upsert
saving.WRITE_BATCH = 1
timeline = make_slides("eggs", *[f"First {number}" for number in range(4)])
VideoTimelineStore(sys.argv[1], embedding=BagOfWords()).add(timeline)
"""


def test_leftovers_of_a_killed_save_are_ignored_and_deleted_when_its_lease_has_expired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = VideoTimelineStore(tmp_path, embedding=BagOfWords())
    store.add(old("eggs"))
    killed = subprocess.run([sys.executable, "-c", SAVE_AND_DIE, str(tmp_path)], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert read(store, "eggs") == {"Old"}
    assert len(leftovers(store, "eggs")) == 3 + 2 + 1  # moments, pages and the lease
    store.add(second("eggs"))
    assert read(store, "eggs") == {"Second"}
    assert len(leftovers(store, "eggs")) == 3 + 2 + 1
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.0)
    store.add(old("eggs"))
    assert read(store, "eggs") == {"Old"}
    assert leftovers(store, "eggs") == []


SAVE = """
import sys
from langchain_videochat.store import VideoTimelineStore
from tests.unit_tests.embeddings import BagOfWords, make_slides

store = VideoTimelineStore(sys.argv[1], embedding=BagOfWords())
store.add(make_slides("eggs", *[f"Second {number}" for number in range(2)]))
store.add(make_slides("yoga", "Breathe"))
"""


def test_changes_by_another_process_are_visible(tmp_path: Path) -> None:
    store = VideoTimelineStore(tmp_path, embedding=BagOfWords())
    store.add(old("eggs"))
    assert read(store, "eggs") == {"Old"}
    subprocess.run([sys.executable, "-c", SAVE, str(tmp_path)], check=True)
    time.sleep(SEEN_SECONDS)
    assert read(store, "eggs") == {"Second"}
    assert store.search("breathe", k=1)[0].metadata["video_id"] == "yoga"
