"""Audio cut at pauses, because a word that is cut in two is transcribed wrongly."""

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.media import AudioChunk

SAMPLE_RATE = 16_000
"""Samples per second."""

MAX_WINDOW_SECONDS = 30.0
"""Context of Whisper."""

MIN_CUT_SECONDS = 20.0
"""Earliest cut of a window: a short window takes as long to decode, and ten more seconds usually contain a pause."""

PAUSE_SECONDS = 0.3
"""Length of a pause: longer than the closure of a "t", shorter than the gap between two phrases."""

SILENCE_RMS = 0.002
"""Root mean square below which a frame of samples from -1 to 1 is silent.

The noise of microphones is about 0.001, whispering 0.01."""

MIN_SOUND_SECONDS = 0.1
"""Duration below which a sound is a click rather than a word."""

MARGIN_SECONDS = 0.2
"""Silence that is kept before a sound, because words begin softly."""

FRAME_SECONDS = 0.02
"""Interval over which loudness is measured: longer than a period of the voice, shorter than a phoneme."""

EMPTY_AUDIO = AudioChunk(np.zeros(0, dtype=np.float32), start=0.0)


def cut_at_pauses(audio: AudioChunk) -> tuple[list[AudioChunk], AudioChunk]:
    """Cut audio into windows of 20 to 30 seconds where it is quietest, and skip the silence before each.

    Returns:
        The windows, and the rest of less than 30 seconds, to which the following audio is to be appended.

    Example:
        >>> speech = np.ones(45 * SAMPLE_RATE, dtype=np.float32)
        >>> speech[24 * SAMPLE_RATE : 25 * SAMPLE_RATE] = 0.0
        >>> (window,), rest = cut_at_pauses(AudioChunk(speech, start=60.0))
        >>> 24.0 < duration(window) < 25.0
        True
        >>> rest.start
        84.8
    """
    windows = []
    while duration(audio := skip_silence(audio)) >= MAX_WINDOW_SECONDS:
        pause = _find_pause(slice_audio(audio, MIN_CUT_SECONDS, MAX_WINDOW_SECONDS))
        windows.append(slice_audio(audio, 0.0, MIN_CUT_SECONDS + pause))
        audio = slice_audio(audio, MIN_CUT_SECONDS + pause)
    return windows, audio


def skip_silence(audio: AudioChunk) -> AudioChunk:
    """Remove the silence at the beginning."""
    loud = _loud_frames(audio)
    return slice_audio(audio, max(0.0, loud[0] * FRAME_SECONDS - MARGIN_SECONDS) if len(loud) else duration(audio))


def is_silent(audio: AudioChunk) -> bool:
    """Return whether audio is too quiet or too short to contain a word."""
    return len(_loud_frames(audio)) * FRAME_SECONDS < MIN_SOUND_SECONDS


def concatenate(audio: AudioChunk, following: AudioChunk) -> AudioChunk:
    """Append the audio that follows."""
    start = audio.start if len(audio.samples) else following.start
    return AudioChunk(np.concatenate([audio.samples, following.samples]), start)


def slice_audio(audio: AudioChunk, start: float, end: float | None = None) -> AudioChunk:
    """Return an interval of audio, in seconds from its beginning; up to its end if `end` is None."""
    first = round(start * SAMPLE_RATE)
    last = None if end is None else round(end * SAMPLE_RATE)
    return AudioChunk(audio.samples[first:last], audio.start + first / SAMPLE_RATE)


def duration(audio: AudioChunk) -> float:
    """Return the duration in seconds."""
    return len(audio.samples) / SAMPLE_RATE


def _find_pause(audio: AudioChunk) -> float:
    """Return the middle of the quietest pause in seconds from the beginning."""
    frames = round(PAUSE_SECONDS / FRAME_SECONDS)
    energy = np.convolve(_power(audio), np.ones(frames), mode="valid")
    return (int(energy.argmin()) + frames // 2) * FRAME_SECONDS


def _loud_frames(audio: AudioChunk) -> NDArray[np.intp]:
    return np.flatnonzero(_power(audio) >= SILENCE_RMS**2)


def _power(audio: AudioChunk) -> NDArray[np.float32]:
    """Return the mean square of the samples of each frame."""
    length = round(FRAME_SECONDS * SAMPLE_RATE)
    frames = np.pad(audio.samples, (0, -len(audio.samples) % length)).reshape(-1, length)
    return np.asarray(np.square(frames).mean(axis=1))
