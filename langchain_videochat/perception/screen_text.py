"""Text on screen, read by RapidOCR where the picture has changed."""

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cache, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.media import FrameBatch
from langchain_videochat.perception.base import Frames, Perceiver
from langchain_videochat.perception.change_detection import PictureChanges, Rect
from langchain_videochat.perception.observation import Box, Observation
from langchain_videochat.perception.spans import OpenSpans

DETECTION_SIDE = 736
"""Pixels of the longer side at which lines are looked for.

On two cores that takes 0.18 s against 0.5 s for 1280 pixels and finds the same lines, down to letters 9 pixels high
in a 720p frame; each is then read at full size."""

LEAST_SCORE = 0.6
"""Confidence below which a reading is taken for a pattern in the picture."""

SURE_SCORE = 0.9
SAME_TEXT = 0.8
"""Two readings in one place are one line if they share this much of their letters and one of them is not sure.

Sure ones that differ are two lines: "Chunk 1" is followed by "Chunk 2"."""

MARGIN = 8
"""Pixels around a changed region, since a letter cut in half is misread."""

_reading = threading.Lock()


@dataclass(frozen=True)
class _Line:
    text: str
    score: float
    rect: Rect


class ScreenText(Perceiver[FrameBatch]):
    """Reads the lines of text on screen and notes from when to when each is there.

    Reading is what costs in a light profile, so it is done only where a frame differs from the ones before; lines
    elsewhere stay as they were read.
    """

    modality = "screen_text"
    inputs = Frames(every=2.0, tolerance=1.0, size=720)

    def __init__(self) -> None:
        self._changes = PictureChanges()
        self._lines = OpenSpans()

    @property
    def pending_since(self) -> float | None:
        """Seconds at which the oldest line on screen appeared."""
        return self._lines.since

    def perceive(self, batch: FrameBatch) -> Iterator[Observation]:
        """Read what is new; tell the lines that are gone."""
        for frame, time in zip(batch.frames, batch.times.tolist(), strict=True):
            known = [_to_pixels(one.box, frame) for one in self._lines if one.box]
            regions = _whole_lines([_grow(region, frame) for region in self._changes.regions(frame)], known)
            if regions:
                found = [line for region in regions for line in _read(frame, region)]
                self._changes.learn(frame, regions, [line.rect for line in found])
                yield from self._update(found, regions, frame, time)
            yield from self._lines.flush_long(time)

    def finish(self, end: float) -> Iterator[Observation]:
        """Tell the lines that are still on screen."""
        yield from self._lines.close(end)

    def _update(
        self, found: list[_Line], regions: list[Rect], frame: NDArray[np.uint8], time: float
    ) -> Iterator[Observation]:
        doubtful = [one for one in self._lines if one.box and _lies_in(_to_pixels(one.box, frame), regions)]
        new: list[Observation] = []
        for line in found:
            reading = _observe(line, frame, time)
            same = next((one for one in doubtful if _same_line(one, reading)), None)
            if same is None:
                new.append(reading)
            else:
                doubtful.remove(same)
                self._lines.replace(same, _better(same, reading))
        yield from self._lines.close(time, lambda one: one in doubtful)
        for reading in new:
            self._lines.open(reading)


def _read(frame: NDArray[np.uint8], region: Rect) -> Iterator[_Line]:
    left, top, right, bottom = region
    with _reading:
        result = _engine()(np.ascontiguousarray(frame[top:bottom, left:right, ::-1]))
    if result.boxes is None:
        return
    for corners, text, score in zip(result.boxes, result.txts, result.scores, strict=True):
        if score >= LEAST_SCORE and _says_something(text):
            (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
            yield _Line(text.strip(), float(score), (left + int(x0), top + int(y0), left + int(x1), top + int(y1)))


def _says_something(text: str) -> bool:
    """Leave out what round shapes are read as: "O", "000"."""
    return len({letter for letter in text if letter.isalnum()}) > 1


@cache
def _engine() -> Any:
    from rapidocr import RapidOCR

    # Its own handler writes to the console; errors come back as exceptions anyhow.
    logging.getLogger("RapidOCR").disabled = True
    return RapidOCR(
        params={
            "Global.use_cls": False,
            "Global.log_level": "critical",
            # Without it every reading asks the system for memory anew.
            "EngineConfig.onnxruntime.enable_cpu_mem_arena": True,
            "Det.limit_type": "max",
            "Det.limit_side_len": DETECTION_SIDE,
        }
    )


def _observe(line: _Line, frame: NDArray[np.uint8], time: float) -> Observation:
    height, width = frame.shape[:2]
    x0, y0, x1, y1 = line.rect
    box = tuple(round(min(max(edge, 0.0), 1.0), 4) for edge in (x0 / width, y0 / height, x1 / width, y1 / height))
    return Observation(
        start=time,
        end=time,
        modality="screen_text",
        text=line.text,
        score=round(line.score, 4),
        box=(box[0], box[1], box[2], box[3]),
        source="rapidocr",
    )


def _same_line(before: Observation, after: Observation) -> bool:
    if before.text == after.text:
        return True
    both_sure = min(before.score or 0.0, after.score or 0.0) >= SURE_SCORE
    if both_sure or before.box is None or after.box is None or not _overlap(before.box, after.box):
        return False
    return SequenceMatcher(None, before.text, after.text, autojunk=False).ratio() >= SAME_TEXT


def _better(before: Observation, after: Observation) -> Observation:
    """Keep the surer reading's text, the latest place and the earliest time."""
    surer = max(before, after, key=lambda one: one.score or 0.0)
    return replace(surer, start=before.start, end=before.end, box=after.box)


def _whole_lines(regions: list[Rect], lines: list[Rect]) -> list[Rect]:
    """Widen regions until none cuts a known line in two, and join those that are read faster together."""
    while (widened := _join([_cover(region, lines) for region in regions])) != regions:
        regions = widened
    return regions


def _cover(region: Rect, lines: list[Rect]) -> Rect:
    return reduce(_union, (line for line in lines if _overlap(region, line)), region)


def _join(regions: list[Rect]) -> list[Rect]:
    joined: list[Rect] = []
    for region in regions:
        near = [other for other in joined if _overlap(region, other) or _saves(region, other)]
        joined = [*(other for other in joined if other not in near), reduce(_union, near, region)]
    return joined


def _saves(one: Rect, other: Rect) -> bool:
    return _cost(_union(one, other)) <= _cost(one) + _cost(other)


def _cost(region: Rect) -> float:
    """Count the pixels in which lines are looked for: RapidOCR scales down what is large, and pads what is flat."""
    width = region[2] - region[0]
    height = max(region[3] - region[1], width / 4)
    return width * height * min(1.0, DETECTION_SIDE / max(width, height)) ** 2


def _to_pixels(box: Box, frame: NDArray[np.uint8]) -> Rect:
    height, width = frame.shape[:2]
    return round(box[0] * width), round(box[1] * height), round(box[2] * width), round(box[3] * height)


def _grow(region: Rect, frame: NDArray[np.uint8]) -> Rect:
    height, width = frame.shape[:2]
    left, top, right, bottom = region
    return max(0, left - MARGIN), max(0, top - MARGIN), min(width, right + MARGIN), min(height, bottom + MARGIN)


def _lies_in(line: Rect, regions: list[Rect]) -> bool:
    return any(_overlap(line, region) for region in regions)


def _overlap(one: Rect | Box, other: Rect | Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _union(one: Rect, other: Rect) -> Rect:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])
