"""What is read from a video for its perceivers, once for all of them."""

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
from langchain_videochat.perception.base import Frames, Perceiver, Sound, Subtitles
from langchain_videochat.utils.concurrency import prefetch


@dataclass(frozen=True)
class Chunk:
    """What is handed out at once."""

    reached: float
    """Seconds up to which the video has been handed out."""

    parts: dict[Perceiver[Any], Any]
    """Each perceiver's share, where there is one."""

    damage: float = 0.0
    """Seconds of it that could not be read."""


@dataclass
class Stream:
    """One kind of input on its way to the perceivers that want it."""

    perceivers: list[Perceiver[Any]]
    """Who wants it."""

    steps: Iterator[Chunk]
    """What they get."""

    essential: bool
    """Whether the video counts as unreadable where this cannot be read."""

    reached: float
    """Seconds up to which it has been handed out."""


def open_feeds(
    source: str | Path, video: VideoInfo, perceivers: Sequence[Perceiver[Any]], low: float, high: float
) -> list[Stream]:
    """Open what perceivers want of a stretch of a video, as far as the video has it.

    Args:
        source: A local file.
        video: Its facts.
        perceivers: They say what they want.
        low: Seconds at which the stretch begins.
        high: Seconds at which it ends, not included.
    """
    watching = {one: one.inputs for one in perceivers if isinstance(one.inputs, Frames)}
    reading = [one for one in perceivers if isinstance(one.inputs, Subtitles)]
    listening = {one: one.inputs for one in perceivers if isinstance(one.inputs, Sound)}
    if not any(stream.kind == "audio" for stream in video.streams):
        listening = {}
    elif any(wish.unless_subtitles for wish in listening.values()) and read_subtitles(source):
        listening = {one: wish for one, wish in listening.items() if not wish.unless_subtitles}
    feeds = []
    if reading:
        feeds.append(Stream(reading, _subtitle_steps(source, reading, low, high), essential=False, reached=low))
    for seconds in {wish.seconds for wish in listening.values()}:
        alike = [one for one, wish in listening.items() if wish.seconds == seconds]
        steps = prefetch(_sound_steps(source, alike, seconds, low, high))
        feeds.append(Stream(alike, steps, essential=False, reached=low))
    if watching:
        steps = prefetch(_frame_steps(source, watching, low, high))
        feeds.append(Stream(list(watching), steps, essential=True, reached=low))
    return feeds


def _subtitle_steps(source: str | Path, perceivers: list[Perceiver[Any]], low: float, high: float) -> Generator[Chunk]:
    yield Chunk(high, dict.fromkeys(perceivers, read_subtitles(source, low, high)))


def _sound_steps(
    source: str | Path, perceivers: list[Perceiver[Any]], seconds: float, low: float, high: float
) -> Generator[Chunk]:
    for chunk in read_audio(source, low, high, chunk_seconds=seconds):
        yield Chunk(min(chunk.start + seconds, high), dict.fromkeys(perceivers, chunk))


def _frame_steps(source: str | Path, wishes: dict[Perceiver[Any], Frames], low: float, high: float) -> Generator[Chunk]:
    grids = {one: np.arange(low, high, wish.every).round(6) for one, wish in wishes.items()}
    shown = dict.fromkeys(wishes, -inf)
    asked = np.unique(np.concatenate(list(grids.values())))
    batches = sample_frames(
        source,
        times=asked.tolist(),
        size=max(wish.size for wish in wishes.values()),
        tolerance=min(wish.tolerance for wish in wishes.values()),
    )
    position = 0
    for batch in batches:
        times = asked[position : position + len(batch.times)]
        position += len(times)
        sized = {size: _shrink(batch, size) for size in {wish.size for wish in wishes.values()}}
        parts = {}
        for perceiver, grid in grids.items():
            wanted = np.isin(times, grid) & (batch.times < high)
            part = _select(sized[wishes[perceiver].size], wanted, shown[perceiver])
            if len(part.times):
                shown[perceiver] = float(part.times[-1])
                parts[perceiver] = part
        damage = batch.missing * min(wish.every for wish in wishes.values())
        yield Chunk(float(batch.times[-1]), parts, damage)


def _shrink(batch: FrameBatch, size: int) -> FrameBatch:
    height, width = batch.frames.shape[1:3]
    shown = displayed_size(width, height, size=size)
    if shown == (width, height):
        return batch
    smaller = [cv2.resize(frame, shown, interpolation=cv2.INTER_AREA) for frame in batch.frames]
    return FrameBatch(np.asarray(smaller, dtype=np.uint8), batch.times, batch.missing)


def _select(batch: FrameBatch, wanted: NDArray[np.bool_], after: float) -> FrameBatch:
    """Keep the frames that a perceiver wants, each once: one that stays on display comes for several times."""
    fresh = np.diff(batch.times, prepend=-inf) > 0
    keep = wanted & fresh & (batch.times > after)
    return batch if keep.all() else FrameBatch(batch.frames[keep], batch.times[keep])
