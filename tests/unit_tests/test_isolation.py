"""Decoding in worker processes: the same results, and limits on time and memory."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from langchain_videochat.errors import InputError, MediaError
from langchain_videochat.media import (
    Damage,
    cut_clip,
    isolation,
    media_duration,
    probe,
    read_audio,
    read_subtitles,
    sample_frames,
    thumbnail,
)
from langchain_videochat.media.isolation import MAX_BLOCKS, isolatable, isolated_media
from langchain_videochat.utils.concurrency import prefetch
from tests.hostile_files import cut
from tests.talks import OPUS, make_talk


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_talk(tmp_path_factory.mktemp("talk") / "talk.mp4")


@isolatable
def process_id(source: Path) -> int:
    return os.getpid()


@isolatable
def count_up(source: Path, *, on_progress: Any) -> Iterator[int]:
    for number in range(1000):
        on_progress(number)
        yield number


@isolatable
def crash(source: Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


@isolatable
def hang(source: Path) -> None:
    re.match("(a+)+$", "a" * 64 + "b")  # holds the interpreter's lock, as a library in C may do


@isolatable
def fill_memory(source: Path) -> int:
    return int(np.ones(2**32, dtype=np.uint8).sum())


@isolatable
def fail(source: Path) -> None:
    raise ZeroDivisionError("no frame rate")


class Attack:
    """An object whose pickle creates a folder where it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._path),)


@isolatable
def attack(source: Path) -> Any:
    return Attack(source.with_suffix(".attacked"))


def workers() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "langchain_videochat.utils.worker_main" in one.cmdline()]


def read_all(path: Path) -> list[Any]:
    damage: list[Damage] = []
    frames = [(batch.frames.tolist(), batch.times.tolist()) for batch in sample_frames(path, 2, size=32)]
    sound = [(chunk.samples.tolist(), chunk.start) for chunk in read_audio(path, on_damage=damage.append)]
    cues = read_subtitles(path, on_damage=damage.append)
    return [probe(path), media_duration(path), frames, sound, cues, damage, thumbnail(path, 1.0)]


def test_results_are_the_same(tmp_path: Path) -> None:
    damaged = cut(make_talk(tmp_path / "talk.mkv", **OPUS), tmp_path / "damaged.mkv", 0.8)
    damaged.with_suffix(".srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n\n2\n00:00:09,000 --> x\nNever\n")
    expected = read_all(damaged)
    with isolated_media():
        assert read_all(damaged) == expected
        assert workers()


def test_errors_are_the_same(talk: Path) -> None:
    with isolated_media():
        with pytest.raises(InputError, match="ascending"):
            sample_frames(talk, times=[2, 1])
        with pytest.raises(InputError, match="time: must be between"):
            thumbnail(talk, -1)


def test_only_calls_in_the_block_are_isolated(talk: Path) -> None:
    with isolated_media(), isolated_media():
        assert process_id(talk) != os.getpid()
    assert process_id(talk) == os.getpid()


def test_threads_that_read_ahead_are_isolated(talk: Path) -> None:
    def process_ids() -> Generator[int]:
        for _ in range(3):
            yield process_id(talk)

    with isolated_media():
        assert os.getpid() not in list(prefetch(process_ids()))
    assert set(prefetch(process_ids())) == {os.getpid()}


def test_clips_are_cut_in_workers(talk: Path, tmp_path: Path) -> None:
    clip, expected = tmp_path / "clip.mp4", tmp_path / "expected.mp4"
    cut_clip(talk, 1, 2, expected)
    with isolated_media():
        cut_clip(talk, 1, 2, clip, show_progress=True)
    assert clip.read_bytes() == expected.read_bytes()


def test_a_clip_that_takes_too_long_leaves_nothing(talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with isolated_media():
        assert probe(talk).width
        monkeypatch.setattr(isolation, "MIN_SECONDS", 0.01)
        with pytest.raises(MediaError, match="takes over"):
            cut_clip(talk, 0, 5, tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []


def test_callbacks_and_items_keep_their_order(talk: Path) -> None:
    events: list[tuple[str, int]] = []
    with isolated_media():
        for number in count_up(talk, on_progress=lambda number: events.append(("progress", number))):
            events.append(("item", number))
    assert events == [(kind, number) for number in range(1000) for kind in ("progress", "item")]


@pytest.mark.parametrize(
    ("operation", "problem"),
    [
        (crash, "killed or crashed"),
        (hang, "takes over 1 s"),
        (fill_memory, "over 2,048 MiB of memory"),
        (fail, "cannot be decoded .ZeroDivisionError: no frame rate."),
    ],
)
def test_limits_end_the_call_only(operation: Any, problem: str, talk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "MIN_SECONDS", 1.0)
    with isolated_media():
        with pytest.raises(MediaError, match=problem) as error:
            operation(talk)
        assert error.value.subject == talk
        monkeypatch.undo()
        assert probe(talk).width


def test_waiting_for_the_consumer_takes_no_time(talk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "MIN_SECONDS", 1.0)
    with isolated_media():
        batches = sample_frames(talk, 25)
        next(batches)
        time.sleep(1.5)
        assert sum(len(batch.times) for batch in batches) > 0


def test_results_execute_no_code(talk: Path) -> None:
    with isolated_media(), pytest.raises(MediaError):
        attack(talk)
    assert not talk.with_suffix(".attacked").exists()


def test_abandoned_iterators_leave_no_process(talk: Path) -> None:
    with isolated_media():
        before = {one.pid for one in workers()}
        for _ in range(5):
            batches = sample_frames(talk, 25)
            next(batches)
            del batches
        assert len({one.pid for one in workers()} - before) <= 1


def test_a_worker_is_used_again(talk: Path) -> None:
    with isolated_media():
        assert process_id(talk) == process_id(talk)


def test_few_blocks_run_at_once(talk: Path) -> None:
    running = 0
    most = 0
    lock = threading.Lock()

    def decode() -> None:
        nonlocal running, most
        with isolated_media():
            with lock:
                running += 1
                most = max(most, running)
            process_id(talk)
            with lock:
                running -= 1

    threads = [threading.Thread(target=decode) for _ in range(3 * MAX_BLOCKS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == MAX_BLOCKS


def test_workers_end_with_their_parent(talk: Path) -> None:
    program = (
        "import sys; from langchain_videochat.media import isolation, probe\n"
        "with isolation.isolated_media(): probe(sys.argv[1])\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(talk)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    (worker,) = psutil.Process(parent.pid).children()
    parent.kill()
    parent.communicate()
    worker.wait(10)
