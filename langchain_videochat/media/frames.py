"""Frames of a video with the times at which they are shown."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from langchain_videochat.errors import InputError, MediaError
from langchain_videochat.media.container import check_size, open_container, video_stream
from langchain_videochat.media.decoding import decode
from langchain_videochat.media.geometry import displayed_size, to_rgb
from langchain_videochat.media.packets import PacketIndex, index_packets
from langchain_videochat.media.sources import local_path
from langchain_videochat.utils.concurrency import prefetch

Mode = Literal["auto", "exact", "keyframes"]
"""Which frames are taken for the times that are asked for, as `sample_frames` describes."""

ROUNDING = 0.0005
"""Seconds by which containers that count in milliseconds (Matroska) may shift a frame."""

MAX_SAMPLES = 10_000_000
"""Frames that may be asked for at once: a limit for slips, such as a rate in place of an interval."""

BATCH_FRAMES = 8
BATCH_BYTES = 2**25
"""Bounds of one batch: at least one frame, at most these."""


@dataclass(frozen=True, eq=False)
class FrameBatch:
    """Some frames of a video, in time order."""

    frames: NDArray[np.uint8]
    """RGB pictures as displayed, [N, H, W, 3]."""

    times: NDArray[np.float64]
    """When each is shown first: seconds from the first frame of the video, [N]."""

    missing: int = 0
    """How many of them stand in for a frame that could not be decoded."""


def sample_frames(
    source: str | Path,
    fps: float | None = None,
    *,
    times: Sequence[float] | None = None,
    start: float | None = None,
    end: float | None = None,
    size: int | None = None,
    mode: Mode = "auto",
    tolerance: float | None = None,
) -> Iterator[FrameBatch]:
    """Yield frames of a video in small batches, decoding no more of it than they need.

    A frame's time is its own, not the one that was asked for.

    Args:
        source: A local file.
        fps: Frames a second, one a second unless given; each frame of the video comes at most once.
        times: Instead of `fps`, ascending seconds; exactly one frame comes for each.
        start: Seconds at which sampling by `fps` begins; the start of the video if None.
        end: Seconds, not included, at which sampling ends; the end of the video if None.
        size: Length of the shorter side in pixels; larger frames are scaled down to it, smaller ones stay.
        mode: "exact" gives the frame on display at each time; "keyframes" the key frame nearest to it, from the first
            time on, which costs about a tenth; "auto" a key frame where one lies within `tolerance`, and the exact
            frame elsewhere.
        tolerance: Seconds; half the sampling interval if None.

    Raises:
        SourceError: There is no such file.
        MediaError: The file has no video stream, or nothing of it can be decoded.
        InputError: `fps` and `times` are both given, or a value is out of range.

    Example:
        >>> for batch in sample_frames("talk.mp4", fps=0.5, size=360):  # doctest: +SKIP
        ...     print(batch.frames.shape, batch.times)
        (16, 360, 640, 3) [ 0.  2.  4. ...]
    """
    _check(size, mode, tolerance)
    path = local_path(source)
    index = index_packets(path)
    asked = _asked_times(index, fps, times, start, end)
    stretch = (float(asked[0]) if len(asked) else 0.0, np.inf if end is None else end)
    picks = _pick(index, asked, mode, _tolerance(asked, tolerance), stretch)
    if times is None:
        picks = np.unique(picks)
    return _read(path, index, picks, size)


def _check(size: int | None, mode: str, tolerance: float | None) -> None:
    if size is not None and not size >= 1:
        raise InputError("size", f"{size} is no length in pixels", "Give 1 or more, or None for the full size")
    if mode not in get_args(Mode):
        raise InputError("mode", f"{mode!r} is none of {', '.join(get_args(Mode))}", "Choose one of them")
    if tolerance is not None and not tolerance >= 0:
        raise InputError("tolerance", f"{tolerance} is no length of time", "Give seconds, 0 or more")


def _asked_times(
    index: PacketIndex, fps: float | None, times: Sequence[float] | None, start: float | None, end: float | None
) -> NDArray[np.float64]:
    if times is not None:
        if fps is not None or start is not None or end is not None:
            raise InputError("times", "stands in place of fps, start and end", "Give only one kind")
        asked = np.asarray(times, dtype=np.float64)
        if asked.ndim != 1 or not np.isfinite(asked).all() or (np.diff(asked) < 0).any() or (asked < 0).any():
            raise InputError("times", "must be ascending seconds from the start of the video", "Sort them")
        return asked
    rate = 1.0 if fps is None else fps
    if not (np.isfinite(rate) and rate > 0):
        raise InputError("fps", f"{fps} is no number of frames a second", "Give a number above 0")
    first = 0.0 if start is None else start
    last = index.duration if end is None else min(end, index.duration)
    if not 0 <= first < np.inf or (end is not None and not end > first):
        raise InputError("start, end", f"{start} to {end} is no stretch of time", "Give seconds, start before end")
    count = max(np.ceil(round((last - first) * rate, 6)), 0)
    if count > MAX_SAMPLES:
        raise InputError("fps", f"{fps} asks for {count:.3g} frames", "Give fewer a second, or a shorter stretch")
    return first + np.arange(count) / rate


def _tolerance(asked: NDArray[np.float64], tolerance: float | None) -> float:
    if tolerance is not None:
        return tolerance
    return float(np.diff(asked).min()) / 2 if len(asked) > 1 else 0.0


def _pick(
    index: PacketIndex, asked: NDArray[np.float64], mode: Mode, tolerance: float, stretch: tuple[float, float]
) -> NDArray[np.int64]:
    """Choose for each asked time a frame, by its position in presentation order."""
    times = index.times
    exact = np.clip(np.searchsorted(times, asked + ROUNDING, side="right") - 1, 0, None)
    if mode == "exact":
        return exact
    key_positions = np.flatnonzero(index.keys & (times >= stretch[0] - ROUNDING) & (times < stretch[1]))
    if not len(key_positions):
        return exact
    after = np.searchsorted(times[key_positions], asked).clip(max=len(key_positions) - 1)
    candidates = np.stack([key_positions[(after - 1).clip(min=0)], key_positions[after]])
    distances = np.abs(times[candidates] - asked)
    nearest: NDArray[np.int64] = candidates[distances.argmin(axis=0), np.arange(len(asked))]
    if mode == "keyframes":
        return nearest
    return np.asarray(np.where(distances.min(axis=0) <= tolerance + ROUNDING, nearest, exact))


def _read(path: Path, index: PacketIndex, picks: NDArray[np.int64], size: int | None) -> Iterator[FrameBatch]:
    aligned = _align(path, prefetch(_decoded(path, index, picks)), index.stamps[picks].tolist())
    yield from _batches(_pictures(path, aligned, index, size), index)


def _decoded(path: Path, index: PacketIndex, picks: NDArray[np.int64]) -> Generator[VideoFrame]:
    with open_container(path) as container:
        yield from decode(container, video_stream(container, path), index, np.unique(picks))


def _align(path: Path, frames: Iterator[VideoFrame], stamps: list[int]) -> Iterator[tuple[VideoFrame, bool]]:
    """Give each wanted stamp its frame; the next decoded one, or the last, where that one is lost."""
    if not stamps:
        return
    frame = next(frames, None)
    if frame is None:
        raise MediaError(path, "none of the frames asked for can be decoded", "The file is damaged: export it again")
    for stamp in stamps:
        while _stamp(frame) < stamp and (following := next(frames, None)) is not None:
            # In a damaged stream a frame may come that should have been shown before.
            frame = max(frame, following, key=_stamp)
        yield frame, _stamp(frame) != stamp


def _pictures(
    path: Path, aligned: Iterator[tuple[VideoFrame, bool]], index: PacketIndex, size: int | None
) -> Iterator[tuple[NDArray[np.uint8], int, bool]]:
    """Convert each frame once, all to the size of the first."""
    converted: VideoFrame | None = None
    for frame, missing in aligned:
        if converted is None:
            shape = frame.width, frame.height, index.pixel_aspect, frame.rotation
            check_size(path, *displayed_size(*shape))
            shown = displayed_size(*shape, size)
        if frame is not converted:
            picture = to_rgb(frame, shown)
            converted = frame
        yield picture, _stamp(frame), missing


def _batches(pictures: Iterator[tuple[NDArray[np.uint8], int, bool]], index: PacketIndex) -> Iterator[FrameBatch]:
    batch: list[tuple[NDArray[np.uint8], int, bool]] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) >= min(BATCH_FRAMES, BATCH_BYTES / picture[0].nbytes):
            yield _batch(batch, index)
            batch = []
    if batch:
        yield _batch(batch, index)


def _batch(pictures: list[tuple[NDArray[np.uint8], int, bool]], index: PacketIndex) -> FrameBatch:
    frames, stamps, missing = zip(*pictures, strict=True)
    times = (np.array(stamps) - index.stamps[0]) * float(index.time_base)
    return FrameBatch(np.stack(frames), times.clip(min=0.0), sum(missing))


def _stamp(frame: VideoFrame) -> int:
    return frame.pts if frame.pts is not None else -1
