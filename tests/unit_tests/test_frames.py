"""Sampled frames are the requested ones and have their own times, for all codecs and containers."""

import gc
import math
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from itertools import islice
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from langchain_videochat.errors import InputError
from langchain_videochat.media import FrameBatch, probe, sample_frames
from tests.hostile_files import CORNERS, make_corners, read_corners
from tests.numbered_video import Reference, decode_in_sequence, make_numbered, read_number, regular


def x264(parameters: str) -> dict[str, str]:
    return {"preset": "veryfast", "qp": "10", "x264-params": f"scenecut=0:b-adapt=0:{parameters}"}


def x265(parameters: str) -> dict[str, str]:
    return {"preset": "ultrafast", "x265-params": f"log-level=error:scenecut=0:qp=10:{parameters}"}


CLOSED, OPEN = x264("open-gop=0:b-pyramid=normal"), x264("open-gop=1")
VP9 = {"deadline": "realtime", "cpu-used": "8", "b": "1M"}
HIDDEN = {"deadline": "good", "cpu-used": "5", "b": "400k", "auto-alt-ref": "1", "lag-in-frames": "16"}
GOOD = {"b": "3M"}

VIDEOS: dict[str, dict[str, Any]] = {
    "closed.mp4": {"b_frames": 2, "options": CLOSED},
    "closed.mov": {"b_frames": 2, "options": CLOSED, "gop": 7},
    "closed.mkv": {"b_frames": 3, "options": CLOSED, "gop": 25},
    "closed.ts": {"b_frames": 2, "options": CLOSED},
    "closed.flv": {"b_frames": 2, "options": CLOSED},
    "open.mp4": {"b_frames": 2, "options": OPEN},
    "open.mkv": {"b_frames": 3, "options": OPEN, "gop": 20},
    "open.ts": {"b_frames": 2, "options": OPEN},
    "one gop.mov": {"b_frames": 2, "options": OPEN, "gop": 250},
    "intra.mp4": {"options": CLOSED, "gop": 1},
    # AVI has no presentation timestamps, so that H.264 with B-frames cannot be sampled exactly.
    "no b-frames.avi": {"options": CLOSED},
    "fragments.mp4": {"b_frames": 2, "options": CLOSED, "container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "hevc.mp4": {"codec": "libx265", "b_frames": 3, "options": x265("open-gop=0")},
    "hevc open.mkv": {"codec": "libx265", "b_frames": 3, "options": x265("open-gop=1")},
    "hevc open.ts": {"codec": "libx265", "b_frames": 3, "options": x265("open-gop=1")},
    "vp9.webm": {"codec": "libvpx-vp9", "options": VP9},
    "vp9 hidden frames.webm": {"codec": "libvpx-vp9", "options": HIDDEN, "gop": 40},
    "mpeg4.avi": {"codec": "mpeg4", "options": GOOD},
    "mpeg4 b-frames.avi": {"codec": "mpeg4", "b_frames": 2, "options": GOOD},
    "mpeg2.mpg": {"codec": "mpeg2video", "b_frames": 2, "options": GOOD},
    "mpeg2.ts": {"codec": "mpeg2video", "b_frames": 2, "options": GOOD},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "options": GOOD},
    "mjpeg.mov": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "options": GOOD},
    "picture.gif": {"codec": "gif", "pix_fmt": "gray"},
    "uneven.mp4": {"b_frames": 2, "options": CLOSED, "times": [k * 20 + k * k for k in range(75)]},
    "uneven.mkv": {
        "b_frames": 2,
        "options": OPEN,
        "times": [k * 40 + 700 * (k > 30) + 1300 * (k > 31) for k in range(75)],
    },
}
FEW_VIDEOS = ["closed.mp4", "open.mkv", "open.ts", "mpeg4.avi", "vp9.webm", "uneven.mkv"]

seconds = st.floats(0, 4)
ascending = st.lists(seconds, min_size=1, max_size=12).map(sorted)
few_examples = settings(max_examples=8, derandomize=True)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Reference]:
    folder = tmp_path_factory.mktemp("numbered")
    return cache(lambda name: decode_in_sequence(make_numbered(folder / name, **VIDEOS[name])))


def join(batches: list[FrameBatch]) -> tuple[list[int], NDArray[np.float64]]:
    """Return the numbers and times of all frames, none of which may be missing."""
    assert sum(batch.missing for batch in batches) == 0
    numbers = [read_number(frame) for batch in batches for frame in batch.frames]
    return numbers, np.concatenate([batch.times for batch in batches] or [np.array([])]).round(6)


@pytest.mark.parametrize("name", VIDEOS)
@few_examples
@given(requested=ascending)
def test_exact_frames_are_the_displayed_ones(
    name: str, requested: list[float], reference: Callable[[str], Reference]
) -> None:
    video = reference(name)
    numbers, times = join(list(sample_frames(video.path, times=requested, mode="exact")))
    expected = video.displayed_at(requested)
    assert numbers == video.numbers[expected].tolist()
    assert times == pytest.approx(video.times[expected], abs=1e-6)


@pytest.mark.parametrize("name", VIDEOS)
def test_every_frame_can_be_sampled(name: str, reference: Callable[[str], Reference]) -> None:
    video = reference(name)
    numbers, times = join(list(sample_frames(video.path, fps=1000)))
    assert numbers == list(range(75))
    assert times == pytest.approx(video.times, abs=1e-6)
    info = probe(video.path)
    assert info.duration > video.times[-1]
    assert info.missing == pytest.approx(0)


@pytest.mark.parametrize("name", FEW_VIDEOS)
@few_examples
@given(fps=st.floats(0.3, 60), start=seconds, length=st.floats(0.01, 4))
def test_fps_returns_each_frame_at_most_once(
    name: str, fps: float, start: float, length: float, reference: Callable[[str], Reference]
) -> None:
    video = reference(name)
    end = min(start + length, probe(video.path).duration)
    grid = start + np.arange(max(0, math.ceil(round((end - start) * fps, 6)))) / fps
    expected = np.unique(video.displayed_at(grid))
    numbers, times = join(list(sample_frames(video.path, fps, start=start, end=start + length, mode="exact")))
    assert numbers == video.numbers[expected].tolist()
    assert times == pytest.approx(video.times[expected], abs=1e-6)


@pytest.mark.parametrize("name", VIDEOS)
@few_examples
@given(requested=ascending)
def test_keyframes_are_the_nearest(name: str, requested: list[float], reference: Callable[[str], Reference]) -> None:
    video = reference(name)
    numbers, times = join(list(sample_frames(video.path, times=requested, mode="keyframes")))
    assert numbers == [video.number_at(time) for time in times]
    keyframes = video.times[video.keyframes & (video.times >= requested[0] - 0.0005)]
    if len(keyframes):
        assert set(times) <= set(keyframes)
        nearest = [np.abs(keyframes - time).min() for time in requested]
        assert np.abs(times - requested) == pytest.approx(nearest, abs=1e-6)
    else:
        assert times == pytest.approx(video.times[video.displayed_at(requested)])


@pytest.mark.parametrize("name", FEW_VIDEOS)
@few_examples
@given(requested=ascending, tolerance=st.floats(0, 1))
def test_auto_frames_are_near_keyframes_or_exact(
    name: str, requested: list[float], tolerance: float, reference: Callable[[str], Reference]
) -> None:
    video = reference(name)
    numbers, times = join(list(sample_frames(video.path, times=requested, tolerance=tolerance)))
    assert numbers == [video.number_at(time) for time in times]
    exact = video.times[video.displayed_at(requested)]
    keyframes = video.times[video.keyframes]
    assert (times >= exact[0]).all()
    for time, target, displayed in zip(times, requested, exact, strict=True):
        assert time == displayed or (time in keyframes and abs(time - target) <= tolerance + 0.001)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("open.mp4", {"options": OPEN, "b_frames": 2, "gop": 30}),
        ("open.mkv", {"codec": "libx265", "options": x265("open-gop=1"), "b_frames": 3, "gop": 150}),
    ],
)
def test_keyframes_alone_keep_their_order(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    """Picture order counts wrap around, so that a decoder without a flush would sort distant keyframes wrongly."""
    video = decode_in_sequence(make_numbered(tmp_path / name, times=regular(500), **options))
    numbers, _ = join(list(sample_frames(video.path, times=video.times[video.keyframes].tolist(), mode="keyframes")))
    assert numbers == video.numbers[video.keyframes].tolist()


@pytest.mark.parametrize("name", ["long.mp4", "long.mkv", "long.ts", "long.avi", "long.flv"])
def test_distant_times_are_found(name: str, tmp_path: Path) -> None:
    b_frames = 0 if name.endswith("avi") else 2
    path = make_numbered(tmp_path / name, times=regular(3000), gop=250, b_frames=b_frames, options=x264("open-gop=1"))
    requested = [3.0, 33.0, 63.02, 93.02, 119.0, 119.98]
    numbers, times = join(list(sample_frames(path, times=requested, mode="exact")))
    assert numbers == [75, 825, 1575, 2325, 2975, 2999]
    assert times == pytest.approx(np.array(numbers) / 25, abs=0.001)
    numbers, times = join(list(sample_frames(path, fps=1 / 30)))
    assert times == pytest.approx(np.array(numbers) / 25, abs=0.001)
    assert times == pytest.approx([0, 30, 60, 90], abs=15)


def test_batches_are_small_and_uniform(reference: Callable[[str], Reference]) -> None:
    batches = list(sample_frames(reference("closed.mp4").path, fps=25))
    assert [len(batch.frames) for batch in batches] == [8] * 9 + [3]
    assert {batch.frames.shape[1:] for batch in batches} == {(120, 160, 3)}
    assert {batch.frames.dtype for batch in batches} == {np.dtype(np.uint8)}
    assert {batch.times.dtype for batch in batches} == {np.dtype(np.float64)}
    times = np.concatenate([batch.times for batch in batches])
    assert (np.diff(times) > 0).all()


def test_a_repeated_time_repeats_its_frame(reference: Callable[[str], Reference]) -> None:
    numbers, _ = join(list(sample_frames(reference("open.ts").path, times=[1, 1, 1.01, 9, 9], mode="exact")))
    assert numbers == [25, 25, 25, 74, 74]


@pytest.mark.parametrize("arguments", [{"times": []}, {"start": 3.0}, {"start": 50.0, "end": 60.0}])
def test_no_times_yield_no_frames(arguments: dict[str, Any], reference: Callable[[str], Reference]) -> None:
    assert list(sample_frames(reference("closed.mp4").path, **arguments)) == []


@pytest.mark.parametrize(
    ("stored", "size", "shape"),
    [
        ((160, 120), 60, (60, 80)),
        ((160, 120), 119, (119, 159)),
        ((160, 120), 121, (120, 160)),
        ((120, 160), 60, (80, 60)),
        ((320, 40), 1, (1, 8)),
    ],
)
def test_size_limits_the_shorter_side(
    stored: tuple[int, int], size: int, shape: tuple[int, int], tmp_path: Path
) -> None:
    path = make_corners(tmp_path / "corners.mp4", size=stored)
    assert next(sample_frames(path, size=size)).frames.shape == (1, *shape, 3)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p"])
@pytest.mark.parametrize("color_range", [1, 2])
@pytest.mark.parametrize("matrix", [1, 5])
def test_colors_are_correct(matrix: int, color_range: int, pix_fmt: str, tmp_path: Path) -> None:
    path = make_corners(tmp_path / "corners.mp4", pix_fmt=pix_fmt, colors=(matrix, color_range), options={"qp": "4"})
    for size in (None, 60):
        assert read_corners(next(sample_frames(path, size=size)).frames[0]) == list(CORNERS)


def is_open(path: Path) -> bool:
    """Return whether this process keeps a file open for more than the time that background threads need to end."""
    for _ in range(100):
        if str(path) not in [file.path for file in psutil.Process().open_files()]:
            return False
        sleep(0.05)
    return True


def test_closing_early_releases_the_file(reference: Callable[[str], Reference]) -> None:
    path = reference("closed.mp4").path
    batches = sample_frames(path, fps=25)
    next(batches)
    assert str(path) in [file.path for file in psutil.Process().open_files()]
    batches.close()  # type: ignore[attr-defined]
    assert not is_open(path)


def test_iterators_can_be_abandoned_at_any_time(reference: Callable[[str], Reference]) -> None:
    path = reference("closed.mp4").path
    for count in range(200):
        batches = sample_frames(path, fps=25, size=16 + count % 40)
        list(islice(batches, count % 4))
        if count % 2:
            cycle: list[Any] = [batches]
            cycle.append(cycle)
            del cycle
        del batches
    gc.collect()
    assert not is_open(path)


def test_an_error_while_reading_releases_the_file(reference: Callable[[str], Reference]) -> None:
    path = reference("closed.mp4").path

    def fail_midway() -> None:
        for batch in sample_frames(path, fps=25):
            raise ArithmeticError(batch.times[0])

    for _ in range(20):
        with pytest.raises(ArithmeticError):
            fail_midway()
    assert not is_open(path)


@pytest.mark.skipif("fork" not in get_all_start_methods(), reason="the system cannot fork")
def test_frames_read_before_a_fork_can_be_freed_after_it(reference: Callable[[str], Reference]) -> None:
    """As in a worker process of a DataLoader."""
    path = reference("closed.mp4").path
    child = get_context("fork").Process(target=gc.collect)
    gc.disable()
    try:
        list(sample_frames(path, size=64))
        child.start()
        child.join(timeout=20)
        assert child.exitcode == 0
    finally:
        gc.enable()
        child.kill()


def test_a_program_can_exit_with_unread_frames(reference: Callable[[str], Reference]) -> None:
    program = (
        "import sys; from langchain_videochat.media import sample_frames\n"
        "unread = sample_frames(sys.argv[1], fps=25); next(unread)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, reference("closed.mp4").path], capture_output=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("fps", {"fps": 0}),
        ("fps", {"fps": -1}),
        ("fps", {"fps": math.nan}),
        ("fps", {"fps": math.inf}),
        ("fps", {"fps": 1e300}),
        ("times", {"times": [2, 1]}),
        ("times", {"times": [-1, 1]}),
        ("times", {"times": [math.nan]}),
        ("times", {"times": [math.inf]}),
        ("times", {"times": [[1, 2]]}),
        ("times", {"times": [1], "fps": 1}),
        ("times", {"times": [1], "start": 1}),
        ("start", {"start": -1}),
        ("start", {"start": math.nan}),
        ("start", {"start": math.inf}),
        ("start", {"start": 2, "end": 2}),
        ("start", {"start": 2, "end": 1}),
        ("start", {"end": math.nan}),
        ("size", {"size": 0}),
        ("size", {"size": -5}),
        ("mode", {"mode": "fast"}),
        ("tolerance", {"tolerance": -0.1}),
        ("tolerance", {"tolerance": math.nan}),
    ],
)
def test_invalid_values_are_refused_immediately(
    field: str, arguments: dict[str, Any], reference: Callable[[str], Reference]
) -> None:
    with pytest.raises(InputError, match=field):
        sample_frames(reference("closed.mp4").path, **arguments)
