"""Audio windows: sound above the noise floor, without long silence, cut at pauses."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from langchain_videochat.media import AudioChunk
from langchain_videochat.perception.audio_windows import AudioWindow, WindowCutter
from tests.tiny_whisper import high

RATE = 16_000

Bursts = list[tuple[float, float]]
"""Seconds of sound and of the following silence."""

bursts = st.lists(
    st.tuples(st.integers(10, 80).map(lambda tenths: tenths / 10), st.integers(5, 10).map(lambda tenths: tenths / 10)),
    min_size=1,
    max_size=25,
)


def _noise(seconds: float, level: float = 0.1, color: float = 0.0) -> NDArray[np.float32]:
    """Return noise whose power falls with a power of the frequency: 0 is white, 1 pink, 2 brown."""
    samples = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(0).normal(size=samples))
    frequencies = np.maximum(np.fft.rfftfreq(samples, 1 / RATE), 20.0)
    noise = np.fft.irfft(spectrum * frequencies ** (-color / 2), samples)
    return np.asarray(level * noise / noise.std(), dtype=np.float32)


def _silence(seconds: float) -> NDArray[np.float32]:
    return np.zeros(round(seconds * RATE), dtype=np.float32)


def _record(*parts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Join sounds, with the hiss of a microphone."""
    sound = np.concatenate(parts)
    return np.asarray(sound + _noise(len(sound) / RATE, 0.002), dtype=np.float32)


def _cut(sound: NDArray[np.float32], chunk_seconds: float = 30.0) -> list[AudioWindow]:
    cutter = WindowCutter()
    length = round(chunk_seconds * RATE)
    chunks = [AudioChunk(sound[first : first + length], first / RATE) for first in range(0, len(sound), length)]
    return [window for chunk in chunks for window in cutter.add(chunk)] + cutter.finish()


def _spans(windows: list[AudioWindow]) -> list[tuple[float, float]]:
    return [(window.start, float(window.times[-1]) + 0.02) for window in windows]


@settings(max_examples=25, deadline=None)
@given(bursts)
def test_no_burst_of_sound_is_cut(lengths: Bursts) -> None:
    windows = _cut(_record(*(part for loud, quiet in lengths for part in (high(loud), _silence(quiet)))))
    assert all(window.duration <= 30.0 for window in windows)
    assert all(before[1] <= after[0] + 1e-6 for before, after in pairwise(_spans(windows)))
    time = 0.0
    for loud, quiet in lengths:
        assert any(start <= time + 1e-6 and time + loud - 1e-6 <= end for start, end in _spans(windows))
        time += loud + quiet


@settings(max_examples=10, deadline=None)
@given(bursts, st.sampled_from([0.5, 7.0, 45.0]))
def test_windows_do_not_depend_on_the_chunks(lengths: Bursts, chunk_seconds: float) -> None:
    sound = _record(*(part for loud, quiet in lengths for part in (high(loud), _silence(quiet))))
    streamed, whole = _cut(sound, chunk_seconds), _cut(sound, 300.0)
    assert np.array(_spans(streamed)) == pytest.approx(np.array(_spans(whole)))
    for one, other in zip(streamed, whole, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)


def test_audio_without_a_pause_is_cut_where_it_is_quietest() -> None:
    sound = _record(_silence(5), _noise(40, 0.01))
    sound[31 * RATE : 32 * RATE] *= 0.5
    windows = _cut(sound)
    assert 31.0 < _spans(windows)[0][1] < 32.0
    assert sum(window.duration for window in windows) == pytest.approx(41.0, abs=0.2)


def test_long_silence_is_removed() -> None:
    (window,) = _cut(_record(_silence(10), _noise(1), _silence(10), _noise(2), _silence(10)))
    assert window.duration == pytest.approx(1 + 2 + 4 * 1.0, abs=0.2)
    steps = np.diff(window.times)
    assert steps.max() == pytest.approx(10 - 2 * 1.0, abs=0.2)
    assert window.start == pytest.approx(9.0, abs=0.1)


def test_a_window_covers_at_most_a_minute() -> None:
    windows = _cut(_record(*[_noise(1), _silence(19)] * 15))
    assert all(end - start <= 60.0 for start, end in _spans(windows))
    assert len(windows) == 5


@pytest.mark.parametrize("color", [0.0, 1.0, 2.0], ids=["white", "pink", "brown"])
@pytest.mark.parametrize("level", [1e-4, 0.01, 0.3])
def test_noise_is_silence(level: float, color: float) -> None:
    assert _cut(_noise(90, level, color)) == []


@pytest.mark.parametrize("color", [0.0, 1.0, 2.0], ids=["white", "pink", "brown"])
@pytest.mark.parametrize("gain", [1.0, 0.003])
def test_sound_is_found_in_noise_of_the_same_level(gain: float, color: float) -> None:
    sound = _noise(60, 0.1, color) + np.concatenate([_silence(30), _noise(2, 0.1), _silence(28)])
    (window,) = _cut(gain * sound)
    numbers = np.flatnonzero(window.is_sound)
    assert window.times[numbers[[0, -1]]] == pytest.approx([30.0, 32.0], abs=0.15)


def test_a_hum_and_an_offset_are_silence() -> None:
    times = np.arange(60 * RATE) / RATE
    hum = np.sum([0.1 / part * np.sin(2 * np.pi * 50 * part * times) for part in (1, 2, 3, 5)], axis=0)
    assert _cut(np.asarray(hum + 0.2, dtype=np.float32)) == []


def test_a_click_is_silent() -> None:
    assert _cut(_record(_silence(5), _noise(0.02), _silence(5))) == []
    assert len(_cut(_record(_silence(5), _noise(0.3), _silence(5)))) == 1


def test_pending_audio_starts_with_the_earliest_sound_that_is_not_in_a_window() -> None:
    cutter = WindowCutter()
    assert cutter.pending_since is None
    cutter.add(AudioChunk(_record(_silence(10), _noise(1), _silence(19)), start=100.0))
    assert cutter.pending_since == pytest.approx(109.0, abs=0.1)
    cutter.finish()
    assert cutter.pending_since is None
