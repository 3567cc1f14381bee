"""Indexing resumes after the process was killed or the disk was full, with the result of an uninterrupted run."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import chromadb
import pytest

from langchain_videochat.media import video_id
from langchain_videochat.perception import Observation
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.store.payloads import read_payloads
from langchain_videochat.store.quotas import scan_rows
from tests.subtitled_video import make_subtitled_video
from tests.unit_tests.embeddings import BagOfWords, make_timeline

# Counts the writes to Chroma and kills the process before the given one. What a killed run has left is no longer in use
# at once, instead of after ten minutes.
INDEX = """
import os, resource, signal, sys
from chromadb.api.models.Collection import Collection
from langchain_videochat.store import VideoTimelineStore, leases, saving
from langchain_videochat.workers import segments
from tests.unit_tests.embeddings import BagOfWords

video, folder, kill_at, max_file_size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
segments.SEGMENT_SECONDS, saving.WRITE_BATCH, leases.LEASE_SECONDS = 10.0, 1, 0.0
writes = 0

def counted(write):
    def wrapper(self, *arguments, **options):
        global writes
        writes += 1
        if writes == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(self, *arguments, **options)
    return wrapper

for name in ("upsert", "update", "delete", "modify"):
    setattr(Collection, name, counted(getattr(Collection, name)))
store = VideoTimelineStore(folder, embedding=BagOfWords())
if max_file_size:
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_size, max_file_size))
print(store.index(video, profile="lite", show_progress=False))
print(writes)
"""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sentences = [f"Sentence {at}" for at in range(20)]
    return make_subtitled_video(tmp_path_factory.mktemp("video") / "talk.mp4", *sentences)


def index(video: Path, folder: Path, *, kill_at: int = 0, max_file_size: int = 0) -> subprocess.CompletedProcess[str]:
    arguments = [str(video), str(folder), str(kill_at), str(max_file_size)]
    return subprocess.run([sys.executable, "-c", INDEX, *arguments], capture_output=True, text=True, check=False)


def prepare(video: Path, folder: Path) -> None:
    """Store an older and longer timeline of the video, which indexing replaces."""
    old = [Observation(at * 10, at * 10 + 10, "speech", f"old words {at}") for at in range(20)]
    VideoTimelineStore(folder, embedding=BagOfWords()).add(make_timeline(video_id(video), *old))


def state(folder: Path) -> dict[str, Any]:
    """Return all data of a store, without those that differ between runs."""
    store = VideoTimelineStore(folder, embedding=BagOfWords())
    client = chromadb.PersistentClient(folder)
    pages = client.get_collection("videos-timelines")
    every = list(scan_rows(pages))
    runs = [row for row in every if row.id.startswith(":run:")]
    contents = read_payloads(pages, (row for row in every if row not in runs))
    moments = client.get_collection("videos").get(include=["documents", "metadatas"])
    rows = zip(moments["ids"], moments["documents"] or [], moments["metadatas"] or [], strict=True)
    return {
        "videos": [(one.video, one.profile, one.observations, one.moments, one.pages) for one in store.videos()],
        "timelines": [store.timeline(one.video_id).to_json() for one in store.videos()],
        "pages": {_without_save(one): page for one, page in contents.items()},
        "moments": {_without_save(moment_id): (text, metadata) for moment_id, text, metadata in rows},
        "numbers": (pages.count() - len(runs), len(moments["ids"])),
        "search": store.search("Sentence 7", k=20),
    }


def _without_save(record_id: str) -> str:
    """Remove the random id of the save from the id of a page or moment."""
    return re.sub(":[0-9a-f]{32}:", ":", record_id)


@pytest.fixture(scope="module")
def uninterrupted(video: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    """Return the state after an uninterrupted run, and its number of writes."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    prepare(video, folder)
    done = index(video, folder)
    assert done.returncode == 0, done.stderr
    return state(folder), int(done.stdout.split()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("position", [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
def test_killed_run_resumes(
    video: Path, tmp_path: Path, uninterrupted: tuple[dict[str, Any], int], position: float
) -> None:
    expected, writes = uninterrupted
    prepare(video, tmp_path)
    killed = index(video, tmp_path, kill_at=1 + round(position * (writes - 1)))
    assert killed.returncode == -signal.SIGKILL
    found = VideoTimelineStore(tmp_path, embedding=BagOfWords()).search("Sentence old words", k=50)
    texts = "\n".join(one.page_content for one in found)
    assert ("Sentence" in texts) != ("old words" in texts)
    again = index(video, tmp_path)
    assert again.returncode == 0, again.stderr
    assert state(tmp_path) == expected


@pytest.mark.slow
def test_run_resumes_after_a_full_disk(video: Path, tmp_path: Path, uninterrupted: tuple[dict[str, Any], int]) -> None:
    prepare(video, tmp_path)
    full = index(video, tmp_path, max_file_size=max(path.stat().st_size for path in tmp_path.rglob("*")) // 2)
    assert full.returncode == 1
    assert f"StoreError: {tmp_path}" in full.stderr
    assert "free disk space" in full.stderr
    again = index(video, tmp_path)
    assert again.returncode == 0, again.stderr
    assert state(tmp_path) == uninterrupted[0]
