"""Sources of a video: machines that see it under different paths, files and folders that move, and copies."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chromadb
import fsspec
import pytest
from langchain_core.tools import BaseTool

from langchain_videochat import create_video_qa_chain
from langchain_videochat.cli.stores import find_video
from langchain_videochat.errors import InputError, SourceError
from langchain_videochat.media import probe
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.store.addresses import MAX_SOURCES
from langchain_videochat.store.quotas import scan_rows
from langchain_videochat.text.agent_files import AgentFiles
from langchain_videochat.text.tools import CutClipTool, IndexVideoTool, ViewFramesTool
from tests.chroma_server import run_chroma_server
from tests.old_stores import convert_to_old_format
from tests.scripted_model import model_answering
from tests.subtitled_video import make_subtitled_video
from tests.unit_tests.embeddings import BagOfWords, make_slides

SENTENCES = ("Whisk two eggs", "Fold the omelette")


class CountingEmbeddings(BagOfWords):
    """Counts the texts that it embeds for storage; a store may also embed a short text to check the model."""

    def __init__(self) -> None:
        super().__init__()
        self.embedded: list[str] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.embedded += [text for text in texts if any(sentence in text for sentence in SENTENCES)]
        return super().embed_documents(texts)


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "subtitles.yaml"
    path.write_text("- subtitles\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one video, of two moments."""
    folder = tmp_path / "films"
    make_subtitled_video(folder / "eggs.mp4", *SENTENCES)
    return folder


@pytest.fixture
def embedding() -> CountingEmbeddings:
    return CountingEmbeddings()


@pytest.fixture
def store(tmp_path: Path, embedding: CountingEmbeddings) -> VideoTimelineStore:
    return VideoTimelineStore(tmp_path / "store", embedding=embedding)


Index = Callable[..., str]


@pytest.fixture
def index(store: VideoTimelineStore, profile: Path) -> Index:
    """Index a source, and return the status of its only video."""

    def run(source: Path, store: VideoTimelineStore = store, **options: Any) -> str:
        (video,) = store.index(source, profile=profile, show_progress=False, **options).videos
        return video.status

    return run


def addresses(store: VideoTimelineStore) -> set[str]:
    """Return the addresses of the only video that readers get, in all ways."""
    (record,) = store.videos()
    found = store.search("whisk", k=1)
    documents = [*found, *store.neighbors(found), *store.as_retriever().invoke("omelette")]
    documents += store.timeline(record.video_id).to_documents("moment")
    answer = create_video_qa_chain(model_answering("Two eggs [1]."), store).invoke("How many?")
    (citation,) = answer["citations"]
    read = {record.source, store.timeline(record.video_id).video.source, *(one.metadata["source"] for one in documents)}
    cited = [*(one.metadata["citation"] for one in documents), citation.uri]
    names = {Path(address).as_uri() for address in read}
    assert all(any(one.startswith(name) for name in names) for one in cited), cited
    return read


def titles(store: VideoTimelineStore) -> set[str]:
    """Return the titles of the only video that readers get, in all ways."""
    (record,) = store.videos()
    (found,) = store.search("whisk", k=1)
    timeline = store.timeline(record.video_id)
    return {record.title, timeline.video.title, found.metadata["title"], found.page_content.splitlines()[0]}


def stored(store: VideoTimelineStore) -> dict[str, Any]:
    """Return all that is in Chroma, except for records of runs."""
    name = store.vectorstore._collection_name
    collections = [name, f"{name}-timelines", f"{name}-catalogue"]
    rows = {one: scan_rows(store.vectorstore._client.get_collection(one)) for one in collections}
    return {one: [row for row in found if not row.id.startswith(":run:")] for one, found in rows.items()}


def test_folder_that_moved_is_followed_by_all_readers(
    store: VideoTimelineStore, embedding: CountingEmbeddings, index: Index, folder: Path
) -> None:
    assert index(folder) == "indexed"
    assert addresses(store) == {str(folder / "eggs.mp4")}
    embedded = len(embedding.embedded)
    before = stored(store)
    moved = folder.rename(folder.with_name("archive"))
    assert index(moved) == "skipped"
    assert addresses(store) == {str(moved / "eggs.mp4")}
    moved.rename(folder)
    assert index(folder) == "skipped"
    assert addresses(store) == {str(folder / "eggs.mp4")}
    assert len(embedding.embedded) == embedded > 0
    after = stored(store)
    assert [before[name] == after[name] for name in before] == [True, True, False]


def test_title_follows_a_file_that_is_renamed_and_renamed_back(
    store: VideoTimelineStore, index: Index, folder: Path
) -> None:
    index(folder)
    renamed = (folder / "eggs.mp4").rename(folder / "omelette.mp4")
    assert index(folder) == "skipped"
    assert titles(store) == {"omelette"}
    renamed.rename(folder / "eggs.mp4")
    assert index(folder) == "skipped"
    assert titles(store) == {"eggs"}


def test_another_program_sees_that_a_folder_moved(
    store: VideoTimelineStore, tmp_path: Path, index: Index, folder: Path
) -> None:
    index(folder)
    other = VideoTimelineStore(tmp_path / "store", embedding=BagOfWords())
    assert addresses(other) == {str(folder / "eggs.mp4")}
    moved = folder.rename(folder.with_name("archive"))
    index(moved)
    assert addresses(other) == {str(moved / "eggs.mp4")}


def test_copies_do_not_replace_the_address_of_a_video_until_it_is_gone(
    store: VideoTimelineStore, index: Index, folder: Path
) -> None:
    index(folder)
    copy = folder.with_name("copy.mp4")
    copy.write_bytes((folder / "eggs.mp4").read_bytes())
    assert index(copy) == "skipped"
    assert addresses(store) == {str(folder / "eggs.mp4")}
    before = stored(store)
    assert [index(copy), index(folder)] == ["skipped", "skipped"]
    assert stored(store) == before
    (folder / "eggs.mp4").unlink()
    assert addresses(store) == {str(copy)}


def test_video_keeps_its_new_address_if_another_one_is_now_at_the_old(
    store: VideoTimelineStore, index: Index, folder: Path
) -> None:
    index(folder)
    moved = (folder / "eggs.mp4").rename(folder.with_name("eggs.mp4"))
    make_subtitled_video(folder / "eggs.mp4", "Boil three eggs")
    assert index(moved) == "skipped"
    assert addresses(store) == {str(moved)}
    assert index(folder) == "indexed"
    found = {one.metadata["source"]: one.page_content for one in store.search("eggs", k=9)}
    assert found.keys() == {one.source for one in store.videos()} == {str(moved), str(folder / "eggs.mp4")}
    assert "Whisk two eggs" in found[str(moved)]
    assert "Boil three eggs" in found[str(folder / "eggs.mp4")]


def test_moved_video_that_is_refreshed_has_its_new_address(
    store: VideoTimelineStore, index: Index, folder: Path
) -> None:
    index(folder)
    moved = folder.rename(folder.with_name("archive"))
    assert index(moved, refresh=True) == "indexed"
    assert addresses(store) == {str(moved / "eggs.mp4")}


def test_number_of_sources_is_bounded_and_the_latest_is_among_them(
    store: VideoTimelineStore, index: Index, folder: Path
) -> None:
    index(folder)
    path = folder / "eggs.mp4"
    for number in range(MAX_SOURCES + 3):
        path = path.rename(folder / f"{number}.mp4")
        assert index(path) == "skipped"
    (record,) = store.videos()
    assert len(record.sources) == MAX_SOURCES
    assert addresses(store) == {str(path)}
    for number in range(3):
        path = path.rename(folder / f"again {number}.mp4")
        assert index(path, refresh=True) == "indexed"
    (record,) = store.videos()
    assert len(record.sources) == MAX_SOURCES
    assert addresses(store) == {str(path)}


def test_source_can_be_added(store: VideoTimelineStore, index: Index, folder: Path) -> None:
    store.add(make_slides("eggs", *SENTENCES))
    record = store.add_source("eggs", folder / "eggs.mp4")
    assert record.source == str(folder / "eggs.mp4")
    assert store.videos() == [record]
    assert addresses(store) == {record.source}
    assert [one.address for one in store.add_source("eggs", "https://example.org/eggs.mp4").sources] == [
        "/films/eggs.mp4",
        str(folder / "eggs.mp4"),
        "https://example.org/eggs.mp4",
    ]
    assert addresses(store) == {record.source}
    with pytest.raises(InputError, match="'yoga' is not in this store"):
        store.add_source("yoga", folder / "eggs.mp4")
    with pytest.raises(SourceError):
        store.add_source("eggs", folder / "missing.mp4")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[int]:
    with run_chroma_server(tmp_path / "server") as (port, _):
        yield port


def test_machines_that_see_a_video_under_different_paths_write_and_embed_it_once(
    server: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: Index, folder: Path
) -> None:
    embeddings = [CountingEmbeddings(), CountingEmbeddings()]
    places = [folder, folder.with_name("mounted")]
    stores = []
    for number, embedding in enumerate(embeddings):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache {number}"))
        stores.append(VideoTimelineStore(client=chromadb.HttpClient("127.0.0.1", server), embedding=embedding))

    def switch_to(machine: int) -> tuple[VideoTimelineStore, Path]:
        """Let the folder have the path under which a machine sees it."""
        if not places[machine].exists():
            places[1 - machine].rename(places[machine])
        return stores[machine], places[machine]

    store, place = switch_to(0)
    assert index(place, store) == "indexed"
    first = stored(store)
    store, place = switch_to(1)
    assert index(place, store) == "skipped"
    known = stored(store)
    assert [first[name] == known[name] for name in first] == [True, True, False]
    for machine in (0, 1, 0, 1):
        store, place = switch_to(machine)
        assert index(place, store) == "skipped"
        assert addresses(store) == {str(place / "eggs.mp4")}
    assert stored(store) == known
    assert sorted(embeddings[0].embedded) == sorted(set(embeddings[0].embedded)) != []
    assert embeddings[1].embedded == []


@pytest.mark.parametrize("others_subtitles", ["", "Beat"])
def test_machines_with_other_subtitle_files_do_not_replace_each_others_timeline_forever(
    store: VideoTimelineStore, embedding: CountingEmbeddings, index: Index, folder: Path, others_subtitles: str
) -> None:
    def write_srt(folder: Path, text: str) -> None:
        folder.joinpath("eggs.srt").write_text(f"1\n00:00:00,000 --> 00:00:01,000\n{text}\n" if text else "")

    mounted, hidden = folder.with_name("mounted"), folder.with_name("hidden")
    shutil.copytree(folder, mounted)
    write_srt(folder, "Whisk")
    if others_subtitles:
        write_srt(mounted, others_subtitles)

    def run(mine: Path, other: Path) -> str:
        """Index one folder while the other one is not on this machine."""
        other.rename(hidden)
        try:
            return index(mine)
        finally:
            hidden.rename(other)

    assert run(folder, mounted) == "indexed"
    run(mounted, folder)
    run(folder, mounted)
    embedded, before = len(embedding.embedded), stored(store)
    for _ in range(2):
        assert run(mounted, folder) == "skipped"
        assert run(folder, mounted) == "skipped"
    assert (len(embedding.embedded), stored(store)) == (embedded, before)
    # Subtitles that change are noticed.
    write_srt(folder, "Whisk well")
    assert run(folder, mounted) == "indexed"
    (record,) = store.videos()
    assert "Whisk well" in [one.text for one in store.timeline(record.video_id)]


def test_agents_tool_records_a_moved_file(store: VideoTimelineStore, index: Index, folder: Path, profile: Path) -> None:
    assert index(folder) == "indexed"
    moved = folder.rename(folder.with_name("archive"))
    tool = IndexVideoTool(store=store, files=AgentFiles(moved), profile=profile)
    message = tool.invoke({"type": "tool_call", "id": "1", "name": "index_video", "args": {"source": "eggs.mp4"}})
    assert (message.artifact["status"], message.artifact["source"]) == ("skipped", str(moved / "eggs.mp4"))
    assert addresses(store) == {str(moved / "eggs.mp4")}


def test_address_does_not_depend_on_the_current_folder(
    store: VideoTimelineStore, index: Index, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    assert index(Path(folder.name)) == "indexed"
    monkeypatch.chdir("/")
    assert addresses(store) == {str(folder / "eggs.mp4")}
    assert {one["source"] for one in store.vectorstore.get()["metadatas"]} == {str(folder / "eggs.mp4")}


def test_tools_open_the_video_from_another_folder(
    store: VideoTimelineStore, index: Index, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    assert index(Path(folder.name, "eggs.mp4")) == "indexed"
    monkeypatch.chdir("/")
    check_tools(store, folder)


def test_relative_source_of_an_earlier_version_opens_where_it_was_indexed_and_everywhere_afterwards(
    store: VideoTimelineStore, index: Index, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert index(folder) == "indexed"
    convert_to_old_format(folder.parent / "store")
    catalogue = chromadb.PersistentClient(folder.parent / "store").get_collection("videos-catalogue")
    (document,) = filter(None, catalogue.get()["documents"] or [])
    relative = document.replace(json.dumps(str(folder / "eggs.mp4")), '"films/eggs.mp4"')
    changed: dict[str, Any] = {"documents": [relative], "metadatas": [{"sources": None}], "embeddings": [[0.0]]}
    catalogue.update([store.videos()[0].video_id], **changed)
    monkeypatch.chdir(folder.parent)
    check_tools(store, folder)
    assert index(folder) == "skipped"
    monkeypatch.chdir("/")
    check_tools(store, folder)


def check_tools(store: VideoTimelineStore, folder: Path) -> None:
    """Check that an agent's tools open the only video."""
    video_id = store.videos()[0].video_id
    view = ViewFramesTool(store=store)
    seen = view.invoke(tool_call(view, video_id=video_id, times=[1]))
    assert seen.artifact["citations"] == [f"file://{folder}/eggs.mp4#t=1"]
    cut = CutClipTool(store=store, files=AgentFiles(folder))
    saved = cut.invoke(tool_call(cut, video_id=video_id, start=1, end=2, filename="whisk.mp4"))
    assert saved.artifact["citation"] == f"file://{folder}/eggs.mp4#t=1,2"
    assert probe(folder / "whisk.mp4").duration == pytest.approx(1, abs=0.1)
    (folder / "whisk.mp4").unlink()


def tool_call(tool: BaseTool, **arguments: object) -> dict[str, Any]:
    return {"type": "tool_call", "id": "1", "name": tool.name, "args": arguments}


def test_commands_find_a_deleted_video_by_its_relative_path(
    store: VideoTimelineStore, index: Index, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "eggs.mp4").rename(folder / "take 1.mp4")
    monkeypatch.chdir(folder)
    assert index(Path("take 1.mp4")) == "indexed"
    (folder / "take 1.mp4").unlink()
    assert find_video(store, "take 1.mp4") == store.videos()[0]


def test_a_video_in_an_object_store_keeps_its_address(folder: Path, profile: Path) -> None:
    system, address = fsspec.filesystem("memory"), "memory://films/2024/Boiled eggs.mp4"
    system.pipe("/films/2024/Boiled eggs.mp4", next(folder.glob("*.mp4")).read_bytes())
    store = VideoTimelineStore(embedding=BagOfWords())
    (indexed,) = store.index("memory://films/", profile=profile, show_progress=False).videos
    (skipped,) = store.index(address, profile=profile, show_progress=False).videos
    assert (indexed.status, skipped.status, indexed.source) == ("indexed", "skipped", address)
    (record,) = store.videos()
    assert (record.source, record.title, record.sidecars) == (address, "Boiled eggs", "")
    (found,) = store.search("whisk", k=1)
    assert found.metadata["citation"].startswith(f"{address}#t=")
    # A local copy is another source of the same video.
    copy = next(folder.glob("*.mp4"))
    assert [one.address for one in store.add_source(record.video_id, copy).sources] == [address, str(copy)]
    # Agents cannot open it: they would use the credentials of this machine.
    with pytest.raises(SourceError, match="file server"), AgentFiles(None, allow_urls=True).local_file(address):
        pass
    system.rm("/films", recursive=True)
