"""Valid and invalid sources."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_videochat.errors import MediaError, SourceError
from langchain_videochat.media import list_sources, local_file, video_id
from langchain_videochat.media.sources import safe_file_name
from tests.media_files import STRANGE_NAMES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    names = ["b.mp4", "a.MKV", "notes.txt", "sub/c.webm", ".hidden.mp4", ".git/d.mp4", *STRANGE_NAMES]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def test_a_folder_yields_its_visible_videos_sorted(folder: Path) -> None:
    expected = sorted(folder / name for name in ["b.mp4", "a.MKV", "sub/c.webm", *STRANGE_NAMES])
    assert list_sources(folder) == [str(path) for path in expected]


def test_a_glob_pattern_yields_videos_only(folder: Path) -> None:
    assert list_sources(str(folder / "**" / "[a-c].*")) == [
        str(folder / name) for name in ("a.MKV", "b.mp4", "sub/c.webm")
    ]


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_an_existing_file_is_never_taken_for_a_pattern_or_address(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert list_sources(name) == [name]
    address = (folder / name).as_uri()
    assert list_sources(address) == [address]
    for source in (name, address, folder / name):
        with local_file(source) as path:
            assert path == folder / name


def test_a_list_keeps_its_order_without_duplicates(folder: Path) -> None:
    file, page = str(folder / "b.mp4"), "HTTPS://example.org/a.mp4?x=[1]"
    given_sources: list[str | Path] = [
        page,
        file,
        Path(file),
        folder / "sub" / ".." / "b.mp4",
        Path(file).as_uri(),
        folder / "sub",
        page,
    ]
    assert list_sources(given_sources) == [page, file, str(folder / "sub" / "c.webm")]


def test_a_file_given_by_name_may_have_any_suffix(folder: Path) -> None:
    assert list_sources(folder / "notes.txt") == [str(folder / "notes.txt")]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("missing.mp4", "no such file"),
        ("missing: part 2.mp4", "no such file"),
        ("file:///missing.mp4", "no such file"),
        ("rtsp://example.org/live", "only http:, https: and file:"),
        ("concat:b.mp4|a.MKV", "only http:, https: and file:"),
        ("subfile,,start,0,end,9,,:b.mp4", "no such file"),
        ("file://elsewhere/b.mp4", "another machine"),
        ("file:", "not the address of a file"),
        ("b.mp4\0.txt", "NUL"),
        ("file:///b.mp4%00.txt", "not the address of a file"),
        ("", "empty"),
        ([], "no video given"),
        ("*.ogv", "no video matches"),
        (".git", "no such file"),
    ],
)
def test_invalid_source(source: str | list[str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=problem):
        list_sources(source)


def test_a_folder_without_videos(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(SourceError, match="no video"):
        list_sources(folder / "empty")


@given(st.text(max_size=12))
def test_any_missing_path_is_a_source_error(text: str) -> None:
    with pytest.raises(SourceError, match="nowhere"):
        list_sources("/nowhere/" + text)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(MediaError, match="is empty"), local_file(tmp_path / "empty.mp4"):
        pass


def test_only_regular_files_are_accepted(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for source in (tmp_path, tmp_path / "pipe.mp4", Path("/dev/zero")):
        with pytest.raises(SourceError, match="not a regular file"), local_file(source):
            pass


def test_a_local_file_is_not_moved(folder: Path) -> None:
    with local_file(folder / "b.mp4") as path:
        assert path.is_absolute()
    assert path.read_bytes() == b"b.mp4"


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/a.mp4", "http://localhost/a.mp4", "http://[::1]/a.mp4"])
def test_a_private_address_is_refused(address: str) -> None:
    with pytest.raises(SourceError, match="refused"), local_file(address):
        pass


@pytest.mark.parametrize("name", ["चाबी कहाँ.mp4", "ใส่กุญแจ.mp4", "می\u200cرود.mp4", "Cre\u0300me.mp4"])
def test_names_of_files_keep_the_marks_of_their_letters(name: str) -> None:
    assert safe_file_name(f"../a/{name}") == f"_a_{name}"


def test_video_id_depends_on_the_content(folder: Path) -> None:
    before = video_id(folder / "b.mp4")
    assert before == video_id((folder / "b.mp4").rename(folder / "z.mp4")) != video_id(folder / "a.MKV")
    # First digits of `printf b.mp4 | sha256sum`.
    assert before == "db0f8b31c197bd80"
    with pytest.raises(SourceError, match="web address"):
        video_id("https://example.org/a.mp4")
