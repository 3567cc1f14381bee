"""Sound of a video as a continuous stream of samples on the clock of a player."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.errors import InputError
from langchain_videochat.media.audio_decoding import Piece, decode_audio
from langchain_videochat.media.damage import OnDamage, log_damage
from langchain_videochat.media.index import index_media
from langchain_videochat.media.isolation import isolatable
from langchain_videochat.media.sources import local_path
from langchain_videochat.media.tracks import Track, choose_audio
from langchain_videochat.utils.interval import Interval


@dataclass(frozen=True, eq=False)
class AudioChunk:
    """Consecutive audio samples."""

    samples: NDArray[np.float32]
    """Mono samples from -1 to 1, [N]."""

    start: float
    """Time of the first sample, in seconds."""


@isolatable
def read_audio(
    source: str | Path,
    start: float | None = None,
    end: float | None = None,
    sample_rate: int = 16_000,
    chunk_seconds: float = 30.0,
    *,
    track: Track | None = None,
    on_damage: OnDamage = log_damage,
) -> Iterator[AudioChunk]:
    """Read the audio of a video in chunks of equal length, except that the last one may be shorter.

    Samples are zero where the file has no audio: before a late start, in gaps and after an early end. Therefore the
    position of a sample determines its time. Memory use is that of one chunk. Channels are mixed so that they do not
    cancel each other out.

    Args:
        source: A local video or audio file.
        start: Seconds; the start of the video if None.
        end: Seconds; the end of the video if None or later than that.
        sample_rate: Samples per second.
        chunk_seconds: Length of a chunk; chunk k starts at `start + k * chunk_seconds`.
        track: Number of an audio track, as in `StreamInfo`, or a language; the default track if None.
        on_damage: Called with the sound that cannot be decoded.

    Yields:
        Chunks of mono audio.

    Raises:
        SourceError: The file does not exist.
        MediaError: The file has no audio, or it cannot be opened.
        InputError: An argument is out of range, or there is no such track.

    Example:
        >>> for chunk in read_audio("talk.mp4"):  # doctest: +SKIP
        ...     print(chunk.start, chunk.samples.shape)
        0.0 (480000,)
        30.0 (480000,)
    """
    interval = Interval.of(start, end)
    if not 1 <= chunk_seconds * sample_rate < math.inf:
        raise InputError("sample_rate, chunk_seconds", "a chunk must hold at least one sample", "Give positive numbers")
    path = local_path(source)
    index = index_media(path)
    chosen = choose_audio(path, index, track)
    clipped = Interval(interval.start, max(interval.start, min(interval.end, index.duration)))
    pieces = decode_audio(path, index, chosen, clipped, sample_rate, on_damage)
    return _fill(pieces, clipped, sample_rate, chunk_seconds)


def _fill(pieces: Iterator[Piece], interval: Interval, rate: int, chunk_seconds: float) -> Iterator[AudioChunk]:
    """Put pieces into chunks, which are silent elsewhere."""
    first = round(interval.start * rate)
    last = first + round((interval.end - interval.start) * rate)
    count = math.ceil((last - first) / (chunk_seconds * rate))
    bounds = [min(first + round(number * chunk_seconds * rate), last) for number in range(count + 1)]
    piece = next(pieces, None)
    for number, (begin, end) in enumerate(pairwise(bounds)):
        samples = np.zeros(end - begin, dtype=np.float32)
        while piece is not None and piece.position < end:
            _copy(piece, samples, begin)
            if piece.end > end:
                break
            piece = next(pieces, None)
        yield AudioChunk(samples, interval.start + number * chunk_seconds)


def _copy(piece: Piece, samples: NDArray[np.float32], begin: int) -> None:
    """Copy the part of a piece that belongs into samples beginning at `begin`."""
    first, last = max(piece.position, begin), min(piece.end, begin + len(samples))
    if first < last:
        part = piece.samples[first - piece.position : last - piece.position]
        samples[first - begin : last - begin] = np.nan_to_num(part).clip(-1, 1)
