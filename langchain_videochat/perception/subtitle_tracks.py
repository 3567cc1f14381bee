"""Subtitles: cues of the video's own subtitle tracks and of files beside it."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.errors import InputError, ModelUnavailableError
from langchain_videochat.media import Cue, Damage, PictureCue
from langchain_videochat.media.languages import normalize_language
from langchain_videochat.media.subtitles.reader import check_language
from langchain_videochat.media.subtitles.subtitle_text import check_encoding
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.ocr import RecognizedLine, recognize
from langchain_videochat.perception.ocr_models import RecognitionModel, installed_models, model_for_language
from langchain_videochat.perception.perceiver import Perceiver, SubtitleInputs

MIN_SCORE = 0.5
"""Confidence below which a line is regarded as misread: unlike in a scene, there is nothing but text."""

MARGIN = 24
"""Pixels around a picture of text: letters at its edge are not detected."""


class SubtitleTracks(Perceiver[SubtitleInputs, Sequence[Cue]]):
    """Returns the cues of embedded and sidecar subtitles as Observations; pictures of text are recognized.

    Pictures in scripts other than Latin, Chinese and Japanese are recognized only if the model of their script, which
    `ScreenText` downloads for a language, is on this machine.

    Args:
        language: Read only subtitles in this language, for example "en" or "pt-BR"; if none are marked with it, those
            of unknown language. All if None.
        encoding: Encoding of sidecar files, for example "cp1253"; detected if None.

    Raises:
        InputError: The language or the encoding is unknown.
    """

    modality = "subtitle"

    def __init__(self, language: str | None = None, encoding: str | None = None) -> None:
        check_language(language)
        check_encoding(encoding)
        self.inputs = SubtitleInputs(language, encoding, pictures=True)

    def perceive(self, batch: Sequence[Cue]) -> Iterator[Observation]:
        """Convert cues."""
        for cue in batch:
            text, score = self._recognize(cue) if isinstance(cue, PictureCue) else (cue.text, None)
            if text:
                yield Observation(
                    *(cue.start, cue.end, "subtitle", text, score),
                    language=normalize_language(cue.language),
                    source=cue.track,
                    speaker=cue.speaker,
                )

    def _recognize(self, cue: PictureCue) -> tuple[str, float]:
        """Return the text in a picture and the confidence in it; report pictures that cannot be read."""
        try:
            model, others = _find_models(cue.language)
        except (InputError, ModelUnavailableError) as error:
            return self._report(cue, f"subtitles are pictures and cannot be read: {error.problem}")
        for background in (0, 255):
            found = recognize(_draw(cue, background), model, others)
            lines = [line for line in found if line.score >= MIN_SCORE and _is_word(line)]
            if lines:
                return " ".join(line.text for line in _reading_order(lines)), min(line.score for line in lines)
        return self._report(cue, "no text was recognized in pictures")

    def _report(self, cue: PictureCue, problem: str) -> tuple[str, float]:
        self.damage.append(Damage("subtitle", f"{cue.track}: {problem}", cue.end - cue.start))
        return "", 0.0


def _find_models(language: str | None) -> tuple[RecognitionModel | None, list[RecognitionModel]]:
    """Return the model for pictures in a language, and others to try if it is unknown.

    Raises:
        InputError: No model supports its script.
        ModelUnavailableError: The model is not on this machine. Few videos need it, so a run does not depend on it.
    """
    if language is None:
        return None, installed_models()
    model = model_for_language(language)
    if model and not model.find():
        option = f"screen_text: {{language: {normalize_language(language)}}}"
        problem = f"the model of their script is not on this machine; {option} in the profile downloads it"
        raise ModelUnavailableError(model.name, problem, "Add this option")
    return model, []


def _draw(cue: PictureCue, background: int) -> NDArray[np.uint8]:
    """Return a picture on a plain background: most letters are light with a dark edge, which black makes invisible."""
    opacity = cue.opacity / 255
    gray = np.pad(cue.luma * opacity + background * (1 - opacity), MARGIN, constant_values=background)
    return np.repeat(gray.astype(np.uint8)[..., None], 3, axis=2)


def _is_word(line: RecognizedLine) -> bool:
    return any(map(str.isalnum, line.text))


def _reading_order(lines: list[RecognizedLine]) -> list[RecognizedLine]:
    """Sort lines by rows, and those of a row from left to right."""
    ordered: list[RecognizedLine] = []
    row: list[RecognizedLine] = []
    for line in sorted(lines, key=_middle):
        if row and _middle(line) > row[0].rect[3]:
            ordered += sorted(row, key=lambda one: one.rect[0])
            row = []
        row.append(line)
    return ordered + sorted(row, key=lambda one: one.rect[0])


def _middle(line: RecognizedLine) -> float:
    return (line.rect[1] + line.rect[3]) / 2
