"""Scenes: the stretches between cuts, found by PySceneDetect in our frames."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scenedetect.common import FrameTimecode, Timecode
from scenedetect.detectors import AdaptiveDetector, ContentDetector

from langchain_videochat.media import FrameBatch
from langchain_videochat.perception.base import Frames, Perceiver
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.spans import OpenSpans
from langchain_videochat.utils.timecode import format_timecode

RATIO = 3.0
"""How many times more than its neighbours a frame must change to begin a scene (PySceneDetect's default)."""

LEAST_CHANGE = 4.0
"""Change in PySceneDetect's measure below which nothing is a cut: the next slide is 5 with two lines, 10 with seven."""

FEWEST_FRAMES = 3
"""Frames without which nothing can be said about the last: among fewer, no change stands out."""

TICKS = 90_000
"""Steps a second in which PySceneDetect is told our frames' times."""


class Scenes(Perceiver[FrameBatch]):
    """Notices cuts and new slides.

    A cut is as exact as the sampling: encoders put a key frame there, and key frames are what is sampled if they are
    near. Brightness and edges are compared, not colours: slides differ in their lines.
    """

    modality = "scene"
    inputs = Frames(every=2.0, tolerance=1.0, size=180)

    def __init__(self) -> None:
        self._detector = AdaptiveDetector(
            adaptive_threshold=RATIO,
            min_scene_len=0,
            window_width=1,
            min_content_val=LEAST_CHANGE,
            weights=ContentDetector.Components(delta_hue=0.0, delta_sat=0.0, delta_lum=1.0, delta_edges=1.0),
        )
        self._scene = OpenSpans()
        self._frame: NDArray[np.uint8] | None = None
        self._frames = 0
        self._time = 0.0

    @property
    def pending_since(self) -> float | None:
        """Seconds at which the present scene began."""
        return self._scene.since

    def perceive(self, batch: FrameBatch) -> Iterator[Observation]:
        """Look for cuts between the frames; whether one lies before a frame shows at the next."""
        for frame, time in zip(batch.frames, batch.times.tolist(), strict=True):
            self._frame = np.ascontiguousarray(frame[..., ::-1])  # BGR, as PySceneDetect wants it
            if not self._frames:
                self._scene.open(_scene(time))
                # A frame is judged by those around it: a still before the first lets the second be judged.
                self._detector.process_frame(_timecode(time), self._frame)
            yield from self._next_frame(time)
            yield from self._scene.flush_long(self._time)
            self._frames += 1
            self._time = time

    def finish(self, end: float) -> Iterator[Observation]:
        """Tell the last scene."""
        if self._frames >= FEWEST_FRAMES:
            yield from self._next_frame(end)
        yield from self._scene.close(end)

    def _next_frame(self, time: float) -> Iterator[Observation]:
        for cut in self._detector.process_frame(_timecode(time), self._frame):
            yield from self._scene.close(cut.seconds)
            self._scene.open(_scene(cut.seconds))


def _scene(start: float) -> Observation:
    return Observation(start, start, "scene", f"Scene from {format_timecode(start)}", source="scenedetect")


def _timecode(time: float) -> FrameTimecode:
    return FrameTimecode(Timecode(round(time * TICKS), Fraction(1, TICKS)), fps=float(TICKS))
