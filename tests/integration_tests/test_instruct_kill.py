"""Generation runs that are killed or run out of disk space, and then resume."""

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from langchain_videochat.errors import InputError
from langchain_videochat.instruct import (
    GenerationReport,
    InstructionItem,
    InstructionPlan,
    export,
    generate_instructions,
)
from langchain_videochat.instruct.item_folder import open_item_folder
from langchain_videochat.instruct.items import ITEM_KINDS
from tests.instruct_data import WORDS, Writer, make_videos

VIDEOS = 12
ITEMS = VIDEOS * len(ITEM_KINDS)
PLAN = InstructionPlan(ITEM_KINDS, words=WORDS)

# The process kills itself in the given call of the model, while other calls are running. From the first call on, files
# cannot grow beyond the given size.
GENERATE = """
import os, resource, signal, sys, threading
from tests.instruct_data import Writer, write_truth
from tests.integration_tests.test_instruct_kill import generate

kill_at, max_file_size = int(sys.argv[2]), int(sys.argv[3])
lock = threading.Lock()
calls = 0

def script(system, prompt):
    global calls
    with lock:
        calls += 1
        if max_file_size and calls == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_size, max_file_size))
        if calls == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
    return write_truth(system, prompt)

generate(sys.argv[1], Writer(script=script))
"""


def generate(folder: str | Path, model: Writer) -> GenerationReport:
    return generate_instructions(model, make_videos(VIDEOS), folder, PLAN, show_progress=False)


def generate_in_process(folder: Path, *, kill_at: int = 0, max_file_size: int = 0) -> subprocess.CompletedProcess[str]:
    arguments = [str(folder), str(kill_at), str(max_file_size)]
    return subprocess.run([sys.executable, "-c", GENERATE, *arguments], capture_output=True, text=True, check=False)


def finished(folder: Path) -> list[str]:
    """Return the items whose lines are complete."""
    path = folder / "items.jsonl"
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    complete = [json.loads(line) for line in lines if line.endswith(b"\n")]
    return [f"{one['video_id']}/{one['kind']}" for one in complete]


def count_calls(items: list[str]) -> int:
    """Return the number of calls that items take: a description takes two."""
    return sum(2 if item.endswith("/description") else 1 for item in items)


def exported(items: Path, folder: Path) -> dict[str, bytes]:
    export(items, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Exported files of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    model = Writer()
    report = generate(folder / "items", model)
    assert (report.skipped, report.generated.total()) == (0, ITEMS)
    assert model.calls == count_calls(finished(folder / "items"))
    return exported(folder / "items", folder / "data")


@pytest.mark.slow
def test_a_killed_run_resumes(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    before: list[str] = []
    for fraction in (0.0, 0.5, 1.0):
        remaining = VIDEOS * 5 - count_calls(before)
        killed = generate_in_process(tmp_path / "items", kill_at=1 + round(fraction * (remaining - 1)))
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        after = finished(tmp_path / "items")
        assert after[: len(before)] == before
        assert len(before) <= len(after) < ITEMS
        before = after
    assert before
    report = generate(tmp_path / "items", Writer())
    assert (report.skipped, report.generated.total()) == (len(before), ITEMS - len(before))
    items = finished(tmp_path / "items")
    assert items[: len(before)] == before
    assert len(set(items)) == len(items) == ITEMS
    assert exported(tmp_path / "items", tmp_path / "data") == uninterrupted


@pytest.mark.slow
def test_a_run_resumes_after_the_disk_was_full(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    items = tmp_path / "items"
    full = generate_in_process(items, max_file_size=5000)
    assert full.returncode == 1
    assert f"InputError: {items / 'items.jsonl'}: cannot be written (File too large). Free disk space" in full.stderr
    assert (items / "items.jsonl").stat().st_size == 5000
    before = finished(items)
    assert before
    assert generate(items, Writer()).skipped == len(before)
    assert exported(items, tmp_path / "data") == uninterrupted


def test_export_to_a_full_disk_leaves_no_files(tmp_path: Path) -> None:
    with open_item_folder(tmp_path / "items") as folder:
        folder.append(
            InstructionItem(
                video_id="a", video="/a.mp4", kind="description", language="English", text="A cat jumps. " * 1000
            )
        )
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"cannot be written \(File too large\)"):
            export(tmp_path / "items", tmp_path / "data")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["items"]
    assert export(tmp_path / "items", tmp_path / "data").kinds
