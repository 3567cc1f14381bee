"""Making instruction data that is killed, or finds no room on the disk, and is run again."""

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from langchain_videochat.errors import InputError
from langchain_videochat.instruct import Item, export
from langchain_videochat.instruct.item_folder import open_folder
from langchain_videochat.instruct.items import KINDS

VIDEOS = 12
CALLS = VIDEOS * 5
"""Of an uninterrupted run: descriptions take two."""

# Each call of the model counts; the process kills itself in the given one, while others are under way. From the first
# call on, no file may grow beyond what there is room for.
MAKE = """
import os, resource, signal, sys, threading
from langchain_videochat.instruct import Plan, make_instructions
from langchain_videochat.instruct.items import KINDS
from tests.instruct_data import WORDS, Writer, make_videos, write_truth

folder, kill_at, room = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
counting = threading.Lock()
calls = 0

def script(system, prompt):
    global calls
    with counting:
        calls += 1
        if room and calls == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        if calls == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
    return write_truth(system, prompt)

videos = make_videos(int(sys.argv[4]))
report = make_instructions(Writer(script=script), videos, folder, Plan(KINDS, words=WORDS), show_progress=False)
print(report.kept, report.made.total(), calls)
"""


def make(folder: Path, *, kill_at: int = 0, room: int = 0) -> subprocess.CompletedProcess[str]:
    arguments = [str(folder), str(kill_at), str(room), str(VIDEOS)]
    return subprocess.run([sys.executable, "-c", MAKE, *arguments], capture_output=True, text=True, check=False)


def finished(folder: Path) -> list[str]:
    """Name the items whose lines are whole."""
    path = folder / "items.jsonl"
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    whole = [json.loads(line) for line in lines if line.endswith(b"\n")]
    return [f"{one['video_id']}/{one['kind']}" for one in whole]


def exported(made: Path, folder: Path) -> dict[str, bytes]:
    export(made, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files that an uninterrupted run ends with."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    done = make(folder / "made")
    assert done.stdout.split() == ["0", str(VIDEOS * len(KINDS)), str(CALLS)], done.stderr
    return exported(folder / "made", folder / "data")


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_a_killed_run_is_taken_up(tmp_path: Path, uninterrupted: dict[str, bytes], share: float) -> None:
    made = tmp_path / "made"
    killed = make(made, kill_at=1 + round(share * (CALLS - 1)))
    assert killed.returncode == -signal.SIGKILL
    before = finished(made)
    again = make(made)
    assert again.returncode == 0, again.stderr
    kept, new, _ = map(int, again.stdout.split())
    assert (kept, new) == (len(before), VIDEOS * len(KINDS) - len(before))
    assert finished(made)[: len(before)] == before
    assert len(set(finished(made))) == len(finished(made)) == VIDEOS * len(KINDS)
    assert exported(made, tmp_path / "data") == uninterrupted


@pytest.mark.slow
def test_a_full_disk_is_told_and_the_run_is_taken_up(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    made = tmp_path / "made"
    full = make(made, room=5000)
    assert full.returncode == 1
    assert f"InputError: {made / 'items.jsonl'}: it cannot be written (File too large). Make room" in full.stderr
    assert (made / "items.jsonl").stat().st_size == 5000
    before = finished(made)
    assert before
    again = make(made)
    assert int(again.stdout.split()[0]) == len(before)
    assert exported(made, tmp_path / "data") == uninterrupted


def test_a_disk_that_is_full_when_files_are_exported(tmp_path: Path) -> None:
    with open_folder(tmp_path / "made") as folder:
        folder.append(
            Item(video_id="a", video="/a.mp4", kind="description", language="English", text="A cat jumps. " * 1000)
        )
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"it cannot be written \(File too large\)"):
            export(tmp_path / "made", tmp_path / "data")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert export(tmp_path / "made", tmp_path / "data").kinds
