"""Lazy listing: folders, manifests, object stores, errors of single items, and what must not reach them."""

import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path

import fsspec
import pytest

from langchain_videochat.app.uploads import save_upload
from langchain_videochat.embed.media_refs import MediaRef, opened
from langchain_videochat.errors import InputError, MediaError, SourceError, VideoChatError
from langchain_videochat.media import iter_sources, list_sources, local_file, local_path
from langchain_videochat.media.storage import download_from_storage
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.agent_files import AgentFiles
from langchain_videochat.text.toolkit import VideoChatToolkit
from langchain_videochat.timeline.citation import citation
from tests.agents import tool_call
from tests.unit_tests.embeddings import BagOfWords

STORAGE = "memory://listing/films"


@pytest.fixture
def films() -> Iterator[str]:
    """A prefix of an object store with four videos, and other files."""
    system = fsspec.filesystem("memory")
    for name in ("b.mp4", "a film.MKV", "2023/c.mp4", "2024/more/d.webm", "notes.txt", ".hidden.mp4", ".trash/e.mp4"):
        system.pipe(f"/listing/films/{name}", name.encode())
    yield STORAGE
    system.rm("/listing", recursive=True)


class Errors(list[tuple[str, str]]):
    """Collects sources and the problems with them."""

    def __call__(self, source: str, error: VideoChatError) -> None:
        assert isinstance(error, SourceError)
        self.append((source, error.problem))


def write_manifest(path: Path, *lines: object) -> Path:
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in lines))
    return path


def test_a_folder_is_listed_in_the_order_of_names_folder_by_folder(tmp_path: Path) -> None:
    for name in ("b.mp4", "a/z.mp4", "a/b/c.mp4", "c/a.mp4", ".git/d.mp4", "a/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "b.mp4")
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    (tmp_path / "lost.mp4").symlink_to(tmp_path / "nowhere.mp4")
    found = list(iter_sources(tmp_path))
    assert found == [str(tmp_path / name) for name in ("a/b/c.mp4", "a/z.mp4", "b.mp4", "c/a.mp4")]
    assert found == list_sources(tmp_path)


def test_a_folder_is_not_read_before_its_videos_are_requested(tmp_path: Path) -> None:
    for name in ("a/1.mp4", "b/1.mp4"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    videos = iter_sources(tmp_path)
    assert next(videos) == str(tmp_path / "a" / "1.mp4")
    (tmp_path / "b" / "2.mp4").touch()
    assert [Path(one).name for one in videos] == ["1.mp4", "2.mp4"]


@pytest.mark.skipif(os.getuid() == 0, reason="root can read all folders")
def test_an_unreadable_subfolder_is_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "locked").mkdir(mode=0)
    assert list(iter_sources(tmp_path)) == [str(tmp_path / "a.mp4")]
    assert "locked" in caplog.text


def test_a_manifest_lists_files_and_addresses(tmp_path: Path) -> None:
    (tmp_path / "talks").mkdir()
    (tmp_path / "talks" / "a.dat").touch()
    manifest = write_manifest(
        tmp_path / "Talks.JSONL",
        {"source": "talks/a.dat", "title": "other keys are ignored"},
        "",
        {"source": "https://example.org/b.mp4"},
        {"source": (tmp_path / "talks" / "a.dat").as_uri()},
        {"source": "s3://bucket/films/c.mp4"},
    )
    expected = [str(tmp_path / "talks" / "a.dat"), "https://example.org/b.mp4", "s3://bucket/films/c.mp4"]
    assert list(iter_sources(manifest)) == list_sources(str(manifest)) == expected


def test_bad_lines_of_a_manifest_are_reported_by_number(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "more.jsonl").touch()
    manifest = write_manifest(
        tmp_path / "films.jsonl",
        {"path": "a.mp4"},
        "not JSON",
        {"source": "missing.mp4"},
        ["a.mp4"],
        {"source": 3},
        {"source": "."},
        {"source": "more.jsonl"},
        {"source": "x" * 2**20},
        "[" * 100_000,
        {"source": "a.mp4"},
    )
    errors = Errors()
    assert list(iter_sources([manifest, "missing.mp4"], on_error=errors)) == [str(tmp_path / "a.mp4")]
    lines = [(source.removeprefix(f"{manifest} line "), problem) for source, problem in errors]
    assert [number for number, _ in lines] == [*"123456789", "missing.mp4"]
    for (_, problem), expected in zip(
        lines,
        ["key", "not JSON", "no such file", "key", "key", "not a video", "not a video", "longer", "JSON", "no such"],
        strict=True,
    ):
        assert expected in problem
    with pytest.raises(SourceError, match=r"films.jsonl line 1: .*key"):
        list_sources(manifest)


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_manifest_is_an_error(content: str, tmp_path: Path) -> None:
    (tmp_path / "films.jsonl").write_text(content)
    with pytest.raises(SourceError, match="lists no video"):
        list_sources(tmp_path / "films.jsonl")


def test_a_list_continues_after_errors(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "empty").mkdir()
    errors = Errors()
    given: list[str | Path] = [tmp_path / "empty", "missing.mp4", "*.nothing", tmp_path / "a.mp4", tmp_path / "a.mp4"]
    assert list(iter_sources(given, on_error=errors)) == [str(tmp_path / "a.mp4")]
    assert [source for source, _ in errors] == [str(tmp_path / "empty"), "missing.mp4", "*.nothing"]


def test_an_iterator_may_be_endless_and_repeat_sources(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()

    def appearing() -> Iterator[Path]:
        while True:
            yield tmp_path / "a.mp4"

    assert list(islice(iter_sources(appearing()), 3)) == [str(tmp_path / "a.mp4")] * 3


def test_a_million_sources_take_the_memory_of_a_few(tmp_path: Path) -> None:
    manifest = tmp_path / "films.jsonl"
    with manifest.open("w") as file:
        file.writelines(f'{{"source": "https://example.org/films/{number}.mp4"}}\n' for number in range(200_000))
    videos = iter_sources(manifest)
    assert sum(1 for _ in islice(videos, 20_000)) == 20_000
    before = sys.getallocatedblocks()
    assert sum(1 for _ in islice(videos, 170_000)) == 170_000
    assert sys.getallocatedblocks() - before < 5_000


def test_a_prefix_of_an_object_store_is_listed(films: str) -> None:
    names = ["2023/c.mp4", "2024/more/d.webm", "a film.MKV", "b.mp4"]
    assert list(iter_sources(films)) == list(iter_sources(f"{films}/")) == [f"{films}/{name}" for name in names]
    assert list_sources([f"{films}/notes.txt", f"{films}/2023"]) == [f"{films}/notes.txt", f"{films}/2023/c.mp4"]


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        (f"{STORAGE}/missing", "no such file or folder"),
        ("memory://listing/films/.trash/", "no such file or folder|no video"),
        ("s3://bucket/films/", "needs another package"),
        ("memory://user:secret@listing/films/", "password"),
        ("memory://listing/films.zip::zip://a.mp4", "chain"),
        ("zip://a.mp4::s3://bucket/films.zip", "no such file; only"),
        ("local:///etc", "no such file; only"),
        ("github://owner:repo@/films", "no such file; only"),
    ],
)
def test_an_invalid_address_of_a_store(address: str, problem: str) -> None:
    with pytest.raises(SourceError, match=problem) as raised:
        list_sources(address)
    assert "secret" not in str(raised.value)


def test_a_video_in_an_object_store_is_downloaded_for_a_while(films: str) -> None:
    with local_file(f"{films}/a film.MKV") as path:
        assert (path.name, path.read_bytes()) == ("a film.MKV", b"a film.MKV")
    assert not path.exists()
    with pytest.raises(SourceError, match="file server"):
        local_path(f"{films}/b.mp4")


def test_downloads_are_limited(films: str, tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe("/listing/films/empty.mp4", b"")
    with pytest.raises(SourceError, match="larger than the limit"):
        download_from_storage(f"{films}/b.mp4", tmp_path / "b.mp4", max_bytes=3)
    with pytest.raises(SourceError, match="takes too long"):
        download_from_storage(f"{films}/b.mp4", tmp_path / "b.mp4", max_seconds=0)
    with pytest.raises(MediaError, match="is empty"):
        download_from_storage(f"{films}/empty.mp4", tmp_path / "b.mp4")
    with pytest.raises(SourceError, match="is a folder"), local_file(films):
        pass


def test_citations_keep_the_address() -> None:
    assert citation("s3://films/a.mp4", 3, 7) == "s3://films/a.mp4#t=3,7"


# Only people may name manifests and object stores, not agents, messages and uploads: they would be opened with the
# credentials of this machine.


def test_agents_cannot_reach_object_stores(films: str, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    for root in (None, tmp_path / "inside"):
        files = AgentFiles(root, allow_urls=True)
        with pytest.raises(SourceError), files.local_file(f"{films}/b.mp4"):
            pass
    toolkit = VideoChatToolkit(
        store=VideoTimelineStore(embedding=BagOfWords()), root_dir=tmp_path / "inside", profile="lite", allow_urls=True
    )
    (tool,) = [one for one in toolkit.get_tools() if one.name == "index_video"]
    message = tool.invoke(tool_call("index_video", source=f"{films}/b.mp4"))
    assert message.status == "error"
    assert "no such file" in message.content


def test_agents_cannot_use_manifests(tmp_path: Path) -> None:
    outside = tmp_path / "private.mp4"
    outside.write_bytes(b"private")
    root = tmp_path / "root"
    root.mkdir()
    write_manifest(root / "films.jsonl", {"source": str(outside)})
    store = VideoTimelineStore(embedding=BagOfWords())
    toolkit = VideoChatToolkit.from_folder(root, store=store, profile="lite", show_progress=False)
    assert toolkit.report is not None
    assert "contains no video" in str(toolkit.report)
    (tool,) = [one for one in toolkit.get_tools() if one.name == "index_video"]
    message = tool.invoke(tool_call("index_video", source="films.jsonl"))
    assert message.status == "error"
    assert store.videos() == []


def test_messages_cannot_reach_object_stores(films: str) -> None:
    with pytest.raises(SourceError), opened(MediaRef("video", f"{films}/b.mp4")):
        pass


@pytest.mark.parametrize("name", ["films.jsonl", "films.JSONL", "films.jsonl. "])
async def test_manifests_cannot_be_uploaded(name: str, tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"source": "s3://bucket/film.mp4"}'

    with pytest.raises(InputError, match="list of videos"):
        await save_upload(chunks(), name, tmp_path, max_bytes=1000)
    assert list(tmp_path.iterdir()) == []
