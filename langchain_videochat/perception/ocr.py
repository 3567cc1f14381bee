"""Text recognition in pictures by RapidOCR."""

import logging
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.perception.change_detection import Rect

SOURCE = "rapidocr"
"""The source of Observations made from recognized text."""

DETECTION_SIZE = 736
"""Longer side in pixels at which lines are detected; they are recognized at full size.

On two cores, detection takes 0.18 s, against 0.5 s at 1280 pixels, and finds the same lines, down to letters 9 pixels
high in a 720p frame."""

UNREADABLE_LANGUAGES = {
    *("am", "ar", "as", "be", "bg", "bn", "bo", "dv", "dz", "fa", "gu", "he", "hi", "hy", "ka", "kk", "km", "kn", "ko"),
    *("ky", "lo", "mk", "ml", "mn", "mr", "my", "ne", "or", "pa", "ps", "ru", "sd", "si", "ta", "te", "tg", "th", "ti"),
    *("ug", "uk", "ur", "yi"),
}
"""Languages whose letters the recognition model does not know; it takes them for Latin, Greek or Chinese ones."""

_lock = threading.Lock()


class RecognizedLine(NamedTuple):
    """A line of text in a picture."""

    text: str
    score: float
    """Confidence from 0 to 1."""

    rect: Rect
    """Left, top, right and bottom in pixels."""


def recognize(picture: NDArray[np.uint8]) -> Iterator[RecognizedLine]:
    """Recognize the lines of text in a picture.

    Args:
        picture: RGB, [H, W, 3].

    Yields:
        Lines in no particular order.
    """
    with _lock:
        result = _engine()(np.ascontiguousarray(picture[..., ::-1]))
    if result.boxes is None:
        return
    for corners, text, score in zip(result.boxes, result.txts, map(float, result.scores), strict=True):
        (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
        yield RecognizedLine(text.strip(), round(score, 4), (int(x0), int(y0), int(x1), int(y1)))


@cache
def _engine() -> Any:
    from rapidocr import RapidOCR

    # Its handler writes to the console, and errors are raised as exceptions anyway.
    logging.getLogger("RapidOCR").disabled = True
    return RapidOCR(
        params={
            "Global.use_cls": False,
            "Global.log_level": "critical",
            # Otherwise every call allocates its memory again.
            "EngineConfig.onnxruntime.enable_cpu_mem_arena": True,
            "Det.limit_type": "max",
            "Det.limit_side_len": DETECTION_SIZE,
        }
    )
