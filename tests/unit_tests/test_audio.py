"""Audio is aligned with its timestamps in every container."""

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
from langchain_videochat.media import Damage, probe
from langchain_videochat.media.audio import AudioChunk, read_audio
from langchain_videochat.media.container import VIDEO_FORMATS
from langchain_videochat.media.ffmpeg import ffmpeg_process, find_ffmpeg, input_file
from tests.media_files import STRANGE_NAMES, make_beeps, make_traps, onsets, run_ffmpeg

RATE = 16_000
PRIMING = 1024 / 48_000
"""Seconds of inaudible AAC before the first sample, which FLV and MPEG streams don't mark as such."""
TOLERANCE = 0.025


@pytest.fixture(scope="module")
def beeps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_beeps(tmp_path_factory.mktemp("beeps") / "beeps.mp4")


def samples_of(path: str | Path, *arguments: Any) -> NDArray[np.float32]:
    return np.concatenate([chunk.samples for chunk in read_audio(path, *arguments)])


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("plain.mp4", {}, [0, 1, 2, 3, 4, 5]),
        ("plain.avi", {"audio_codec": "pcm_s16le"}, [0, 1, 2, 3, 4, 5]),
        ("plain.flv", {}, [time + PRIMING for time in range(6)]),
        ("starts at 1.4.ts", {}, [time + PRIMING for time in range(6)]),
        ("starts at 5.mkv", {"start": 5}, [0, 1, 2, 3, 4, 5]),
        ("late audio.mp4", {"audio_delay": 2}, [2, 3, 4, 5, 6, 7]),
        ("late audio.ts", {"audio_delay": 2, "audio_codec": "mp2"}, [2, 3, 4, 5, 6, 7]),
        ("late audio.webm", {"audio_delay": 2, "audio_codec": "libopus"}, [2, 3, 4, 5, 6, 7]),
        ("late video.mkv", {"video_delay": 1.5, "audio_codec": "flac"}, [0, 1, 2, 3, 4, 5]),
        ("gap.mkv", {"audio_filter": "aselect='not(between(t,1.5,3.5))'"}, [0, 1, 4, 5]),
        ("gap.mp4", {"audio_filter": "aselect='not(between(t,1.5,3.5))'"}, [0, 1, 4, 5]),
        ("early end.mkv", {"audio_filter": "atrim=end=2.5"}, [0, 1, 2]),
    ],
)
def test_beeps_are_at_their_times(name: str, options: dict[str, Any], expected: list[float], tmp_path: Path) -> None:
    offset = ["-output_ts_offset", str(options.pop("start"))] if "start" in options else []
    path = make_beeps(tmp_path / name, *offset, **options)
    samples = samples_of(path)
    assert len(samples) == round(probe(path).duration * RATE)
    assert onsets(samples) == pytest.approx(expected, abs=TOLERANCE)
    later = [time - 1.25 for time in expected if 1.25 <= time < 5.75]
    assert onsets(samples_of(path, 1.25, 5.75)) == pytest.approx(later, abs=TOLERANCE)


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 5.9), st.floats(0.1, 7), st.floats(0.05, 4), st.sampled_from([8_000, 16_000, 44_100]))
def test_any_interval(beeps: Path, start: float, length: float, chunk_seconds: float, rate: int) -> None:
    end = start + length
    chunks = list(read_audio(beeps, start, end, sample_rate=rate, chunk_seconds=chunk_seconds))
    assert [chunk.start for chunk in chunks] == [start + k * chunk_seconds for k in range(len(chunks))]
    samples = np.concatenate([chunk.samples for chunk in chunks])
    assert len(samples) == round((min(end, 6) - start) * rate)
    assert all(len(chunk.samples) == pytest.approx(chunk_seconds * rate, abs=1) for chunk in chunks[:-1])
    assert samples.dtype == np.float32
    found = onsets(samples, rate) + start
    expected = [time for time in range(6) if start + 0.02 < time < end - 0.02]
    assert all(np.abs(found - time).min() < TOLERANCE for time in expected)
    # Any other onset is in the middle of a beep at the start, or is the beginning of one at the very end.
    assert len(found) - len(expected) <= (start % 1 < 0.13 or start % 1 > 0.97) + (end % 1 < 0.03 or end % 1 > 0.97)


def test_a_long_video_is_read_seamlessly_in_several_runs(tmp_path: Path) -> None:
    path = tmp_path / "long.mkv"
    run_ffmpeg("-f", "lavfi", "-i", "color=s=16x16:r=1:d=1300", "-f", "lavfi", "-i", "sine=f=100:r=16000:d=1300",
               "-preset", "ultrafast", "-g", "7", "-c:a", "flac", str(path))  # fmt: skip
    chunks = list(read_audio(path))
    assert [chunk.start for chunk in chunks] == [30.0 * k for k in range(44)]
    samples = np.concatenate([chunk.samples for chunk in chunks])
    expected = 0.125 * np.sin(2 * np.pi * 100 * np.arange(1300 * RATE) / RATE)
    assert np.abs(samples - expected).max() < 0.125 * 2 * np.pi * 100 * 0.001


def test_times_of_an_audio_file_count_from_its_start(tmp_path: Path) -> None:
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
    # Without a whitelist, ffmpeg opens the other file.
    run_ffmpeg("-i", str(script), "-f", "null", "-")
    for trap in (script, playlist):
        with pytest.raises(MediaError):
            read_audio(trap)
        # ffmpeg is protected, too, and does not depend on the check by PyAV.
        command = input_file(trap, VIDEO_FORMATS).output("pipe:", format="f32le")
        with pytest.raises(MediaError), ffmpeg_process(command, trap) as audio:
            assert audio.read() == b""


def test_video_without_audio(tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "color=s=16x16:d=1", str(path))
    with pytest.raises(MediaError, match="no audio"):
        read_audio(path)


def test_damaged_audio_is_silence_and_later_audio_keeps_its_time(tmp_path: Path) -> None:
    path = make_beeps(tmp_path / "damaged.ts")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 188 * 188
    data[middle : middle + 188 * (len(data) // 188 // 6)] = bytes(188 * (len(data) // 188 // 6))
    path.write_bytes(data)
    samples = samples_of(path)
    assert onsets(samples)[[0, 1, -1]] == pytest.approx([PRIMING, 1 + PRIMING, 5 + PRIMING], abs=TOLERANCE)


@pytest.mark.parametrize("rate", [1, 7, 2**31 - 1])
def test_impossible_sample_rates_are_damage(rate: int, tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    run_ffmpeg("-f", "lavfi", "-i", "sine=d=1", "-ar", "8000", str(path))
    data = bytearray(path.read_bytes())
    data[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(data)
    damage: list[Damage] = []
    chunks = list(read_audio(path, end=10, on_damage=damage.append))
    assert all(not chunk.samples.any() for chunk in chunks)
    assert damage or not chunks


def test_an_interval_after_the_end_is_empty(beeps: Path) -> None:
    assert list(read_audio(beeps, 6)) == []


@pytest.mark.parametrize(
    "arguments",
    [(-1, 2), (3, 3), (3, 2), (float("nan"), 2), (0, 1, 0), (0, 1, 16_000, 0), (0, 1, 16_000, float("inf"))],
)
def test_invalid_arguments(arguments: tuple[Any, ...], beeps: Path) -> None:
    with pytest.raises(InputError):
        read_audio(beeps, *arguments)


def test_web_addresses_are_refused() -> None:
    with pytest.raises(SourceError, match="local_file"):
        read_audio("http://example.org/a.mp4")


def test_closing_the_iterator_closes_the_file(tmp_path: Path) -> None:
    path = make_beeps(tmp_path / "long.mkv", seconds=60, rate=5)
    chunks = cast("Generator[AudioChunk]", read_audio(path, sample_rate=48_000, chunk_seconds=1))
    next(chunks)
    assert str(path) in {file.path for file in psutil.Process().open_files()}
    chunks.close()
    assert str(path) not in {file.path for file in psutil.Process().open_files()}


def test_ffmpeg_errors_are_reported_in_one_short_line(tmp_path: Path) -> None:
    path = tmp_path / "garbage.mp4"
    path.write_bytes(b"\0\0\0\x20ftypisom" + bytes(range(256)) * 40)
    command = input_file(path, VIDEO_FORMATS).output("pipe:", format="f32le")
    with (
        pytest.raises(MediaError, match=r"garbage\.mp4: ffmpeg cannot read") as failure,
        ffmpeg_process(command, path.name),
    ):
        pass
    assert "\n" not in str(failure.value)
    assert "0x" not in str(failure.value)
    assert str(tmp_path) not in str(failure.value)


def test_ffmpeg_is_found_without_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert Path(find_ffmpeg()).is_file()
