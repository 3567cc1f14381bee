"""Scenes: segments between cuts, found by PySceneDetect."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scenedetect.common import FrameTimecode, Timecode
from scenedetect.detectors import AdaptiveDetector, ContentDetector

from langchain_videochat.media import FrameBatch
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.perceiver import FrameInputs, Perceiver
from langchain_videochat.utils.timecode import format_timecode

ADAPTIVE_THRESHOLD = 3.0
"""Ratio of a cut's change to that of its neighbors (PySceneDetect's default)."""

MIN_CHANGE = 4.0
"""Minimum content value of a cut: a new slide scores 5 with two lines of text, 10 with seven."""

MIN_FRAMES = 3
"""Number of frames below which the last one is not judged: no change stands out."""

TICKS = 90_000
"""Ticks per second of the timecodes for PySceneDetect."""


class Scenes(Perceiver[FrameInputs, FrameBatch]):
    """Detects cuts and new slides.

    Cuts are usually exact although frames are sampled: encoders put keyframes there, and nearby keyframes are sampled.
    The detector compares the brightness and edges of a frame with its neighbors: the next slide of a talk hardly
    changes colors, and a moving camera changes them all the time.
    """

    modality = "scene"
    inputs = FrameInputs(every=2.0, tolerance=1.0, size=180)

    def __init__(self) -> None:
        self._detector = AdaptiveDetector(
            adaptive_threshold=ADAPTIVE_THRESHOLD,
            min_scene_len=0,
            window_width=1,
            min_content_val=MIN_CHANGE,
            weights=ContentDetector.Components(delta_hue=0.0, delta_sat=0.0, delta_lum=1.0, delta_edges=1.0),
        )
        self._frame: NDArray[np.uint8] | None = None
        self._frame_count = 0
        self._time = 0.0

    def perceive(self, batch: FrameBatch) -> Iterator[Observation]:
        """Detect cuts; a cut before a frame is found at the next frame."""
        for frame, time in zip(batch.frames, batch.times.tolist(), strict=True):
            self._frame = np.ascontiguousarray(frame[..., ::-1])  # BGR, as PySceneDetect expects
            if not self._frame_count:
                self.open_spans.open(_scene(time))
                # A frame is compared with its neighbors: duplicating the first lets the second be judged.
                self._detector.process_frame(_timecode(time), self._frame)
            yield from self._process_frame(time)
            yield from self.open_spans.flush_long(self._time)
            self._frame_count += 1
            self._time = time

    def finish(self, end: float) -> Iterator[Observation]:
        """Return the last scene."""
        if self._frame_count >= MIN_FRAMES:
            yield from self._process_frame(end)
        yield from super().finish(end)

    def _process_frame(self, time: float) -> Iterator[Observation]:
        for cut in self._detector.process_frame(_timecode(time), self._frame):
            yield from self.open_spans.close(cut.seconds)
            self.open_spans.open(_scene(cut.seconds))


def _scene(start: float) -> Observation:
    # The text is a time rather than a number, so segments of a video can be perceived independently and joined.
    return Observation(start, start, "scene", f"Scene from {format_timecode(start)}", source="scenedetect")


def _timecode(time: float) -> FrameTimecode:
    return FrameTimecode(Timecode(round(time * TICKS), Fraction(1, TICKS)), fps=float(TICKS))
