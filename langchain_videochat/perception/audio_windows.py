"""Audio as windows for Whisper: without long silence, and cut at pauses, because a word cut in two is lost."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.media import AudioChunk
from langchain_videochat.perception.noise_floor import FRAME_SAMPLES, SOUND_RATIO, NoiseFloor

SAMPLE_RATE = 16_000
"""Samples per second."""

FRAMES_PER_SECOND = SAMPLE_RATE // FRAME_SAMPLES

MAX_WINDOW_SECONDS = 30.0
"""Context of Whisper."""

MAX_SPAN_SECONDS = 60.0
"""Interval of the video that a window may cover: later Observations of all perceivers wait for it."""

BLOCK_SECONDS = 30.0
"""Length of the blocks in which the noise floor is measured."""

MARGIN_SECONDS = 1.0
"""Silence that is kept before and after a sound: with less, Whisper makes more mistakes."""

MIN_SOUND_SECONDS = 0.16
"""Duration below which a sound is a click rather than a word; the smoothing of the spectra adds 0.08 s to both."""

MIN_GAP_SECONDS = 0.2
"""Silence between two sounds that are not the same word: longer than the closure of a "t"."""

PAUSE_SECONDS = 0.3
"""Length of a pause: shorter than the gap between two phrases."""

EARLIEST_CUT = 2 / 3
"""Part of a full window after which it may be cut: a short window takes as long to decode as a long one."""


@dataclass(frozen=True, eq=False)
class AudioWindow:
    """Frames of audio, in time order. They need not be consecutive: long silence has been removed."""

    samples: NDArray[np.float32]
    """Mono samples from -1 to 1, [frames, `FRAME_SAMPLES`]."""

    times: NDArray[np.float64]
    """Start of each frame in seconds from the start of the video, [frames]."""

    ratios: NDArray[np.float32]
    """Ratio of each frame to the noise floor, [frames]."""

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, frames: "slice | NDArray[np.bool_ | np.intp]") -> "AudioWindow":
        return AudioWindow(self.samples[frames], self.times[frames], self.ratios[frames])

    def __add__(self, following: "AudioWindow") -> "AudioWindow":
        return AudioWindow(
            np.concatenate([self.samples, following.samples]),
            np.concatenate([self.times, following.times]),
            np.concatenate([self.ratios, following.ratios]),
        )

    @property
    def start(self) -> float:
        """Start in seconds from the start of the video."""
        return float(self.times[0])

    @property
    def duration(self) -> float:
        """Length in seconds, without the silence that has been removed."""
        return len(self) / FRAMES_PER_SECOND

    @cached_property
    def is_sound(self) -> NDArray[np.bool_]:
        """Whether each frame is part of a sound that is long enough for a word, [frames]."""
        return _remove_short_runs(self.ratios > SOUND_RATIO, _frames(MIN_SOUND_SECONDS))

    def find_sounds(self, frames: "NDArray[np.bool_] | slice") -> list[NDArray[np.intp]]:
        """Return the numbers of the frames of each sound among some frames.

        Args:
            frames: The frames to look at, as a mask or a slice.
        """
        is_sound = np.zeros(len(self), dtype=np.bool_)
        is_sound[frames] = self.is_sound[frames]
        numbers = np.flatnonzero(is_sound)
        gaps = np.diff(self.times[numbers]) > MIN_GAP_SECONDS
        return np.split(numbers, np.flatnonzero(gaps) + 1) if len(numbers) else []


EMPTY_WINDOW = AudioWindow(np.zeros((0, FRAME_SAMPLES), dtype=np.float32), np.zeros(0), np.zeros(0, dtype=np.float32))


class WindowCutter:
    """Removes silence from a stream of audio, and cuts the rest into windows of at most 30 seconds.

    Silence is what does not rise above the noise floor. The windows do not depend on the length of the chunks in which
    the audio comes.

    Example:
        >>> bursts = np.random.default_rng(0).normal(0, 0.1, (100, 8_000)).astype(np.float32)
        >>> bursts[1::2] *= 0.01
        >>> bursts[20:60] *= 0.01
        >>> cutter = WindowCutter()
        >>> windows = cutter.add(AudioChunk(bursts.ravel(), start=60.0)) + cutter.finish()
        >>> [(window.start, window.duration) for window in windows]
        [(60.0, 26.34), (104.8, 5.2)]
    """

    def __init__(self) -> None:
        self._noise_floor = NoiseFloor()
        self._rest = AudioChunk(np.zeros(0, dtype=np.float32), start=0.0)
        """Audio that is not a block yet."""
        self._recent = EMPTY_WINDOW
        """The end of the previous blocks: frames that decide about their neighbors, then frames to be decided about."""
        self._decided = 0
        """The number of the former."""
        self._kept = EMPTY_WINDOW
        """Frames that are not in a window yet."""

    @property
    def pending_since(self) -> float | None:
        """Start of the audio that is not in a window yet, in seconds; None if there is none."""
        starts = [self._rest.start] if len(self._rest.samples) else []
        starts += [float(times[0]) for times in (self._kept.times, self._recent.times[self._decided :]) if len(times)]
        return min(starts, default=None)

    def add(self, audio: AudioChunk) -> list[AudioWindow]:
        """Return the windows that the following audio completes."""
        start = self._rest.start if len(self._rest.samples) else audio.start
        self._rest = AudioChunk(np.concatenate([self._rest.samples, audio.samples]), start)
        windows = []
        while len(self._rest.samples) >= (block := round(BLOCK_SECONDS * SAMPLE_RATE)):
            self._measure(block)
            self._decide(len(self._recent) - _frames(MARGIN_SECONDS))
            windows += self._cut()
        return windows

    def finish(self) -> list[AudioWindow]:
        """Return the remaining windows."""
        self._measure(len(self._rest.samples))
        self._decide(len(self._recent))
        windows = self._cut()
        rest, self._kept = self._kept, EMPTY_WINDOW
        return [*windows, rest] if len(rest) else windows

    def _measure(self, count: int) -> None:
        """Measure the noise floor in the next samples, and append them to the recent frames."""
        block, start = self._rest.samples[:count], self._rest.start
        self._rest = AudioChunk(self._rest.samples[count:], start + count / SAMPLE_RATE)
        frames = np.pad(block, (0, -count % FRAME_SAMPLES)).reshape(-1, FRAME_SAMPLES)
        times = start + np.arange(len(frames)) / FRAMES_PER_SECOND
        self._recent += AudioWindow(frames, times, self._noise_floor.measure(frames))

    def _decide(self, until: int) -> None:
        """Keep the recent frames up to a number that are sound or close to one."""
        margin = _frames(MARGIN_SECONDS)
        sounds_around = np.convolve(self._recent.is_sound, np.ones(2 * margin + 1))[margin:]
        is_kept = sounds_around[self._decided : until] > 0
        self._kept += self._recent[self._decided : until][is_kept]
        first = max(0, until - margin)
        self._recent, self._decided = self._recent[first:], until - first

    def _cut(self) -> list[AudioWindow]:
        """Cut full windows from the kept frames."""
        reached = self._recent.times[self._decided - 1] if self._decided else 0.0
        windows = []
        while len(kept := self._kept) and (
            len(kept) > _frames(MAX_WINDOW_SECONDS) or reached >= kept.start + MAX_SPAN_SECONDS
        ):
            within_span = int(np.searchsorted(kept.times, kept.start + MAX_SPAN_SECONDS))
            full = min(_frames(MAX_WINDOW_SECONDS), within_span)
            cut = _find_cut(kept, round(full * EARLIEST_CUT), full, reached)
            windows.append(kept[:cut])
            self._kept = kept[cut:]
        return windows


def quietest(ratios: NDArray[np.float32]) -> int:
    """Return the middle of the quietest pause.

    Args:
        ratios: Ratio to the noise floor of consecutive frames.
    """
    length = min(_frames(PAUSE_SECONDS), len(ratios))
    return int(np.convolve(ratios, np.ones(length), mode="valid").argmin()) + length // 2


def _find_cut(window: AudioWindow, earliest: int, latest: int, reached: float) -> int:
    """Return the frame before which to cut: where most silence has been removed, or else at the quietest pause."""
    earliest = max(1, earliest)
    steps = np.diff(window.times, append=reached)[earliest - 1 : latest]
    if steps.max() > 1.5 / FRAMES_PER_SECOND:
        return earliest + int(steps.argmax())
    return earliest + quietest(window.ratios[earliest:latest])


def _remove_short_runs(mask: NDArray[np.bool_], length: int) -> NDArray[np.bool_]:
    """Clear runs of set frames that are shorter than a length, except at the edges, where they may continue."""
    padded = np.pad(mask, length, constant_values=True)
    is_run = np.convolve(padded, np.ones(length), mode="valid") == length
    return (np.convolve(is_run, np.ones(length)) > 0)[length:-length]


def _frames(seconds: float) -> int:
    return round(seconds * FRAMES_PER_SECOND)
