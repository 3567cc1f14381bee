"""Frame sampling."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from langchain_videochat.errors import InputError, MediaError
from langchain_videochat.media.container import check_size, open_container, video_stream
from langchain_videochat.media.decoding import decode
from langchain_videochat.media.geometry import Orientation, displayed_size, to_rgb
from langchain_videochat.media.index import MediaIndex, StreamIndex, index_media
from langchain_videochat.media.isolation import isolatable
from langchain_videochat.media.sources import local_path
from langchain_videochat.media.tracks import choose_video
from langchain_videochat.utils.concurrency import prefetch
from langchain_videochat.utils.interval import Interval

SamplingMode = Literal["auto", "exact", "keyframes"]
"""How frames are chosen for the requested times; see `sample_frames`."""

PTS_ROUNDING = 0.0005
"""Seconds by which containers with millisecond timestamps (Matroska) may shift a frame."""

MAX_SAMPLES = 10_000_000
"""Maximum number of frames per call. It catches mistakes, such as passing an interval as `fps`."""

RECOVERY_KEYFRAMES = 3
"""Earlier keyframes from which a missing frame is decoded again."""

MAX_RECOVERY_FAILURES = 3
"""Successive frames that cannot be recovered, after which a stream is taken for damaged."""

MAX_BATCH_FRAMES = 8
MAX_BATCH_BYTES = 2**25
"""Upper bounds of a batch, which always holds at least one frame."""

LARGE_PIXELS = 2**24
"""Frame size in pixels above which as few frames as possible are held in memory: twice 4K."""

_Picture = tuple[NDArray[np.uint8], int, bool]
"""An RGB picture, its position among the frames, and whether it replaces a frame that could not be decoded."""


@dataclass(frozen=True, eq=False)
class FrameBatch:
    """Consecutive samples of a video, in time order."""

    frames: NDArray[np.uint8]
    """RGB pictures as displayed, [N, H, W, 3]."""

    times: NDArray[np.float64]
    """Time at which each frame appears, in seconds on the clock of a player, [N]."""

    missing: int = 0
    """Number of frames that could not be decoded and are replaced by a neighbor."""


@isolatable
def sample_frames(
    source: str | Path,
    fps: float | None = None,
    *,
    times: Sequence[float] | None = None,
    start: float | None = None,
    end: float | None = None,
    size: int | None = None,
    mode: SamplingMode = "auto",
    tolerance: float | None = None,
    track: int | None = None,
) -> Iterator[FrameBatch]:
    """Sample frames of a video, decoding as little of it as possible.

    The times of a batch are those of its frames, which may differ from the requested ones: before the first frame
    appears, it is returned; after the pictures have ended, the last one.

    Args:
        source: A local file.
        fps: Frames per second, 1 by default. Each frame of the video is returned at most once.
        times: Ascending times in seconds, instead of `fps`. Exactly one frame is returned for each.
        start: Seconds at which sampling by `fps` starts; the start of the video if None.
        end: Seconds before which sampling by `fps` ends; the end of the video if None.
        size: Length of the shorter side in pixels. Larger frames are scaled down to it, smaller ones are kept.
        mode: "exact" returns the frame displayed at each time; "keyframes" the nearest keyframe at or after the first
            time, at about a tenth of the cost; "auto" the nearest keyframe if it is within `tolerance`, and otherwise
            the exact frame.
        tolerance: Seconds, for mode "auto"; half the sampling interval if None.
        track: Number of a video track, as in `StreamInfo`; the one that players show if None.

    Yields:
        Batches of at most 8 frames.

    Raises:
        SourceError: The file does not exist.
        MediaError: The file has no video stream, or none of the requested frames can be decoded.
        InputError: `fps` and `times` are both given, a value is out of range, or there is no such track.

    Example:
        >>> for batch in sample_frames("talk.mp4", fps=0.5, size=360):  # doctest: +SKIP
        ...     print(batch.frames.shape, batch.times)
        (8, 360, 640, 3) [ 0.  2.  4. ...]
    """
    _check_options(size, mode, tolerance)
    path = local_path(source)
    index = index_media(path)
    chosen = choose_video(path, index, track)
    requested = _requested_times(index.duration, fps, times, start, end)
    positions = _select(index.streams[chosen], requested, mode, tolerance, end)
    return _read(path, index, chosen, np.unique(positions) if times is None else positions, size)


def _check_options(size: int | None, mode: str, tolerance: float | None) -> None:
    if size is not None and not size >= 1:
        raise InputError("size", f"must be positive, got {size}", "Give a number of pixels, or None for the full size")
    if mode not in get_args(SamplingMode):
        raise InputError("mode", f"unknown mode {mode!r}", f"Use one of {', '.join(get_args(SamplingMode))}")
    if tolerance is not None and not tolerance >= 0:
        raise InputError("tolerance", f"must be 0 or positive, got {tolerance}", "Give seconds")


def _requested_times(
    duration: float, fps: float | None, times: Sequence[float] | None, start: float | None, end: float | None
) -> NDArray[np.float64]:
    if times is not None:
        if fps is not None or start is not None or end is not None:
            raise InputError("times", "cannot be combined with fps, start or end", "Give either times or fps")
        requested = np.asarray(times, dtype=np.float64)
        if requested.ndim != 1 or not np.isfinite(requested).all() or (np.diff(requested, prepend=0) < 0).any():
            raise InputError("times", "must be ascending seconds from the start of the video", "Sort them")
        return requested
    rate = 1.0 if fps is None else fps
    if not (np.isfinite(rate) and rate > 0):
        raise InputError("fps", f"must be positive, got {fps}", "Give frames per second")
    interval = Interval.of(start, end)
    count = max(np.ceil(round((min(interval.end, duration) - interval.start) * rate, 6)), 0)
    if count > MAX_SAMPLES:
        raise InputError("fps", f"{fps} means {count:.3g} frames", "Reduce fps, or sample a shorter interval")
    return interval.start + np.arange(count) / rate


def _select(
    index: StreamIndex,
    requested: NDArray[np.float64],
    mode: SamplingMode,
    tolerance: float | None,
    end: float | None,
) -> NDArray[np.int64]:
    """Select a frame for each requested time, by its position in presentation order."""
    times = index.presented_times
    exact = np.clip(np.searchsorted(times, requested + PTS_ROUNDING, side="right") - 1, 0, None)
    if mode == "exact" or not len(requested):
        return exact
    allowed = (times >= requested[0] - PTS_ROUNDING) & (times < (np.inf if end is None else end))
    keyframes = np.flatnonzero(index.keyframes & allowed)
    if not len(keyframes):
        return exact
    after = np.searchsorted(times[keyframes], requested).clip(max=len(keyframes) - 1)
    candidates = np.stack([keyframes[(after - 1).clip(min=0)], keyframes[after]])
    distances = np.abs(times[candidates] - requested)
    nearest: NDArray[np.int64] = candidates[distances.argmin(axis=0), np.arange(len(requested))]
    if mode == "keyframes":
        return nearest
    if tolerance is None:
        tolerance = float(np.diff(requested).min()) / 2 if len(requested) > 1 else 0.0
    return np.asarray(np.where(distances.min(axis=0) <= tolerance + PTS_ROUNDING, nearest, exact))


class _Converter:
    """Converts frames to RGB pictures as displayed, all to the size of the first."""

    def __init__(self, path: Path, pixel_aspect: Fraction | None, size: int | None) -> None:
        self._path = path
        self._pixel_aspect = pixel_aspect
        self._size = size
        self._output: tuple[Orientation, tuple[int, int]] | None = None

    def convert(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Convert a frame to [height, width, 3]."""
        if self._output is None:
            orientation = Orientation.of(frame)
            stored = frame.width, frame.height, self._pixel_aspect, orientation.rotation
            check_size(self._path, *displayed_size(*stored))
            self._output = orientation, displayed_size(*stored, self._size)
        return to_rgb(frame, *self._output)

    def decoded(self, frame: VideoFrame) -> "_Decoded":
        """Return a frame that has been converted."""
        return _Decoded(frame.pts or 0, self.convert(frame))


@dataclass(eq=False)
class _Decoded:
    """A decoded frame that is converted only when it is needed."""

    @classmethod
    def of(cls, frame: VideoFrame) -> "_Decoded":
        """Return a frame that has not been converted."""
        return cls(frame.pts or 0, frame)

    position: int
    """Its position among the frames in presentation order."""

    content: VideoFrame | NDArray[np.uint8]
    """The frame, or the picture if it has been converted."""

    def picture(self, converter: _Converter) -> NDArray[np.uint8]:
        """Return the frame as a picture, [height, width, 3]."""
        if isinstance(self.content, VideoFrame):
            self.content = converter.convert(self.content)
        return self.content


def _read(
    path: Path, index: MediaIndex, track: int, positions: NDArray[np.int64], size: int | None
) -> Iterator[FrameBatch]:
    converter = _Converter(path, index.streams[track].pixel_aspect, size)
    decode_positions = partial(_decode, path, index, track, converter=converter)
    decoded: Iterator[_Decoded] = decode_positions(np.unique(positions))
    if not _is_large(index, track):
        # One thread decodes while this one converts. FFmpeg's own frame threads stay off: runs between seeks are so
        # short that they mostly wait for each other. Of 300 s of 720p on two cores, exact sampling takes 19 s with them
        # and 14 s without, keyframes alone 2.3 s and 1.4 s.
        decoded = prefetch(decode_positions(np.unique(positions)))
    recover = partial(_recover, index.streams[track], decode_positions)
    frames = _match(path, decoded, positions.tolist(), recover)
    pictures = ((frame.picture(converter), frame.position, missing) for frame, missing in frames)
    yield from _batches(pictures, index.streams[track])


def _is_large(index: MediaIndex, track: int) -> bool:
    return index.tracks[track].width * index.tracks[track].height > LARGE_PIXELS


def _decode(
    path: Path, index: MediaIndex, track: int, positions: NDArray[np.int64], converter: _Converter
) -> Generator[_Decoded]:
    with open_container(path) as container:
        stream = video_stream(container, path, track)
        frames = decode(container, stream, index.streams[track], positions, can_seek=index.can_seek)
        # A large frame is converted at once, and "map" does not keep it, so that the decoder can reuse its memory.
        yield from map(converter.decoded if _is_large(index, track) else _Decoded.of, frames)


_POSITION = attrgetter("position")


def _match(
    path: Path,
    frames: Iterator[_Decoded],
    requested: list[int],
    recover: Callable[[int], _Decoded | None],
) -> Iterator[tuple[_Decoded, bool]]:
    """Yield each requested frame and whether it is a substitute.

    A missing frame is decoded again from an earlier keyframe. If that fails, the next frame or the last replaces it;
    after several failures, it is not tried any longer.
    """
    frame = next(frames, None) if requested else None
    recovered: _Decoded | None = None
    tries = MAX_RECOVERY_FAILURES
    for position in requested:
        while frame and frame.position < position and (following := next(frames, None)) is not None:
            # The decoder may return frames of a damaged stream out of order.
            frame = max(frame, following, key=_POSITION)
        found = _with_position(position, frame, recovered)
        if found is None and tries:
            recovered = recover(position)
            found = _with_position(position, recovered)
            tries = MAX_RECOVERY_FAILURES if found else tries - 1
        substitute = found or frame or recovered
        if substitute is None:
            problem = "none of the requested frames can be decoded"
            raise MediaError(path, problem, "The file is damaged: export it again")
        yield substitute, found is None


def _with_position(position: int, *frames: _Decoded | None) -> _Decoded | None:
    return next((frame for frame in frames if frame and frame.position == position), None)


def _recover(
    index: StreamIndex, decode_positions: Callable[[NDArray[np.int64]], Iterator[_Decoded]], position: int
) -> _Decoded | None:
    """Decode a frame from earlier keyframes than the one before it; return the latest frame before it if that fails.

    Live streams mark frames as keyframes from which the picture is complete only some frames later.
    """
    keyframes = np.flatnonzero(index.keyframes[: position + 1])
    latest: _Decoded | None = None
    for first in keyframes[:-1][: -RECOVERY_KEYFRAMES - 1 : -1].tolist():
        for frame in decode_positions(np.arange(first, position + 1)):
            if frame.position <= position:
                latest = frame if latest is None else max(latest, frame, key=_POSITION)
        if latest is not None and latest.position == position:
            break
    return latest


def _batches(pictures: Iterator[_Picture], index: StreamIndex) -> Iterator[FrameBatch]:
    for first in pictures:
        length = max(1, min(MAX_BATCH_FRAMES, MAX_BATCH_BYTES // first[0].nbytes))
        frames, positions, missing = zip(first, *islice(pictures, length - 1), strict=True)
        # A single picture is not copied: it may be large.
        stacked = np.stack(frames) if len(frames) > 1 else frames[0][None]
        yield FrameBatch(stacked, index.presented_times[np.array(positions)], sum(missing))
