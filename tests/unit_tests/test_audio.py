"""Sound stands at its time, whatever the container does to it."""

import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from langchain_videochat.errors import InputError, MediaError, SourceError
from langchain_videochat.media.audio import AudioChunk, read_audio
from langchain_videochat.media.container import VIDEO_FORMATS
from langchain_videochat.media.ffmpeg import executable, input_file, running
from tests.media_files import STRANGE_NAMES, make_beeps, make_traps, run_ffmpeg

RATE = 16_000
TOLERANCE = 0.025


@pytest.fixture(scope="module")
def beeps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_beeps(tmp_path_factory.mktemp("beeps") / "beeps.mp4")


def samples_of(path: str | Path, *arguments: Any) -> NDArray[np.float32]:
    return np.concatenate([chunk.samples for chunk in read_audio(path, *arguments)])


def onsets(samples: NDArray[np.float32], rate: int = RATE) -> NDArray[np.float64]:
    """Seconds at which sound begins after 0.3 s of silence."""
    loud = np.flatnonzero(np.abs(samples) > 0.1)
    return loud[np.diff(loud, prepend=-rate) > 0.3 * rate] / rate


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("plain.mp4", {}, [0, 1, 2, 3, 4, 5]),
        ("plain.avi", {"audio": "pcm_s16le"}, [0, 1, 2, 3, 4, 5]),
        ("plain.flv", {}, [0, 1, 2, 3, 4, 5]),
        ("starts at 1.4.ts", {}, [0, 1, 2, 3, 4, 5]),
        ("starts at 5.mkv", {"start": 5}, [0, 1, 2, 3, 4, 5]),
        ("late sound.mp4", {"sound_delay": 2}, [2, 3, 4, 5]),
        ("late sound.ts", {"sound_delay": 2, "audio": "mp2"}, [2, 3, 4, 5]),
        ("late sound.webm", {"sound_delay": 2, "audio": "libopus"}, [2, 3, 4, 5]),
        ("late picture.mkv", {"picture_delay": 1.5, "audio": "flac"}, [0.5, 1.5, 2.5, 3.5]),
        ("gap.mkv", {"sound_filter": "aselect='not(between(t,1.5,3.5))'"}, [0, 1, 4, 5]),
        ("gap.mp4", {"sound_filter": "aselect='not(between(t,1.5,3.5))'"}, [0, 1, 4, 5]),
        ("early end.mkv", {"sound_filter": "atrim=end=2.5"}, [0, 1, 2]),
    ],
)
def test_beeps_are_heard_when_they_are_shown(
    name: str, options: dict[str, Any], expected: list[float], tmp_path: Path
) -> None:
    shift = ["-output_ts_offset", str(options.pop("start"))] if "start" in options else []
    path = make_beeps(tmp_path / name, *shift, **options)
    samples = samples_of(path)
    assert len(samples) == 6 * RATE
    assert onsets(samples) == pytest.approx(expected, abs=TOLERANCE)
    later = [time - 1.25 for time in expected if 1.25 <= time < 5.75]
    assert onsets(samples_of(path, 1.25, 5.75)) == pytest.approx(later, abs=TOLERANCE)


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 5.9), st.floats(0.1, 7), st.floats(0.05, 4), st.sampled_from([8_000, 16_000, 44_100]))
def test_any_stretch(beeps: Path, start: float, length: float, chunk_seconds: float, rate: int) -> None:
    end = start + length
    chunks = list(read_audio(beeps, start, end, sample_rate=rate, chunk_seconds=chunk_seconds))
    assert [chunk.start for chunk in chunks] == [start + k * chunk_seconds for k in range(len(chunks))]
    samples = np.concatenate([chunk.samples for chunk in chunks])
    assert len(samples) == round((min(end, 6) - start) * rate)
    assert all(len(chunk.samples) == pytest.approx(chunk_seconds * rate, abs=1) for chunk in chunks[:-1])
    assert samples.dtype == np.float32
    heard = onsets(samples, rate) + start
    expected = [time for time in range(6) if start + 0.02 < time < end - 0.02]
    assert all(np.abs(heard - time).min() < TOLERANCE for time in expected)
    # What else is heard begins in the middle of a beep, or is the head of one at the very end.
    assert len(heard) - len(expected) <= (start % 1 < 0.13 or start % 1 > 0.97) + (end % 1 < 0.03 or end % 1 > 0.97)


def test_a_long_video_is_read_in_several_runs_without_a_seam(tmp_path: Path) -> None:
    path = tmp_path / "long.mkv"
    run_ffmpeg("-f", "lavfi", "-i", "color=s=16x16:r=1:d=1300", "-f", "lavfi", "-i", "sine=f=100:r=16000:d=1300",
               "-preset", "ultrafast", "-g", "7", "-c:a", "flac", str(path))  # fmt: skip
    chunks = list(read_audio(path))
    assert [chunk.start for chunk in chunks] == [30.0 * k for k in range(44)]
    samples = np.concatenate([chunk.samples for chunk in chunks])
    expected = 0.125 * np.sin(2 * np.pi * 100 * np.arange(1300 * RATE) / RATE)
    assert np.abs(samples - expected).max() < 0.125 * 2 * np.pi * 100 * 0.001


def test_sound_without_pictures_counts_from_its_own_start(tmp_path: Path) -> None:
    path = tmp_path / "voice.mka"
    run_ffmpeg("-f", "lavfi", "-i", "sine=d=2", "-c:a", "pcm_s16le", "-output_ts_offset", "5", str(path))
    samples = samples_of(path)
    assert len(samples) == pytest.approx(2 * RATE, abs=0.05 * RATE)
    assert onsets(samples) == pytest.approx([0], abs=TOLERANCE)


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_strange_names(name: str, beeps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(beeps, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for source in (name, (tmp_path / name).as_uri()):
        assert onsets(samples_of(source, 0.5, 2.5)) == pytest.approx([0.5, 1.5], abs=TOLERANCE)


def test_traps_open_no_other_file(tmp_path: Path) -> None:
    script, playlist = make_traps(tmp_path)
    # Unguarded, ffmpeg walks into it.
    run_ffmpeg("-i", str(script), "-f", "null", "-")
    for trap in (script, playlist):
        with pytest.raises(MediaError):
            read_audio(trap)
        # Nor does ffmpeg itself, if PyAV were deceived.
        command = input_file(trap, VIDEO_FORMATS).output("pipe:", format="f32le")
        with pytest.raises(MediaError), running(command, trap) as sound:
            assert sound.read() == b""


def test_video_without_sound(tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "color=s=16x16:d=1", str(path))
    with pytest.raises(MediaError, match="no sound"):
        read_audio(path)


def test_damaged_sound_is_silence_and_what_follows_keeps_its_time(tmp_path: Path) -> None:
    path = make_beeps(tmp_path / "damaged.ts")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 188 * 188
    data[middle : middle + 188 * (len(data) // 188 // 6)] = bytes(188 * (len(data) // 188 // 6))
    path.write_bytes(data)
    samples = samples_of(path)
    assert len(samples) == 6 * RATE
    assert onsets(samples)[[0, 1, -1]] == pytest.approx([0, 1, 5], abs=TOLERANCE)


def test_a_stretch_after_the_end_is_empty(beeps: Path) -> None:
    assert list(read_audio(beeps, 6)) == []


@pytest.mark.parametrize(
    "arguments",
    [(-1, 2), (3, 3), (3, 2), (float("nan"), 2), (0, 1, 0), (0, 1, 16_000, 0), (0, 1, 16_000, float("inf"))],
)
def test_senseless_arguments(arguments: tuple[Any, ...], beeps: Path) -> None:
    with pytest.raises(InputError):
        read_audio(beeps, *arguments)


def test_web_addresses_are_not_visited() -> None:
    with pytest.raises(SourceError, match="local_file"):
        read_audio("http://example.org/a.mp4")


def test_leaving_early_ends_ffmpeg(tmp_path: Path) -> None:
    path = make_beeps(tmp_path / "long.mkv", seconds=60, rate=5)
    before = psutil.Process().children()
    chunks = cast("Generator[AudioChunk]", read_audio(path, sample_rate=48_000, chunk_seconds=1))
    next(chunks)
    assert len(psutil.Process().children()) > len(before)
    chunks.close()
    assert psutil.Process().children() == before


def test_an_error_of_ffmpeg_is_one_short_reason(tmp_path: Path) -> None:
    path = tmp_path / "garbage.mp4"
    path.write_bytes(b"\0\0\0\x20ftypisom" + bytes(range(256)) * 40)
    command = input_file(path, VIDEO_FORMATS).output("pipe:", format="f32le")
    with pytest.raises(MediaError, match=r"garbage\.mp4: ffmpeg cannot read") as failure, running(command, path.name):
        pass
    assert "\n" not in str(failure.value)
    assert "0x" not in str(failure.value)
    assert str(tmp_path) not in str(failure.value)


def test_ffmpeg_need_not_be_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert Path(executable()).is_file()
