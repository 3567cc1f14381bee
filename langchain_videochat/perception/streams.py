"""The inputs of a video's perceivers, each read once for all of them."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from langchain_videochat.media import FrameBatch, VideoInfo, read_audio, read_subtitles, sample_frames
from langchain_videochat.media.geometry import displayed_size
from langchain_videochat.perception.perceiver import AnyPerceiver, AudioInputs, FrameInputs, SubtitleInputs
from langchain_videochat.utils.concurrency import prefetch
from langchain_videochat.utils.interval import Interval


@dataclass(frozen=True)
class Chunk:
    """The next part of a stream."""

    reached: float
    """End of the part in seconds."""

    batches: dict[AnyPerceiver, Any]
    """The batch of each perceiver that has one."""

    missing: float = 0.0
    """Seconds that could not be decoded."""


@dataclass
class Stream:
    """One kind of input for one or more perceivers."""

    perceivers: list[AnyPerceiver]
    chunks: Iterator[Chunk]
    required: bool
    """Whether an error in it makes the video unreadable."""

    reached: float
    """Time in seconds up to which it has been read."""


def open_streams(
    source: str | Path, video: VideoInfo, perceivers: Sequence[AnyPerceiver], segment: Interval
) -> list[Stream]:
    """Open the streams of a segment that perceivers need, as far as the video has them."""
    frames = {one: one.inputs for one in perceivers if isinstance(one.inputs, FrameInputs)}
    subtitles = [one for one in perceivers if isinstance(one.inputs, SubtitleInputs)]
    audio = {one: one.inputs for one in perceivers if isinstance(one.inputs, AudioInputs)}
    if not any(stream.kind == "audio" for stream in video.streams):
        audio = {}
    elif any(inputs.prefer_subtitles for inputs in audio.values()) and read_subtitles(source):
        audio = {one: inputs for one, inputs in audio.items() if not inputs.prefer_subtitles}
    streams = []
    if subtitles:
        streams.append(Stream(subtitles, _read_subtitles(source, subtitles, segment), False, segment.start))
    for seconds in {inputs.chunk_seconds for inputs in audio.values()}:
        group = [one for one, inputs in audio.items() if inputs.chunk_seconds == seconds]
        chunks = prefetch(_read_audio(source, group, seconds, segment))
        streams.append(Stream(group, chunks, False, segment.start))
    if frames:
        chunks = prefetch(_read_frames(source, frames, segment))
        streams.append(Stream(list(frames), chunks, True, segment.start))
    return streams


def _read_subtitles(source: str | Path, perceivers: list[AnyPerceiver], segment: Interval) -> Generator[Chunk]:
    yield Chunk(segment.end, dict.fromkeys(perceivers, read_subtitles(source, segment.start, segment.end)))


def _read_audio(
    source: str | Path, perceivers: list[AnyPerceiver], seconds: float, segment: Interval
) -> Generator[Chunk]:
    for chunk in read_audio(source, segment.start, segment.end, chunk_seconds=seconds):
        yield Chunk(min(chunk.start + seconds, segment.end), dict.fromkeys(perceivers, chunk))


def _read_frames(source: str | Path, inputs: dict[AnyPerceiver, FrameInputs], segment: Interval) -> Generator[Chunk]:
    grids = {one: np.arange(segment.start, segment.end, spec.every).round(6) for one, spec in inputs.items()}
    last = dict.fromkeys(inputs, -inf)
    requested = np.unique(np.concatenate(list(grids.values())))
    interval = min(spec.every for spec in inputs.values())
    batches = sample_frames(
        source,
        times=requested.tolist(),
        size=max(spec.size for spec in inputs.values()),
        tolerance=min(spec.tolerance for spec in inputs.values()),
    )
    position = 0
    for batch in batches:
        times = requested[position : position + len(batch.times)]
        position += len(times)
        # Frames are scaled down once per size: scaling 720p frames in each model's processor takes longer than some
        # of the models.
        scaled = {size: _scale_down(batch, size) for size in {spec.size for spec in inputs.values()}}
        parts = {}
        for perceiver, grid in grids.items():
            is_requested = np.isin(times, grid) & (batch.times < segment.end)
            part = _select(scaled[inputs[perceiver].size], is_requested, last[perceiver])
            if len(part.times):
                last[perceiver] = float(part.times[-1])
                parts[perceiver] = part
        yield Chunk(float(batch.times[-1]), parts, batch.missing * interval)


def _scale_down(batch: FrameBatch, size: int) -> FrameBatch:
    height, width = batch.frames.shape[1:3]
    target = displayed_size(width, height, size=size)
    if target == (width, height):
        return batch
    smaller = [cv2.resize(frame, target, interpolation=cv2.INTER_AREA) for frame in batch.frames]
    return FrameBatch(np.asarray(smaller, dtype=np.uint8), batch.times, batch.missing)


def _select(batch: FrameBatch, is_requested: NDArray[np.bool_], after: float) -> FrameBatch:
    """Keep the requested frames, each once: a frame that stays on display is sampled at several times."""
    is_new = np.diff(batch.times, prepend=-inf) > 0
    keep = is_requested & is_new & (batch.times > after)
    return batch if keep.all() else FrameBatch(batch.frames[keep], batch.times[keep])
