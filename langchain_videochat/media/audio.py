"""The sound of a video as one steady stream of samples, placed by its times."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from numpy.typing import NDArray

from langchain_videochat.errors import InputError, MediaError
from langchain_videochat.media.container import VIDEO_FORMATS, open_container
from langchain_videochat.media.ffmpeg import input_file, place_sound, running, seek_options
from langchain_videochat.media.packets import demux, index_packets
from langchain_videochat.media.sources import local_path

SOUND_FORMATS = (*VIDEO_FORMATS, "wav", "mp3", "flac", "aac", "aiff")

# ffmpeg holds the silence of a gap in memory, up to 4 bytes a sample: no more of it than one run may need.
_SECONDS_A_RUN = 600.0

_MARGIN = 0.05
_SAMPLE_BYTES = 4


@dataclass(frozen=True, eq=False)
class AudioChunk:
    """A stretch of sound."""

    samples: NDArray[np.float32]
    """Mono samples from -1 to 1, [N]."""

    start: float
    """When the first sample is heard: seconds from the first frame of the video."""


@dataclass(frozen=True)
class _Track:
    path: Path
    stream: int
    origin: float
    duration: float


def read_audio(
    source: str | Path,
    start: float | None = None,
    end: float | None = None,
    sample_rate: int = 16_000,
    chunk_seconds: float = 30.0,
) -> Iterator[AudioChunk]:
    """Yield the sound of a video in chunks of equal length, the last one as long as what remains.

    Where the file has no sound, before a late beginning, in gaps and after an early end, the samples are zero: a
    sample's place in the stream is its time. Memory is needed for a chunk, or for ten minutes if that is longer.

    Args:
        source: A local file; also one with sound alone, whose times count from its first sample.
        start: Seconds from the first frame of the video; the start of the video if None.
        end: Seconds; the end of the video if None or later than that.
        sample_rate: Samples a second.
        chunk_seconds: Length of a chunk; chunk k begins at `start + k * chunk_seconds`.

    Raises:
        SourceError: There is no such file.
        MediaError: The file has no sound, or it cannot be decoded.
        InputError: An argument is out of range.

    Example:
        >>> for chunk in read_audio("talk.mp4"):  # doctest: +SKIP
        ...     print(chunk.start, chunk.samples.shape)
        0.0 (480000,)
        30.0 (480000,)
    """
    first = 0.0 if start is None else start
    if not 0 <= first < math.inf or (end is not None and not end > first):
        raise InputError("start, end", f"{start} to {end} is no stretch of time", "Give seconds, start before end")
    if not 1 <= chunk_seconds * sample_rate < math.inf:
        raise InputError("sample_rate, chunk_seconds", "make no chunk of samples", "Give positive numbers")
    track = _find_track(local_path(source))
    last = track.duration if end is None else min(end, track.duration)
    return _read(track, first, last, sample_rate, chunk_seconds)


def _find_track(path: Path) -> _Track:
    with open_container(path, SOUND_FORMATS) as container:
        stream = container.streams.best("audio")
        if not isinstance(stream, AudioStream):
            raise MediaError(path, "this file has no sound", "Give a file with an audio track")
        if all(each.disposition & Disposition.attached_pic for each in container.streams.video):
            return _Track(path, stream.index, *_span(container, stream))
        number = stream.index
    index = index_packets(path)
    return _Track(path, number, index.origin, index.duration)


def _span(container: InputContainer, stream: AudioStream) -> tuple[float, float]:
    """Find when sound without pictures begins on the file's own clock, and how long it is, both in seconds."""
    packets = [(packet.pts, packet.duration or 0) for packet in demux(container, stream) if packet.pts is not None]
    if not packets or stream.time_base is None:
        raise MediaError(container.name, "the sound of this file has no times", "Convert it to another format")
    begin = packets[0][0] if stream.start_time is None else stream.start_time
    end = max(stamp + length for stamp, length in packets)
    return float(begin * stream.time_base), float((end - begin) * stream.time_base)


def _read(track: _Track, start: float, end: float, rate: int, chunk_seconds: float) -> Iterator[AudioChunk]:
    total = round((end - start) * rate)
    count = math.ceil(total / (chunk_seconds * rate))
    edges = [min(round(k * chunk_seconds * rate), total) for k in range(count + 1)]
    chunks_a_run = max(1, int(_SECONDS_A_RUN / chunk_seconds))
    for run in range(0, count, chunks_a_run):
        run_edges = edges[run : run + chunks_a_run + 1]
        command = _command(track, start + run_edges[0] / rate, start + run_edges[-1] / rate, rate)
        with running(command, track.path) as sound:
            for number, (first, last) in enumerate(pairwise(run_edges), start=run):
                yield AudioChunk(_take(sound, last - first), start + number * chunk_seconds)


def _command(track: _Track, start: float, end: float, rate: int) -> Any:
    """Describe the decoding of one stretch, whose first sample is the one at `start`."""
    begin = track.origin + start
    sound = input_file(track.path, SOUND_FORMATS, **seek_options(begin))[str(track.stream)]
    # Resampling needs neighbours on both sides, or each run would begin and end with a small click.
    near = sound.filter("atrim", start=f"{begin - _MARGIN:.6f}", end=f"{track.origin + end + _MARGIN:.6f}")
    mono = near.filter("aformat", sample_fmts="flt", sample_rates=rate, channel_layouts="mono")
    return place_sound(mono, begin).output("pipe:", format="f32le")


def _take(sound: IO[bytes], count: int) -> NDArray[np.float32]:
    """Read samples, and silence where the sound has ended."""
    data = sound.read(count * _SAMPLE_BYTES)
    samples = np.zeros(count, dtype=np.float32)
    samples[: len(data) // _SAMPLE_BYTES] = np.frombuffer(data, dtype="<f4", count=len(data) // _SAMPLE_BYTES)
    return np.clip(samples, -1, 1, out=samples)
