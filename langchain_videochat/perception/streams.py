"""The inputs of a video's perceivers, each read once for all of them."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from math import inf
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from langchain_videochat.errors import MediaError
from langchain_videochat.media import (
    Damage,
    FrameBatch,
    VideoInfo,
    read_audio,
    read_subtitle_pictures,
    read_subtitles,
    sample_frames,
)
from langchain_videochat.media.damage import DamageKind
from langchain_videochat.media.geometry import displayed_size
from langchain_videochat.media.tracks import Track
from langchain_videochat.perception.frame_changes import ChangeFilter, Thumbnail
from langchain_videochat.perception.perceiver import AnyPerceiver, AudioInputs, FrameInputs, SubtitleInputs
from langchain_videochat.utils.concurrency import prefetch
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.tracing import Stopwatch

UNDECODABLE = "frames cannot be decoded"
"""The problem of frames that were replaced by their neighbors."""


@dataclass(frozen=True)
class Chunk:
    """The next part of a stream."""

    reached: float
    """End of the part in seconds."""

    batches: dict[AnyPerceiver, Any]
    """The batch of each perceiver that has one."""

    damage: tuple[Damage, ...] = ()
    """What could not be read of the part."""


@dataclass
class Stream:
    """One kind of input for one or more perceivers."""

    kind: DamageKind
    """What it reads."""

    perceivers: list[AnyPerceiver]
    chunks: Iterator[Chunk]
    reached: float
    """Time in seconds up to which it has been read."""
    stopwatch: Stopwatch
    """Measures the time in which it is read."""

    @classmethod
    def of(cls, kind: DamageKind, perceivers: list[AnyPerceiver], chunks: Generator[Chunk], start: float) -> "Stream":
        """Build a stream from a generator of its parts, which is measured where it runs."""
        stopwatch = Stopwatch("read subtitles" if kind == "subtitle" else f"decode {kind}")
        measured = _measure(chunks, stopwatch)
        # All subtitles are read at once.
        return cls(kind, perceivers, measured if kind == "subtitle" else prefetch(measured), start, stopwatch)


def open_streams(
    source: str | Path, video: VideoInfo, perceivers: Sequence[AnyPerceiver], segment: Interval
) -> list[Stream]:
    """Open the streams of a segment that perceivers need, as far as the video has them."""
    frames = {one: one.inputs for one in perceivers if isinstance(one.inputs, FrameInputs)}
    subtitles = {one: one.inputs for one in perceivers if isinstance(one.inputs, SubtitleInputs)}
    audio = {one: one.inputs for one in perceivers if isinstance(one.inputs, AudioInputs)}
    if not video.has_audio:
        audio = {}
    elif any(inputs.prefer_subtitles for inputs in audio.values()) and _has_subtitles(source, video):
        audio = {one: inputs for one, inputs in audio.items() if not inputs.prefer_subtitles}
    streams = []
    for inputs in dict.fromkeys(subtitles.values()):
        readers = [one for one in subtitles if subtitles[one] == inputs]
        subtitle_chunks = _read_subtitles(source, video, readers, inputs, segment)
        streams.append(Stream.of("subtitle", readers, subtitle_chunks, segment.start))
    for seconds, track in dict.fromkeys((inputs.chunk_seconds, inputs.track) for inputs in audio.values()):
        group = [one for one, inputs in audio.items() if (inputs.chunk_seconds, inputs.track) == (seconds, track)]
        reports_damage = all(stream.kind != "sound" for stream in streams)
        audio_chunks = _read_audio(source, group, seconds, track, segment, reports_damage=reports_damage)
        streams.append(Stream.of("sound", group, audio_chunks, segment.start))
    if frames:
        streams.append(Stream.of("picture", list(frames), _read_frames(source, frames, segment), segment.start))
    return streams


def _measure(chunks: Generator[Chunk], stopwatch: Stopwatch) -> Generator[Chunk]:
    with closing(chunks):
        while True:
            with stopwatch.running():
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk


def _ignore(damage: Damage) -> None:
    """Ignore damage that another stream reports."""


def _has_subtitles(source: str | Path, video: VideoInfo) -> bool:
    """Return whether a video has subtitles that are displayed before its end."""
    try:
        return bool(read_subtitles(source, end=video.duration or None, on_damage=_ignore))
    except MediaError:
        return False


def _read_subtitles(
    source: str | Path, video: VideoInfo, perceivers: list[AnyPerceiver], inputs: SubtitleInputs, segment: Interval
) -> Generator[Chunk]:
    damage: list[Damage] = []
    is_last = segment.end >= video.duration
    cues = read_subtitles(
        *(source, segment.start, None if is_last else segment.end),
        encoding=inputs.encoding,
        language=inputs.language,
        on_damage=damage.append,
    )
    late = sum(cue.start >= segment.end for cue in cues)
    if late:
        number = "1 cue starts" if late == 1 else f"{late} cues start"
        damage.append(Damage("subtitle", f"{number} after the end of the video"))
    batch = [cue for cue in cues if cue.start < segment.end]
    yield Chunk(segment.start, dict.fromkeys(perceivers, batch), tuple(damage))
    damage.clear()
    if inputs.pictures:
        pictures = read_subtitle_pictures(
            source, segment.start, segment.end, language=inputs.language, on_damage=damage.append
        )
        for picture in pictures:
            yield Chunk(max(segment.start, picture.start), {one: [picture] for one in perceivers})
    yield Chunk(segment.end, {}, tuple(damage))


def _read_audio(
    source: str | Path,
    perceivers: list[AnyPerceiver],
    seconds: float,
    track: Track | None,
    segment: Interval,
    *,
    reports_damage: bool,
) -> Generator[Chunk]:
    damage: list[Damage] = []
    on_damage = damage.append if reports_damage else _ignore
    interval = (segment.start, segment.end)
    for chunk in read_audio(source, *interval, chunk_seconds=seconds, track=track, on_damage=on_damage):
        reached = min(chunk.start + seconds, segment.end)
        yield Chunk(reached, dict.fromkeys(perceivers, chunk), tuple(damage))
        damage.clear()
    if damage:
        yield Chunk(segment.end, {}, tuple(damage))


def _read_frames(source: str | Path, inputs: dict[AnyPerceiver, FrameInputs], segment: Interval) -> Generator[Chunk]:
    selections = {spec: _Selection(spec, segment) for spec in set(inputs.values())}
    requested = np.unique(np.concatenate([one.grid for one in selections.values()]))
    spacing = segment.duration / max(len(requested), 1)
    batches = sample_frames(
        source,
        times=requested.tolist(),
        size=max(spec.size for spec in selections),
        tolerance=min(spec.tolerance for spec in selections),
    )
    position = 0
    for batch in batches:
        times = requested[position : position + len(batch.times)]
        position += len(times)
        # Frames are scaled down once per size: scaling 720p frames in each model's processor takes longer than some
        # of the models.
        scaled = {size: _scale_down(batch, size) for size in {spec.size for spec in selections}}
        thumbnail = cache(partial(_make_thumbnail, batch.frames))
        selected = {spec: one.select(scaled[spec.size], times, thumbnail) for spec, one in selections.items()}
        parts = {one: selected[spec] for one, spec in inputs.items() if len(selected[spec].times)}
        damage = (Damage("picture", UNDECODABLE, batch.missing * spacing),) if batch.missing else ()
        yield Chunk(float(batch.times[-1]), parts, damage)


class _Selection:
    """Selects the frames that perceivers with the same inputs receive."""

    def __init__(self, inputs: FrameInputs, segment: Interval) -> None:
        self.grid = np.arange(segment.start, segment.end, inputs.every).round(6)
        """The times that they request."""
        self._end = segment.end
        self._last = -inf
        self._changes = ChangeFilter(inputs) if inputs.min_change else None

    def select(
        self, batch: FrameBatch, times: NDArray[np.float64], thumbnail: Callable[[int], Thumbnail]
    ) -> FrameBatch:
        """Return the frames of a batch that the perceivers receive.

        Args:
            batch: The frames, scaled for the perceivers.
            times: The time that each frame was requested for.
            thumbnail: Returns the thumbnail of a frame, given its position in the batch.
        """
        # Not `np.isin`, which would sort the times of the whole segment for each batch.
        is_requested = self.grid[np.searchsorted(self.grid, times, side="right") - 1] == times
        # A frame that stays on display is sampled at several times.
        is_new = np.diff(batch.times, prepend=-inf) > 0
        keep = is_requested & is_new & (batch.times > self._last) & (batch.times < self._end)
        if self._changes is not None:
            for index in np.flatnonzero(keep).tolist():
                keep[index] = self._changes.select(thumbnail(index), float(batch.times[index]))
        if keep.any():
            self._last = float(batch.times[keep][-1])
        return batch if keep.all() else FrameBatch(batch.frames[keep], batch.times[keep])


def _make_thumbnail(frames: NDArray[np.uint8], index: int) -> Thumbnail:
    return Thumbnail.of(frames[index])


def _scale_down(batch: FrameBatch, size: int) -> FrameBatch:
    height, width = batch.frames.shape[1:3]
    target = displayed_size(width, height, size=size)
    if target == (width, height):
        return batch
    smaller = [cv2.resize(frame, target, interpolation=cv2.INTER_AREA) for frame in batch.frames]
    return FrameBatch(np.asarray(smaller, dtype=np.uint8), batch.times, batch.missing)
