"""Clips start and end at the requested times, and incomplete ones never appear."""

import io
import multiprocessing
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from langchain_videochat.errors import InputError, MediaError, SourceError
from langchain_videochat.media import probe, sample_frames
from langchain_videochat.media.audio import read_audio
from langchain_videochat.media.clips import cut_clip, thumbnail
from langchain_videochat.media.index import index_media
from tests import hostile_files
from tests.media_files import STRANGE_NAMES, make_beeps, make_traps, run_ffmpeg

FRAME = 1 / 25


@pytest.fixture(scope="module")
def beeps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_beeps(tmp_path_factory.mktemp("beeps") / "beeps.mp4")


def number(brightness: float) -> float:
    """Convert the brightness of an RGB frame to its number (see `make_beeps`)."""
    return brightness * 219 / 255 + 16 - 20


def first_number(clip: Path) -> float:
    return number(next(sample_frames(clip, times=[0.0], mode="exact")).frames.mean())


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm", ".gif"])
@pytest.mark.parametrize("source", ["plain.mp4", "at 1.4.ts", "at 5.mkv"])
def test_clip_contains_the_requested_interval(source: str, ending: str, tmp_path: Path) -> None:
    offset = ["-output_ts_offset", "5"] if source.endswith("mkv") else []
    path = make_beeps(tmp_path / source, *offset)
    clip = cut_clip(path, 1.56, 4.2, tmp_path / f"clip{ending}")
    assert clip == tmp_path / f"clip{ending}"
    index = index_media(clip)
    assert index.duration == pytest.approx(4.2 - 1.56, abs=0.08 if ending == ".gif" else FRAME)
    # GIF frames last 0.08 s and have 256 colors.
    displayed = next(sample_frames(path, times=[1.56], mode="exact"))
    assert first_number(clip) == pytest.approx(number(displayed.frames.mean()), abs=2.5 if ending == ".gif" else 1)
    assert displayed.times == pytest.approx([1.56], abs=FRAME)
    if ending != ".gif":
        samples = next(read_audio(clip)).samples
        beeps = [np.abs(samples[int(16_000 * (time - 1.56 + 0.03)) :][:800]).max() for time in (2, 3, 4)]
        assert min(beeps) > 0.3
        assert np.abs(samples[: int(16_000 * 0.41)]).max() < 0.1


@settings(max_examples=12, deadline=None)
@given(st.floats(0, 5.8), st.floats(0.05, 3))
def test_any_interval(beeps: Path, tmp_path_factory: pytest.TempPathFactory, start: float, length: float) -> None:
    clip = cut_clip(beeps, start, start + length, tmp_path_factory.mktemp("clip") / "clip.mp4")
    assert index_media(clip).duration == pytest.approx(min(start + length, 6) - start, abs=FRAME)
    assert first_number(clip) == pytest.approx(start / FRAME, abs=1.6)


def test_a_preview_is_smaller_with_the_same_content(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    large = make_beeps(tmp_path / "large.mp4", size="960x540")

    whole = cut_clip(large, 0.4, 3, tmp_path / "whole.mp4")
    assert capsys.readouterr().err == ""
    small = cut_clip(large, 0.4, 3, tmp_path / "small.mp4", preview=True, show_progress=True)

    assert (probe(small).width, probe(small).height) == (640, 360)
    assert small.stat().st_size < whole.stat().st_size
    assert index_media(small).duration == pytest.approx(2.6, abs=FRAME)
    assert first_number(small) == pytest.approx(10, abs=1)
    assert "small.mp4: " in capsys.readouterr().err


def test_clip_of_a_low_frame_rate_starts_with_the_displayed_frame(tmp_path: Path) -> None:
    path = make_beeps(tmp_path / "slow.mkv", rate=1)
    clip = cut_clip(path, 3.5, 5.25, tmp_path / "clip.mp4")
    assert first_number(clip) == pytest.approx(3, abs=0.6)
    assert index_media(clip).duration == pytest.approx(1.75, abs=0.08)


def test_odd_size_without_audio(tmp_path: Path) -> None:
    path = tmp_path / "odd.mkv"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=33x17:d=1", "-c:v", "ffv1", str(path))
    clip = cut_clip(path, 0.2, 0.8, tmp_path / "clip.mp4")
    assert next(sample_frames(clip)).frames.shape[1:3] == (16, 32)
    with pytest.raises(MediaError, match="no audio"):
        read_audio(clip)


def test_clip_after_the_end_of_the_audio_is_silent(tmp_path: Path) -> None:
    path = make_beeps(tmp_path / "early end.mkv", seconds=20, audio_filter="atrim=end=2.5")
    clip = cut_clip(path, 15, 16, tmp_path / "clip.mp4")
    assert np.abs(next(read_audio(clip)).samples).max() < 0.01


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_strange_names(name: str, beeps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(beeps, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    clip = cut_clip(name, 1, 1.5, Path("out", name))
    assert clip == Path("out", name)
    assert first_number(clip) == pytest.approx(25, abs=1)
    assert thumbnail(name, 1).startswith(b"\xff\xd8")
    assert [path.name for path in Path("out").iterdir()] == [name]


def test_existing_output_is_kept_unless_overwriting(beeps: Path, tmp_path: Path) -> None:
    output = tmp_path / "clip.mp4"
    output.write_bytes(b"precious")
    with pytest.raises(InputError, match="already exists"):
        cut_clip(beeps, 0, 1, output)
    assert output.read_bytes() == b"precious"
    cut_clip(beeps, 0, 1, output, overwrite=True)
    assert index_media(output).duration == pytest.approx(1, abs=FRAME)


def test_a_failed_cut_changes_nothing(tmp_path: Path) -> None:
    output = tmp_path / "clip.mp4"
    output.write_bytes(b"precious")
    children = set(psutil.Process().children())
    for trap in make_traps(tmp_path):
        with pytest.raises(MediaError):
            cut_clip(trap, 0, 1, output, overwrite=True)
        with pytest.raises(MediaError):
            thumbnail(trap, 0)
    assert output.read_bytes() == b"precious"
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert set(psutil.Process().children()) <= children


@pytest.fixture(scope="module")
def fresh_process() -> Iterator[ProcessPoolExecutor]:
    """Run each call in a new process, whose peak memory is due to that call only."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        yield pool


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to measure peak memory")
@pytest.mark.parametrize(("start", "end"), [(0.0, 0.5), (5000.0, 5000.5), (9000.0, 10000.5)])
def test_silence_of_hours_is_not_held_in_memory(
    start: float, end: float, tmp_path: Path, fresh_process: ProcessPoolExecutor
) -> None:
    path, output = tmp_path / "late sound.mkv", tmp_path / "clip.mkv"
    late = ["-itsoffset", "10000", "-f", "lavfi", "-i", "sine=d=1:r=48000"]
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=32x32:d=1", *late, "-map", "0", "-map", "1", str(path))
    memory = fresh_process.submit(hostile_files.cut_in_memory, path, start, end, output).result(timeout=120)
    assert memory < 250 * 2**20
    assert index_media(output).duration == pytest.approx(end - start, abs=0.08)
    loudness = [float(np.abs(chunk.samples).max()) for chunk in read_audio(output, chunk_seconds=0.5)]
    assert [position for position, value in enumerate(loudness) if value > 0.05] == ([2000] if end > 10_000 else [])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to measure peak memory")
def test_large_frames_are_scaled_down(tmp_path: Path, fresh_process: ProcessPoolExecutor) -> None:
    path, output = hostile_files.make_large_animation(tmp_path / "large.gif"), tmp_path / "clip.mp4"
    memory = fresh_process.submit(hostile_files.cut_in_memory, path, 0.0, 0.3, output).result(timeout=120)
    assert memory < 1024 * 2**20
    assert (probe(output).width, probe(output).height) == (3072, 3072)  # 9.4 megapixels
    assert index_media(output).duration == pytest.approx(0.3, abs=0.08)


def test_a_clip_has_the_permissions_of_new_files(beeps: Path, tmp_path: Path) -> None:
    (tmp_path / "new").touch()
    clip = cut_clip(beeps, 0, 0.2, tmp_path / "clip.mp4")
    assert clip.stat().st_mode == (tmp_path / "new").stat().st_mode


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (2, 2), (3, 2), (6, 7), (0, float("inf")), (float("nan"), 2)])
def test_invalid_times(start: float, end: float, beeps: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        cut_clip(beeps, start, end, tmp_path / "clip.mp4")


@pytest.mark.parametrize("name", ["clip.exe", "clip", "missing/clip.mp4", "folder.mp4"])
def test_invalid_outputs(name: str, beeps: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(InputError):
        cut_clip(beeps, 0, 1, tmp_path / name, overwrite=True)


def test_the_source_is_never_overwritten(beeps: Path, tmp_path: Path) -> None:
    (tmp_path / "link.mp4").symlink_to(beeps)
    for output in (beeps, tmp_path / "link.mp4"):
        with pytest.raises(InputError, match="the video itself"):
            cut_clip(beeps, 0, 1, output, overwrite=True)


@pytest.mark.parametrize("time", [0, 0.5, 2.02, 5.99, 6])
def test_thumbnail_is_the_displayed_frame(time: float, beeps: Path) -> None:
    picture = Image.open(io.BytesIO(thumbnail(beeps, time, width=32)))
    assert (picture.format, picture.size) == ("JPEG", (32, 32))
    assert number(np.asarray(picture).mean()) == pytest.approx(min(int(time / FRAME), 149), abs=0.8)


def test_thumbnail_is_not_enlarged(beeps: Path) -> None:
    assert Image.open(io.BytesIO(thumbnail(beeps, 1))).size == (64, 64)


@pytest.mark.parametrize(("time", "width"), [(-1, 320), (6.5, 320), (float("nan"), 320), (1, 0)])
def test_invalid_thumbnails(time: float, width: int, beeps: Path) -> None:
    with pytest.raises(InputError):
        thumbnail(beeps, time, width=width)


def test_web_addresses_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="local_file"):
        cut_clip("https://example.org/a.mp4", 0, 1, tmp_path / "clip.mp4")
    with pytest.raises(SourceError, match="local_file"):
        thumbnail("https://example.org/a.mp4", 0)
