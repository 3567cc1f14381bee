"""Frame sampling with other libraries."""

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np

Sampler = Callable[[Path, float], int]
"""Samples a video at an interval in seconds and returns the number of frames."""

BATCH = 8


def find_peers() -> tuple[dict[str, Sampler], list[str]]:
    """Return the installed libraries, and a note for each of the others that says why it is missing."""
    peers: dict[str, Sampler] = {"OpenCV": _opencv}
    notes = []
    for name, module, sampler in (
        ("decord", "decord", _decord),
        ("torchcodec", "torchcodec.decoders", _torchcodec),
    ):
        try:
            import_module(module)
        except (ImportError, OSError, RuntimeError) as error:
            notes.append(f"{name} is missing because it cannot be imported: {str(error).strip().splitlines()[0]}.")
        else:
            peers[name] = sampler
    return peers, notes


def _opencv(path: Path, every: float) -> int:
    """Seek over long distances, and skip frames by reading them otherwise."""
    video = cv2.VideoCapture(str(path))
    rate, length = video.get(cv2.CAP_PROP_FPS), int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    count = next_frame = 0
    for position in _positions(length, rate, every):
        if every > 2:
            video.set(cv2.CAP_PROP_POS_FRAMES, position)
        else:
            for _ in range(next_frame, position):
                video.grab()
        count += video.read()[0]
        next_frame = position + 1
    return count


def _decord(path: Path, every: float) -> int:
    decord: Any = import_module("decord")
    reader = decord.VideoReader(str(path))
    positions = _positions(len(reader), reader.get_avg_fps(), every)
    return sum(len(reader.get_batch(batch).asnumpy()) for batch in _batches(positions))


def _torchcodec(path: Path, every: float) -> int:
    decoders: Any = import_module("torchcodec.decoders")
    decoder = decoders.VideoDecoder(str(path), num_ffmpeg_threads=os.cpu_count() or 1)
    positions = _positions(decoder.metadata.num_frames, decoder.metadata.average_fps, every)
    return sum(len(decoder.get_frames_at(batch).data) for batch in _batches(positions))


def _positions(length: int, rate: float, every: float) -> list[int]:
    return [round(time * rate) for time in np.arange(0, length / rate, every).tolist()]


def _batches(positions: list[int]) -> list[list[int]]:
    return [positions[first : first + BATCH] for first in range(0, len(positions), BATCH)]
