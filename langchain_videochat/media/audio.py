"""Audio of a video as a continuous stream of samples, aligned with the video's time."""

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
from langchain_videochat.media.ffmpeg import align_audio, ffmpeg_process, input_file, seek_options
from langchain_videochat.media.packets import demux, index_packets
from langchain_videochat.media.sources import local_path
from langchain_videochat.utils.interval import Interval

AUDIO_FORMATS = (*VIDEO_FORMATS, "wav", "mp3", "flac", "aac", "aiff")

# ffmpeg keeps the silence of a gap in memory, up to 4 bytes per sample. Separate runs limit it.
_MAX_RUN_SECONDS = 600.0

# Resampling needs neighbors on both sides, or each run would begin and end with a click.
_RESAMPLING_MARGIN_SECONDS = 0.05

_SAMPLE_BYTES = 4


@dataclass(frozen=True, eq=False)
class AudioChunk:
    """Consecutive audio samples."""

    samples: NDArray[np.float32]
    """Mono samples from -1 to 1, [N]."""

    start: float
    """Time of the first sample, in seconds from the first frame of the video."""


@dataclass(frozen=True)
class _Track:
    path: Path
    stream: int
    start_time: float
    """Timestamp of time 0, in seconds."""
    duration: float


def read_audio(
    source: str | Path,
    start: float | None = None,
    end: float | None = None,
    sample_rate: int = 16_000,
    chunk_seconds: float = 30.0,
) -> Iterator[AudioChunk]:
    """Read the audio of a video in chunks of equal length, except that the last one may be shorter.

    Samples are zero where the file has no audio: before a late start, in gaps and after an early end. Therefore the
    position of a sample determines its time. Memory use is that of one chunk, or of ten minutes if that is more.

    Args:
        source: A local video or audio file. The times of an audio file count from its first sample.
        start: Seconds from the first frame of the video; the start of the video if None.
        end: Seconds; the end of the video if None or later than that.
        sample_rate: Samples per second.
        chunk_seconds: Length of a chunk; chunk k starts at `start + k * chunk_seconds`.

    Yields:
        Chunks of mono audio.

    Raises:
        SourceError: The file does not exist.
        MediaError: The file has no audio, or it cannot be decoded.
        InputError: An argument is out of range.

    Example:
        >>> for chunk in read_audio("talk.mp4"):  # doctest: +SKIP
        ...     print(chunk.start, chunk.samples.shape)
        0.0 (480000,)
        30.0 (480000,)
    """
    interval = Interval.of(start, end)
    if not 1 <= chunk_seconds * sample_rate < math.inf:
        raise InputError("sample_rate, chunk_seconds", "a chunk must hold at least one sample", "Give positive numbers")
    track = _find_track(local_path(source))
    return _read(track, interval.start, min(interval.end, track.duration), sample_rate, chunk_seconds)


def _find_track(path: Path) -> _Track:
    with open_container(path, AUDIO_FORMATS) as container:
        stream = container.streams.best("audio")
        if not isinstance(stream, AudioStream):
            raise MediaError(path, "this file has no audio", "Give a file with an audio stream")
        number = stream.index
        if all(each.disposition & Disposition.attached_pic for each in container.streams.video):
            return _Track(path, number, *_audio_span(container, stream))
    index = index_packets(path)
    return _Track(path, number, index.start_time, index.duration)


def _audio_span(container: InputContainer, stream: AudioStream) -> tuple[float, float]:
    """Return the first timestamp and the duration of a file without video, in seconds."""
    packets = [(packet.pts, packet.duration or 0) for packet in demux(container, stream) if packet.pts is not None]
    if not packets or stream.time_base is None:
        raise MediaError(container.name, "the audio of this file has no timestamps", "Convert it to another format")
    start = packets[0][0] if stream.start_time is None else stream.start_time
    end = max(pts + duration for pts, duration in packets)
    return float(start * stream.time_base), float((end - start) * stream.time_base)


def _read(track: _Track, start: float, end: float, rate: int, chunk_seconds: float) -> Iterator[AudioChunk]:
    total = round((end - start) * rate)
    count = math.ceil(total / (chunk_seconds * rate))
    bounds = [min(round(k * chunk_seconds * rate), total) for k in range(count + 1)]
    chunks_per_run = max(1, int(_MAX_RUN_SECONDS / chunk_seconds))
    for run in range(0, count, chunks_per_run):
        run_bounds = bounds[run : run + chunks_per_run + 1]
        command = _command(track, start + run_bounds[0] / rate, start + run_bounds[-1] / rate, rate)
        with ffmpeg_process(command, track.path) as audio:
            for number, (first, last) in enumerate(pairwise(run_bounds), start=run):
                yield AudioChunk(_read_samples(audio, last - first), start + number * chunk_seconds)


def _command(track: _Track, start: float, end: float, rate: int) -> Any:
    start, end = track.start_time + start, track.start_time + end
    stream = input_file(track.path, AUDIO_FORMATS, **seek_options(start))[str(track.stream)]
    margin = _RESAMPLING_MARGIN_SECONDS
    trimmed = stream.filter("atrim", start=f"{start - margin:.6f}", end=f"{end + margin:.6f}")
    mono = trimmed.filter("aformat", sample_fmts="flt", sample_rates=rate, channel_layouts="mono")
    return align_audio(mono, start).output("pipe:", format="f32le")


def _read_samples(audio: IO[bytes], count: int) -> NDArray[np.float32]:
    # After the end of the audio, the samples stay zero.
    data = audio.read(count * _SAMPLE_BYTES)
    samples = np.zeros(count, dtype=np.float32)
    samples[: len(data) // _SAMPLE_BYTES] = np.frombuffer(data, dtype="<f4", count=len(data) // _SAMPLE_BYTES)
    return np.clip(samples, -1, 1, out=samples)
