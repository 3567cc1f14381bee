"""Sound cut at its pauses: a word that is cut in two is misheard."""

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.media import AudioChunk

SAMPLE_RATE = 16_000
"""Samples a second."""

LONGEST_WINDOW = 30.0
"""Seconds that Whisper hears at once."""

EARLIEST_CUT = 20.0
"""Seconds before which a window is not cut: decoding a short one takes as long. In ten more somebody draws breath."""

PAUSE = 0.3
"""Seconds that have to be quiet together: longer than the stop in a "t", shorter than between two phrases."""

SILENCE = 0.002
"""Loudness below which nobody speaks: the root mean square of samples from -1 to 1, over a frame.

The noise of microphones is about 0.001, whispering 0.01."""

SHORTEST_SOUND = 0.1
"""Seconds of sound below which it is a click and no word."""

MARGIN = 0.2
"""Seconds of silence left before sound: words begin softly."""

FRAME = 0.02
"""Seconds over which loudness is measured: longer than a vibration of the voice, shorter than a sound of speech."""

NO_SOUND = AudioChunk(np.zeros(0, dtype=np.float32), start=0.0)


def cut_at_pauses(sound: AudioChunk) -> tuple[list[AudioChunk], AudioChunk]:
    """Cut sound into windows of 20 to 30 seconds where it is quietest, and leave out silence before each.

    Returns:
        The windows, and the rest: less than 30 seconds, which wait for what follows.

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
    while duration(sound := skip_silence(sound)) >= LONGEST_WINDOW:
        pause = _quietest(part(sound, EARLIEST_CUT, LONGEST_WINDOW))
        windows.append(part(sound, 0.0, EARLIEST_CUT + pause))
        sound = part(sound, EARLIEST_CUT + pause)
    return windows, sound


def skip_silence(sound: AudioChunk) -> AudioChunk:
    """Leave out the silence at the beginning; all of it, if there is nothing else."""
    loud = _loud_frames(sound)
    return part(sound, max(0.0, loud[0] * FRAME - MARGIN) if len(loud) else duration(sound))


def is_silent(sound: AudioChunk) -> bool:
    """Tell whether sound is too quiet, or too short, for a word.

    Example:
        >>> is_silent(AudioChunk(np.zeros(16_000, dtype=np.float32), start=0.0))
        True
    """
    return len(_loud_frames(sound)) * FRAME < SHORTEST_SOUND


def join(sound: AudioChunk, following: AudioChunk) -> AudioChunk:
    """Put sound together with what follows on it."""
    start = sound.start if len(sound.samples) else following.start
    return AudioChunk(np.concatenate([sound.samples, following.samples]), start)


def part(sound: AudioChunk, start: float, end: float | None = None) -> AudioChunk:
    """Take a stretch of sound, given in seconds from its beginning; up to its end if `end` is None."""
    first = round(start * SAMPLE_RATE)
    last = None if end is None else round(end * SAMPLE_RATE)
    return AudioChunk(sound.samples[first:last], sound.start + first / SAMPLE_RATE)


def duration(sound: AudioChunk) -> float:
    """Tell how many seconds sound lasts."""
    return len(sound.samples) / SAMPLE_RATE


def _quietest(sound: AudioChunk) -> float:
    """Find the middle of the quietest pause, in seconds from the beginning."""
    frames = round(PAUSE / FRAME)
    noise = np.convolve(_power(sound), np.ones(frames), mode="valid")
    return (int(noise.argmin()) + frames // 2) * FRAME


def _loud_frames(sound: AudioChunk) -> NDArray[np.intp]:
    return np.flatnonzero(_power(sound) >= SILENCE**2)


def _power(sound: AudioChunk) -> NDArray[np.float32]:
    """Average the squares of the samples, frame by frame."""
    length = round(FRAME * SAMPLE_RATE)
    frames = np.pad(sound.samples, (0, -len(sound.samples) % length)).reshape(-1, length)
    return np.asarray(np.square(frames).mean(axis=1))
