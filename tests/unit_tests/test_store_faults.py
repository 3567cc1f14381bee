"""Stores on a full disk, with a damaged database, or in a directory that is deleted while they are open."""

import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import chromadb
import pytest
from langchain_chroma import Chroma
from starlette.testclient import TestClient
from typer.testing import CliRunner

from langchain_videochat import VideoTimelineStore
from langchain_videochat.app import Collection, create_app
from langchain_videochat.cli import app
from langchain_videochat.errors import StoreError
from langchain_videochat.store import database_lock
from langchain_videochat.timeline import Timeline
from tests.media_files import make_beeps
from tests.unit_tests.embeddings import BagOfWords, make_slides
from tests.unit_tests.test_page_server import finished_jobs

ATTEMPTS = 30
TIMEOUT = 300
DAMAGED = "the database is damaged .*Restore it from a backup, or index again into a new directory"
REPLACED = "the directory was deleted, replaced or moved while the store was open. Open the store again"

EGGS = make_slides("eggs", "Whisk two eggs", "Heat the pan")


def open_store(directory: Path | str) -> VideoTimelineStore:
    return VideoTimelineStore(directory, embedding=BagOfWords())


def make_long(number: int) -> Timeline:
    return make_slides(f"video{number}", *[f"word{number} {moment} " + "x" * 3000 for moment in range(50)])


def in_process(function: Callable[[Path], None], directory: Path) -> None:
    """Run a function in a process of its own: when Chroma waits forever, no thread of its process can run."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=(directory,))
    process.start()
    process.join(TIMEOUT)
    hangs = process.is_alive()
    process.kill()
    process.join()
    assert not hangs
    assert process.exitcode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 16 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16M", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not permitted")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def fill(disk: Path, *, free: int) -> None:
    (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - free))


def add_many(store: VideoTimelineStore) -> set[int]:
    """Add videos until many were refused; return the numbers of those that were not."""
    added, failures, number = set(), 0, 0
    while failures < ATTEMPTS:
        number += 1
        try:
            store.add(make_long(number))
            added.add(number)
        except StoreError as error:
            assert "disk" in str(error)  # noqa: PT017
            failures += 1
    return added


def check_contents(store: VideoTimelineStore, added: set[int]) -> None:
    """Check that all videos that were added are in a store, and that all videos in it are complete."""
    found = {int(one.video_id.removeprefix("video")) for one in store.videos()}
    assert found >= added
    for number in found:
        assert store.timeline(f"video{number}") == make_long(number)
        assert len(store.search(f"word{number}", k=100, video_id=f"video{number}")) == 50


def use_full_disk(disk: Path) -> None:
    store, other = open_store(disk / "store"), open_store(disk / "store")
    added = add_many(store)
    assert added
    # Searching may need space too, for the local index.
    assert len(other.videos()) >= len(added)
    assert other.timeline("video1") == make_long(1)
    resize(disk, "100M")
    for one in (store, other, open_store(disk / "store")):
        check_contents(one, added)
    store.add(make_long(1000))
    check_contents(other, {*added, 1000})


def use_limited_files(directory: Path) -> None:
    """Let Chroma itself fail, as it does when other programs take the free space that was checked."""
    store, other = open_store(directory / "store"), open_store(directory / "store")
    store.add(make_long(1000))
    size = (directory / "store" / "chroma.sqlite3").stat().st_size
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 2**16, unlimited[1]))
    added = add_many(store)
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    check_contents(other, {*added, 1000})
    store.add(make_long(1001))
    check_contents(other, {*added, 1000, 1001})


def test_full_disk(small_disk: Path) -> None:
    in_process(use_full_disk, small_disk)


def test_disk_that_becomes_full_during_writes(tmp_path: Path) -> None:
    in_process(use_limited_files, tmp_path)


def test_page_continues_after_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    store = open_store(small_disk / "store")
    (tmp_path / "quick.yaml").write_text("- subtitles\n- scenes\n")
    films = tmp_path / "films"
    films.mkdir()
    page = create_app(Collection(store, films), {}, profile=str(tmp_path / "quick.yaml"))
    client = TestClient(page, base_url="http://localhost")
    fill(small_disk, free=2**20)
    video = make_beeps(tmp_path / "beeps.mp4", seconds=2).read_bytes()

    client.put("/api/uploads/beeps.mp4", content=video)
    (failed,) = finished_jobs(client)
    (small_disk / "filler").unlink()
    client.put("/api/uploads/again.mp4", content=video + b"\0")
    jobs = finished_jobs(client)

    assert "the disk is full: 1.0 MB are free" in failed["error"]
    assert [job["status"] for job in jobs if job["name"] == "again.mp4"] == ["done"]


def write_noise(file: Path) -> None:
    file.write_bytes(os.urandom(file.stat().st_size))


def keep_header(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:100] + os.urandom(len(data) - 100))


def keep_first_page(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:4096] + os.urandom(len(data) - 4096))


def keep_first_quarter(file: Path) -> None:
    data = file.read_bytes()
    start = len(data) // 4096 // 4 * 4096
    file.write_bytes(data[:start] + os.urandom(len(data) - start))


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def truncate(file: Path) -> None:
    os.truncate(file, 0)


DAMAGES = [write_noise, keep_header, keep_first_page, keep_first_quarter, cut, truncate]


def use(store: VideoTimelineStore) -> None:
    """Read and write all of a store."""
    store.videos()
    store.search("eggs")
    store.timeline("eggs")
    store.add(EGGS)


def write_eggs(directory: Path) -> None:
    open_store(directory).add(EGGS)


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a store that no process has open."""
    directory = tmp_path_factory.mktemp("backup") / "store"
    in_process(write_eggs, directory)
    return directory


@pytest.mark.parametrize("damage", [*DAMAGES, Path.unlink])
def test_damaged_database_is_reported(tmp_path: Path, backup: Path, damage: Callable[[Path], None]) -> None:
    shutil.copytree(backup, tmp_path / "store")
    damage(tmp_path / "store" / "chroma.sqlite3")

    for _ in range(3):
        with pytest.raises(StoreError, match=DAMAGED) as error:
            use(open_store(tmp_path / "store"))
        assert len(str(error.value).splitlines()) == 1

    shutil.copy(backup / "chroma.sqlite3", tmp_path / "store")
    use(open_store(tmp_path / "store"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_database_that_is_damaged_while_open_is_reported(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    store = open_store(tmp_path / "store")
    store.add(EGGS)
    damage(tmp_path / "store" / "chroma.sqlite3")

    for _ in range(ATTEMPTS):
        with pytest.raises(StoreError, match=DAMAGED):
            use(store)


def test_empty_file_is_a_new_store(tmp_path: Path) -> None:
    (tmp_path / "chroma.sqlite3").touch()
    store = open_store(tmp_path)
    assert store.videos() == []
    store.add(EGGS)
    use(store)


def test_command_reports_a_damaged_database_in_one_line(tmp_path: Path, backup: Path) -> None:
    shutil.copytree(backup, tmp_path, dirs_exist_ok=True)
    truncate(tmp_path / "chroma.sqlite3")
    result = CliRunner().invoke(app, ["videos", "--store", str(tmp_path)])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path}: the database is damaged (chroma.sqlite3 is empty).")


@pytest.mark.parametrize("is_made_again", [False, True])
def test_deleted_directory_is_reported(tmp_path: Path, is_made_again: bool) -> None:
    directory = tmp_path / "store"
    store = open_store(directory)
    store.add(EGGS)
    shutil.rmtree(directory)
    if is_made_again:
        directory.mkdir()

    for call in (lambda: store.add(EGGS), store.videos, lambda: store.search("eggs"), lambda: store.timeline("eggs")):
        with pytest.raises(StoreError, match=REPLACED):
            call()

    again = open_store(directory)
    assert again.videos() == []
    again.add(EGGS)
    assert open_store(directory).timeline("eggs") == EGGS
    with pytest.raises(StoreError, match=REPLACED):
        store.videos()


def test_directory_that_another_client_had_open_is_opened_again(tmp_path: Path) -> None:
    directory = tmp_path / "store"
    chromadb.PersistentClient(directory).create_collection("other")
    shutil.rmtree(directory)
    store = open_store(directory)
    store.add(EGGS)
    assert store.timeline("eggs") == EGGS


def test_relative_directory_stays_the_same_after_chdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = open_store("store")
    store.add(EGGS)
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert open_store("store").videos() == []
    assert store.timeline("eggs") == EGGS
    assert store.search("eggs")
    assert open_store(tmp_path / "store").timeline("eggs") == EGGS


def test_plain_chroma_shares_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("store")
    store.add(EGGS)
    for directory in ("store", str(tmp_path / "store")):
        plain = Chroma("videos", BagOfWords(), persist_directory=directory)
        assert len(plain.similarity_search("eggs", k=9)) == 2
    shared = VideoTimelineStore(client=chromadb.PersistentClient("store"), embedding=BagOfWords())
    assert shared.timeline("eggs") == EGGS


@pytest.mark.skipif(sys.platform != "linux", reason="locks are found on Linux only")
@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize(("lock", "use_locked"), [("EXCLUSIVE", use), ("IMMEDIATE", lambda store: store.add(EGGS))])
def test_database_that_another_program_has_locked_is_reported(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_open: bool,
    lock: str,
    use_locked: Callable[[VideoTimelineStore], object],
) -> None:
    monkeypatch.setattr(database_lock, "SECONDS", 0.3)
    in_process(write_eggs, tmp_path / "store")
    store = open_store(tmp_path / "store") if is_open else None

    with locked(tmp_path / "store" / "chroma.sqlite3", lock), pytest.raises(StoreError, match="has locked"):
        use_locked(store or open_store(tmp_path / "store"))

    use_locked(store or open_store(tmp_path / "store"))


@contextmanager
def locked(database: Path, lock: str) -> Iterator[None]:
    """Lock a database in another process."""
    hold = f"database.execute('BEGIN {lock}'); print(1, flush=True); input()"
    program = f"import sqlite3; database = sqlite3.connect({str(database)!r}); {hold}"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.stdin.close()
