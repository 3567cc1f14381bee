"""Intermediate files: intervals of videos, re-encoded so that the ffmpeg command reads them as this package does."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from langchain_videochat.media.audio import read_audio
from langchain_videochat.media.frames import sample_frames
from langchain_videochat.utils.interval import Interval

SAMPLE_RATE = 48_000

_H264 = {"preset": "ultrafast", "qp": "8"}
"""Encoder options, visually lossless."""


def write_intermediate(path: Path, interval: Interval, rate: float, target: Path, *, has_audio: bool) -> None:
    """Write what `sample_frames` and `read_audio` return for an interval to a Matroska file.

    Args:
        path: The video.
        interval: The interval; its start becomes time 0.
        rate: Frames per second.
        target: The file to write.
        has_audio: Whether the video has sound.

    Raises:
        MediaError: None of the frames can be decoded.
    """
    with av.open(target, "w", format="matroska") as container:
        frames = _frames(path, interval, rate)
        first = next(frames)
        video = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001), options=_H264)
        video.width, video.height, video.pix_fmt = first.width, first.height, "yuv444p"  # allows odd sizes
        audio = container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono") if has_audio else None
        for frame in chain([first], frames):
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            for sound in _sounds(path, interval):
                container.mux(audio.encode(sound))
            container.mux(audio.encode(None))


def _frames(path: Path, interval: Interval, rate: float) -> Iterator[VideoFrame]:
    times = interval.start + np.arange(max(1, round(interval.duration * rate))) / rate
    batches = sample_frames(path, times=times.tolist(), mode="exact")
    for number, picture in enumerate(picture for batch in batches for picture in batch.frames):
        frame = VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = number, 1 / Fraction(rate).limit_denominator(1001)
        yield frame


def _sounds(path: Path, interval: Interval) -> Iterator[AudioFrame]:
    position = 0
    for chunk in read_audio(path, interval.start, interval.end, SAMPLE_RATE, chunk_seconds=1.0):
        samples = (chunk.samples * 32_767).astype(np.int16)
        frame = AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, position
        position += len(samples)
        yield frame
