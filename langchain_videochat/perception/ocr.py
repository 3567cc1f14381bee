"""Text recognition in pictures by RapidOCR."""

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import regex
from numpy.typing import NDArray

from langchain_videochat.errors import VideoChatError
from langchain_videochat.models.weights import model_errors
from langchain_videochat.perception.change_detection import Rect
from langchain_videochat.perception.ocr_models import RecognitionModel

logger = logging.getLogger(__name__)

SOURCE = "rapidocr"
"""The source of Observations made from recognized text."""

DETECTION_SIZE = 736
"""Longer side in pixels at which lines are detected; they are recognized at full size.

On two cores, detection takes 0.18 s, against 0.5 s at 1280 pixels, and finds the same lines, down to letters 9 pixels
high in a 720p frame."""

MAX_LETTER_WIDTH = 1.5
"""Width of a line for each recognized letter, in heights of the line, above which letters must be missing.

Models leave out letters that they don't support. Lines in supported scripts measure 0.4 to 1; those in others 4 and
more, or have no letters at all."""

MIN_LETTERS = 2
"""Lines that are too short for more letters than this are not regarded as incomplete: most of them are patterns."""

GREEK_WORD = regex.compile(r"\p{Greek}{3}")
"""Greek letters that are not symbols of a formula. The model in RapidOCR's package leaves out those with accents."""

CONFIDENT_SCORE = 0.9
"""Confidence from which a line is not read again by other models, and from which their reading is accepted."""

_lock = threading.Lock()


class RecognizedLine(NamedTuple):
    """A line of text in a picture."""

    text: str
    """The text; empty if no letter is supported."""

    score: float
    """Confidence from 0 to 1."""

    rect: Rect
    """Left, top, right and bottom in pixels."""

    is_incomplete: bool
    """Whether letters are missing, because the model does not support them or because the line is a pattern."""


class _Reading(NamedTuple):
    """What a model reads in the picture of a line."""

    text: str
    score: float
    is_incomplete: bool

    @property
    def is_doubtful(self) -> bool:
        return self.is_incomplete or self.score < CONFIDENT_SCORE


def recognize(
    picture: NDArray[np.uint8], model: RecognitionModel | None = None, others: Sequence[RecognitionModel] = ()
) -> Iterator[RecognizedLine]:
    """Recognize the lines of text in a picture.

    Args:
        picture: RGB, [H, W, 3].
        model: The model that reads the lines; the one in RapidOCR's package if None. It must be on this machine.
        others: Models that read the lines again that this model reads incompletely or with little confidence. The
            best of their readings replaces the first if it is complete and confident.

    Yields:
        Lines in no particular order.

    Raises:
        ModelError: The file of a model is damaged.
    """
    with _lock:
        rects, crops = _detect(np.ascontiguousarray(picture[..., ::-1]))
        readings = _read(model, crops)
        doubtful = [index for index, reading in enumerate(readings) if reading.is_doubtful]
        usable = [other for other in others if _is_usable(other)] if doubtful else []
        alternatives = [_read(other, [crops[index] for index in doubtful]) for other in usable]
        for index, *found in zip(doubtful, *alternatives, strict=True):
            confident = [reading for reading in found if not reading.is_doubtful]
            readings[index] = max(confident, key=lambda reading: reading.score, default=readings[index])
    for rect, reading in zip(rects, readings, strict=True):
        yield RecognizedLine(reading.text, reading.score, rect, reading.is_incomplete)


@cache
def _is_usable(model: RecognitionModel) -> bool:
    """Return whether a model that nobody asked for can be loaded; log once why not."""
    try:
        _recognizer(model)
    except VideoChatError as error:
        logger.warning("Text is not read with this model. %s", error)
        return False
    return True


def load(model: RecognitionModel | None) -> None:
    """Load a model now rather than at first use, downloading it with a progress bar if necessary.

    Raises:
        ModelUnavailableError: It cannot be downloaded.
        ModelError: Its file is damaged.
    """
    with _lock:
        if model is not None:
            model.fetch()
        _detector()
        _recognizer(model)


def _detect(image: NDArray[np.uint8]) -> tuple[list[Rect], list[NDArray[np.uint8]]]:
    """Return where the lines of an image (BGR) are, and the image of each, upright."""
    from rapidocr.main import RapidOCRError
    from rapidocr.utils.process_img import map_boxes_to_original

    detector = _detector()
    scaled, steps = detector.preprocess_img(image)
    try:
        crops, detected = detector.detect_and_crop(scaled, steps)
    except RapidOCRError:  # there is no text
        return [], []
    boxes = map_boxes_to_original(detected.boxes, steps, *image.shape[:2])
    edges = [(*corners.min(axis=0), *corners.max(axis=0)) for corners in boxes]
    return [(int(x0), int(y0), int(x1), int(y1)) for x0, y0, x1, y1 in edges], crops


def _read(model: RecognitionModel | None, crops: Sequence[NDArray[np.uint8]]) -> list[_Reading]:
    """Read images of lines."""
    if not crops:
        return []
    result = _recognizer(model).recognize_txt(list(crops))
    readings = []
    for text, score, crop in zip(result.txts, result.scores, crops, strict=True):
        is_incomplete = _lacks_letters(text, crop) or (model is None and GREEK_WORD.search(text) is not None)
        readings.append(_Reading(text.strip(), round(float(score), 4), is_incomplete))
    return readings


def _lacks_letters(text: str, crop: NDArray[np.uint8]) -> bool:
    height, width = crop.shape[:2]
    letters = max(MIN_LETTERS, len("".join(text.split())))
    return bool(width > letters * MAX_LETTER_WIDTH * height)


@cache
def _detector() -> Any:
    engine = _engine({"Det.limit_type": "max", "Det.limit_side_len": DETECTION_SIZE})
    engine._load_det_model()  # otherwise it is loaded at the first frame
    return engine


def _recognizer(model: RecognitionModel | None) -> Any:
    return _load_recognizer(None, None) if model is None else _load_recognizer(model.path, model.code)


@cache
def _load_recognizer(path: Path | None, code: str | None) -> Any:
    from rapidocr.utils.typings import LangRec

    # The language makes RapidOCR return Arabic text in the order of its letters rather than from left to right.
    params = {"Rec.model_path": str(path), "Rec.lang_type": LangRec(code)} if path else {}
    with model_errors(path.stem if path else SOURCE):
        engine = _engine(params)
        engine._load_rec_model()  # otherwise a damaged file is found in the middle of a video
        return engine


def _engine(params: dict[str, Any]) -> Any:
    from rapidocr import RapidOCR

    # Its handler writes to the console, and errors are raised as exceptions anyway.
    logging.getLogger("RapidOCR").disabled = True
    # Without its memory arena, every call allocates its memory again.
    # ONNX Runtime does not read this variable by itself; worker processes share the cores with it.
    threads = os.environ.get("OMP_NUM_THREADS", "")
    common = {
        "Global.log_level": "critical",
        "EngineConfig.onnxruntime.enable_cpu_mem_arena": True,
        "EngineConfig.onnxruntime.intra_op_num_threads": int(threads) if threads.isdecimal() else -1,
    }
    return RapidOCR(params=common | params)
