"""Intermediate files: intervals of videos, re-encoded so that the ffmpeg command reads them as this package does."""

from collections.abc import Iterator
from fractions import Fraction
from heapq import merge
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from langchain_videochat.media.audio import read_audio
from langchain_videochat.media.frames import sample_frames
from langchain_videochat.utils.interval import Interval

SAMPLE_RATE = 48_000

_H264 = {"preset": "ultrafast", "qp": "8"}
"""Encoder options, visually lossless."""


def write_intermediate(
    path: Path, interval: Interval, rate: float, target: Path, *, has_audio: bool, size: int | None = None
) -> None:
    """Write what `sample_frames` and `read_audio` return for an interval to a Matroska file.

    Args:
        path: The video.
        interval: The interval; its start becomes time 0.
        rate: Frames per second.
        target: The file to write.
        has_audio: Whether the video has sound.
        size: Maximum length of the shorter side in pixels; unlimited if None.

    Raises:
        MediaError: None of the frames can be decoded.
    """
    with av.open(target, "w", format="matroska") as container:
        frames = _frames(path, interval, rate, size)
        first = next(frames)
        video = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001), options=_H264)
        video.width, video.height, video.pix_fmt = first.width, first.height, "yuv444p"  # allows odd sizes
        pictures: Iterator[tuple[VideoStream | AudioStream, Any]] = ((video, one) for one in chain([first], frames))
        sounds: Iterator[tuple[VideoStream | AudioStream, Any]] = iter(())
        if has_audio:
            audio = container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
            sounds = ((audio, one) for one in _sounds(path, interval))
        # In time order: ffmpeg would keep all frames of a clip in memory until its sound begins.
        for stream, frame in merge(pictures, sounds, key=lambda one: one[1].time):
            container.mux(stream.encode(frame))
        for stream in container.streams.video + container.streams.audio:
            container.mux(stream.encode(None))


def _frames(path: Path, interval: Interval, rate: float, size: int | None) -> Iterator[VideoFrame]:
    times = interval.start + np.arange(max(1, round(interval.duration * rate))) / rate
    batches = sample_frames(path, times=times.tolist(), size=size, mode="exact")
    for number, picture in enumerate(picture for batch in batches for picture in batch.frames):
        frame = VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = number, 1 / Fraction(rate).limit_denominator(1001)
        yield frame


def _sounds(path: Path, interval: Interval) -> Iterator[AudioFrame]:
    position = 0
    for chunk in read_audio(path, interval.start, interval.end, SAMPLE_RATE, chunk_seconds=1.0):
        samples = (chunk.samples * 32_767).astype(np.int16)
        frame = AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, position, Fraction(1, SAMPLE_RATE)
        position += len(samples)
        yield frame
