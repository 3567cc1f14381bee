"""Document loader and blob parser."""

import asyncio
import shutil
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.documents.base import Blob

from langchain_videochat import VideoChatTextLoader, VideoChatTextParser
from langchain_videochat.errors import InputError, MediaError, ModelUnavailableError, SourceError
from langchain_videochat.media import video_id
from langchain_videochat.timeline import Granularity
from tests.media_files import make_beeps
from tests.slides import render_talk

SLIDES = [["Unpack the tent", "Count 8 pegs"], ["Raise the poles"], ["Code TX-19 done"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    render_talk(folder / "tent.mp4", SLIDES)
    return folder


@pytest.fixture(scope="module")
def documents(folder: Path) -> list[Document]:
    return _loader(folder / "tent.mp4").load()


def _loader(source: object, **options: object) -> VideoChatTextLoader:
    return VideoChatTextLoader(source, profile="lite", **options)  # type: ignore[arg-type]


def _on_screen(documents: list[Document]) -> list[str]:
    return [document.page_content for document in documents if document.metadata["modality"] == "screen_text"]


def test_one_document_per_observation(documents: list[Document]) -> None:
    assert _on_screen(documents) == ["Unpack the tent", "Count 8 pegs", "Raise the poles", "Code TX-19 done"]
    starts = [document.metadata["start"] for document in documents]
    assert starts == sorted(starts)
    assert len({document.id for document in documents}) == len(documents)


def test_metadata_locates_the_observation(folder: Path, documents: list[Document]) -> None:
    path = folder / "tent.mp4"
    document = next(one for one in documents if one.page_content == "Raise the poles")
    assert document.metadata == {
        "source": str(path),
        "video_id": video_id(path),
        "start": 4.0,
        "end": 8.0,
        "modality": "screen_text",
        "citation": f"file://{path}#t=4,8",
        "title": "tent",
        "score": document.metadata["score"],
        "perceiver": "rapidocr",
        "document_id": document.id,
    }


def test_source_is_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    parsed = VideoChatTextParser(profile="lite").parse(Blob.from_path("tent.mp4"))
    for documents in (_loader("tent.mp4").load(), parsed):
        assert {one.metadata["source"] for one in documents} == {str(folder / "tent.mp4")}


def test_one_document_per_moment(folder: Path) -> None:
    documents = _loader(folder / "tent.mp4", granularity="moment").load()
    assert {document.metadata["modality"] for document in documents} == {"moment"}
    assert documents[0].page_content.splitlines() == ["tent", "On screen: Unpack the tent; Count 8 pegs"]


def test_interval_of_a_video(folder: Path) -> None:
    assert _on_screen(_loader(folder / "tent.mp4", start=4, end=8).load()) == ["Raise the poles"]


def test_documents_are_yielded_while_the_video_is_processed(tmp_path: Path) -> None:
    video = render_talk(tmp_path / "long.mp4", [[f"Slide {number}"] for number in range(12)], seconds=6.0)
    stream = _loader(video).lazy_load()
    first = next(stream)
    video.unlink()  # the open file can still be read, but not be opened again
    assert first.metadata["start"] == 0.0
    assert "Slide 11" in [document.page_content for document in stream]


def test_folders_globs_and_lists(folder: Path, documents: list[Document]) -> None:
    for source in (folder, str(folder / "*.mp4"), [folder / "tent.mp4", folder]):
        assert [one.page_content for one in _loader(source).load()] == [one.page_content for one in documents]


def test_async_loading_is_the_same(folder: Path, documents: list[Document]) -> None:
    async def load() -> list[Document]:
        return [document async for document in _loader(folder / "tent.mp4").alazy_load()]

    assert asyncio.run(load()) == documents


def test_bad_files_raise_or_are_skipped(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bad = tmp_path / "notes.mp4"
    bad.write_text("not a video")
    with pytest.raises(MediaError, match=r"notes\.mp4"):
        _loader([bad, folder]).load()
    assert "Raise the poles" in _on_screen(_loader([bad, folder], on_error="skip").load())
    assert "notes.mp4" in caplog.text


@pytest.mark.parametrize("granularity", ["observation", "moment"])
def test_damage_is_logged_with_the_name_of_the_file(
    granularity: Granularity, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    video = make_beeps(tmp_path / "beeps.mp4", seconds=2)
    (tmp_path / "beeps.srt").write_text("1\n00:01:00,000 --> 00:01:02,000\nToo late.\n")
    assert _loader(video, granularity=granularity).load()
    assert f"{video}: 1 cue starts after the end of the video" in caplog.messages


def test_errors_name_their_subject(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.mp4: no such file"):
        _loader(tmp_path / "nowhere.mp4").load()
    with pytest.raises(ModelUnavailableError, match="lite"):
        VideoChatTextLoader(folder).load()
    with pytest.raises(InputError, match="start, end"):
        _loader(folder, start=9, end=3).load()


def test_parsing_bytes_equals_parsing_a_file(folder: Path, documents: list[Document]) -> None:
    path = folder / "tent.mp4"
    blob = Blob.from_data(path.read_bytes(), path="camera/tent.mp4")
    from_bytes = VideoChatTextParser(profile="lite").parse(blob)
    assert _on_screen(from_bytes) == _on_screen(documents)
    assert {document.metadata["source"] for document in from_bytes} == {"camera/tent.mp4"}
    assert from_bytes[0].metadata["video_id"] == documents[0].metadata["video_id"]


def test_parser_works_in_the_community_loader(folder: Path, tmp_path: Path) -> None:
    community = pytest.importorskip("langchain_community.document_loaders", exc_type=ImportError)
    generic = pytest.importorskip("langchain_community.document_loaders.generic", exc_type=ImportError)
    shutil.copy(folder / "tent.mp4", tmp_path)
    blobs = community.blob_loaders.FileSystemBlobLoader(tmp_path, glob="*.mp4")
    documents = generic.GenericLoader(blobs, VideoChatTextParser(profile="lite")).load()
    assert "Code TX-19 done" in _on_screen(documents)
