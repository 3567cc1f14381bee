"""Text on screen, recognized by RapidOCR where the frame has changed."""

from collections.abc import Iterator
from dataclasses import replace
from difflib import SequenceMatcher
from functools import reduce

import numpy as np
import regex
from numpy.typing import NDArray

from langchain_videochat.media import Damage, FrameBatch
from langchain_videochat.media.subtitles.reader import check_language
from langchain_videochat.perception.change_detection import ChangeDetector, Rect
from langchain_videochat.perception.observation import Box, Observation, scale_box
from langchain_videochat.perception.ocr import CONFIDENT_SCORE, DETECTION_SIZE, SOURCE, RecognizedLine, load, recognize
from langchain_videochat.perception.ocr_models import installed_models, model_for_language
from langchain_videochat.perception.perceiver import FrameInputs, Perceiver, RequiredModel

MIN_SCORE = 0.6
"""Confidence below which a line is regarded as a pattern in the image."""

MIN_SIMILARITY = 0.8
"""Similarity from which two readings in one place are the same line, unless both are confident.

Confident readings that differ are different lines: "Chunk 2" replaces "Chunk 1"."""

MARGIN = 8
"""Pixels that are added around a changed region: a letter that is cut in half is misread."""

MIN_INCOMPLETE_LINES = 3
"""Incomplete lines in a segment from which the video is assumed to have text in another script, not only patterns."""

UNKNOWN_SCRIPT = (
    "text on screen is in a script that the default model does not support: set its language in the profile, for "
    "example screen_text: {language: ru}"
)
"""The problem of a video with text in another script."""


class ScreenText(Perceiver[FrameInputs, FrameBatch]):
    """Recognizes lines of text and when each of them is on screen.

    Recognition dominates the cost of the profile lite, so only regions that have changed are read again: a talk with a
    moving speaker costs little more than its slides.

    Args:
        language: Language of the text as a BCP 47 tag, such as "ru", "ko" or "sr-Cyrl". For scripts other than Latin,
            Chinese and Japanese, a recognition model of RapidOCR is downloaded (8 to 14 MB), which reads Latin letters
            and digits too; Arabic also needs the extra `rtl`. If None, nothing is downloaded: lines in other scripts
            are read by those of these models that are on this machine, and reported as damage if none of them can read
            them. That fails for words whose letters all look like Latin ones, so give the language if you know it.

    Raises:
        InputError: The language is unknown, or no model supports its script.

    Example:
        >>> [model.name for model in ScreenText(language="ko").required_models]
        ['korean_PP-OCRv5_rec_mobile']
    """

    modality = "screen_text"
    inputs = FrameInputs(every=2.0, tolerance=1.0, size=720)

    def __init__(self, language: str | None = None) -> None:
        check_language(language)
        self._model = model_for_language(language) if language else None
        self._others = [] if language else installed_models()
        self._finds_scripts = language is None
        self._changes = ChangeDetector()
        self._incomplete_lines = 0

    @property
    def required_models(self) -> tuple[RequiredModel, ...]:
        """The model for the script of the language, unless it is in RapidOCR's package."""
        model = self._model
        return (RequiredModel(model.name, model.find, model.fetch),) if model else ()

    def load(self) -> None:
        """Load the model now rather than at first use; others are loaded for the first line that needs them."""
        load(self._model)

    def perceive(self, batch: FrameBatch) -> Iterator[Observation]:
        """Read the changed regions, and return the lines that have disappeared."""
        for frame, time in zip(batch.frames, batch.times.tolist(), strict=True):
            known = [(one, _to_pixels(one.box, frame)) for one in self.open_spans if one.box]
            changed = [_grow(region, frame) for region in self._changes.changed_regions(frame)]
            regions = _whole_lines(changed, [rect for _, rect in known])
            if regions:
                found = [line for region in regions for line in self._read(frame, region, time)]
                self._changes.update(frame, regions, [rect for _, rect in found])
                candidates = [one for one, rect in known if any(_overlap(rect, region) for region in regions)]
                yield from self._update([reading for reading, _ in found], candidates, time)
            yield from self.open_spans.flush_long(time)

    def finish(self, end: float) -> Iterator[Observation]:
        """Return the lines that are still on screen, and report text in an unknown script."""
        if self._finds_scripts and self._incomplete_lines >= MIN_INCOMPLETE_LINES:
            self.damage.append(Damage("picture", UNKNOWN_SCRIPT))
        yield from super().finish(end)

    def _read(self, frame: NDArray[np.uint8], region: Rect, time: float) -> Iterator[tuple[Observation, Rect]]:
        left, top, right, bottom = region
        for line in recognize(frame[top:bottom, left:right], self._model, self._others):
            self._incomplete_lines += line.is_incomplete
            if _is_text(line):
                x0, y0, x1, y1 = line.rect
                rect = (left + x0, top + y0, left + x1, top + y1)
                box = scale_box(rect, width=frame.shape[1], height=frame.shape[0])
                yield Observation(time, time, "screen_text", line.text, line.score, box, source=SOURCE), rect

    def _update(self, found: list[Observation], candidates: list[Observation], time: float) -> Iterator[Observation]:
        """Continue the candidates that were read again, end the others, and open new lines."""
        new: list[Observation] = []
        for reading in found:
            same = next((one for one in candidates if _same_line(one, reading)), None)
            if same is None:
                new.append(reading)
            else:
                candidates.remove(same)
                self.open_spans.replace(same, _merge(same, reading))
        yield from self.open_spans.close(time, lambda one: one in candidates)
        for reading in new:
            self.open_spans.open(reading)


def _is_text(line: RecognizedLine) -> bool:
    # Round shapes are recognized as "O" or "000".
    return line.score >= MIN_SCORE and len(set(regex.findall(r"\w", line.text))) > 1


def _same_line(before: Observation, after: Observation) -> bool:
    if before.text == after.text:
        return True
    both_confident = min(before.score or 0.0, after.score or 0.0) >= CONFIDENT_SCORE
    if both_confident or before.box is None or after.box is None or not _overlap(before.box, after.box):
        return False
    return SequenceMatcher(None, before.text, after.text, autojunk=False).ratio() >= MIN_SIMILARITY


def _merge(before: Observation, after: Observation) -> Observation:
    """Merge two readings of a line: the text of the better one, the latest place, the earliest start."""
    better = max(before, after, key=lambda one: one.score or 0.0)
    return replace(better, start=before.start, end=before.end, box=after.box)


def _whole_lines(regions: list[Rect], lines: list[Rect]) -> list[Rect]:
    """Extend regions until none cuts a known line in two, and join those that are read faster together."""
    while (extended := _join([_cover(region, lines) for region in regions])) != regions:
        regions = extended
    return regions


def _cover(region: Rect, lines: list[Rect]) -> Rect:
    return reduce(_union, (line for line in lines if _overlap(region, line)), region)


def _join(regions: list[Rect]) -> list[Rect]:
    joined: list[Rect] = []
    for region in regions:
        near = [
            other
            for other in joined
            if _overlap(region, other) or _cost(_union(region, other)) <= _cost(region) + _cost(other)
        ]
        joined = [*(other for other in joined if other not in near), reduce(_union, near, region)]
    return joined


def _cost(region: Rect) -> float:
    """Return the pixels in which lines are detected: RapidOCR scales large regions down, and pads flat ones."""
    width = region[2] - region[0]
    height = max(region[3] - region[1], width / 4)
    return width * height * min(1.0, DETECTION_SIZE / max(width, height)) ** 2


def _to_pixels(box: Box, frame: NDArray[np.uint8]) -> Rect:
    height, width = frame.shape[:2]
    return round(box[0] * width), round(box[1] * height), round(box[2] * width), round(box[3] * height)


def _grow(region: Rect, frame: NDArray[np.uint8]) -> Rect:
    height, width = frame.shape[:2]
    left, top, right, bottom = region
    return max(0, left - MARGIN), max(0, top - MARGIN), min(width, right + MARGIN), min(height, bottom + MARGIN)


def _overlap(one: Rect | Box, other: Rect | Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _union(one: Rect, other: Rect) -> Rect:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])
