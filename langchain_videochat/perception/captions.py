"""Captions: one sentence per view, by any model that describes pictures (paper 3.1.1)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np
from typing_extensions import override

from langchain_videochat.errors import InputError
from langchain_videochat.media import FrameBatch
from langchain_videochat.perception.frame_changes import NEW_VIEW, VISIBLE_CHANGE, ChangeFilter, Thumbnail
from langchain_videochat.perception.image_to_text import ImageToText, load_image_to_text
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.perceiver import FrameInputs
from langchain_videochat.perception.pretrained import BatchPerceiver, Frame, ModelOptions, earliest
from langchain_videochat.perception.vision_language import VisionLanguageModel

FRAME_SIZE = 512
"""Input size of SmolVLM in pixels; BLIP and BLIP-2 take less."""

EVERY_SECONDS = 5.0
"""Default of the minimum time between two captions: on two cores, a caption takes about three seconds."""

MAX_NEW_TOKENS = 50
"""Maximum length of a caption, as in the original implementation."""


class Captions(BatchPerceiver[ImageToText | VisionLanguageModel, list[Frame], str]):
    """Describes what is seen in one sentence, whenever the view changes.

    A new view is a cut, a new slide, or a picture of which about half is new since the last caption; a person who moves
    before the same background is not one. A caption holds until the next; if nothing changes, the picture is
    described again after ten seconds.

    Args:
        model: SmolVLM or another vision-language model that is prompted through a chat template; an image-to-text model
            that needs no prompt (BLIP, BLIP-2, GIT); or Florence-2: an id on the Hugging Face Hub or a path;
            SmolVLM2-256M if None.
        every: Minimum number of seconds between two captions.
        frames: Maximum number of frames that a caption describes, spread from one view to the next. More than one takes
            as many times as long, and lets vision-language models describe what happens; other models describe the
            first.
        **options: `device`, `dtype` and `batch_size`; see `ModelPerceiver`.

    Raises:
        InputError: `every`, `frames` or `batch_size` is not positive.

    Example:
        >>> Captions(every=2.0).inputs
        FrameInputs(every=1.0, tolerance=0.5, size=512, min_change=0.45, min_seconds=2.0)
    """

    modality = "caption"
    default_model = "HuggingFaceTB/SmolVLM2-256M-Video-Instruct"
    load_model = staticmethod(load_image_to_text)

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        every: float = EVERY_SECONDS,
        frames: int = 1,
        **options: Unpack[ModelOptions],
    ) -> None:
        super().__init__(model, **options)
        if frames < 1:
            raise InputError("frames", f"must be positive, got {frames}", "Give 1 or more")
        step = min(1.0, every)
        views = FrameInputs(step, tolerance=step / 2, size=FRAME_SIZE, min_change=NEW_VIEW, min_seconds=every)
        self.inputs = views if frames == 1 else replace(views, min_change=VISIBLE_CHANGE, min_seconds=0.0)
        self.frames = frames
        self._views = ChangeFilter(views)
        self._window: list[tuple[float, Frame]] = []
        """Frames of the current view so far, with their times."""

    @property
    def pending_since(self) -> float | None:
        """Start of the earliest Observation that is still to come, in seconds; None if nothing is pending."""
        return earliest(super().pending_since, self._window[0][0] if self._window else None)

    def finish(self, end: float) -> Iterator[Observation]:
        """Describe the remaining views."""
        self._queue += self._end_window()
        yield from super().finish(end)

    @override
    def make_items(self, batch: FrameBatch) -> Iterator[tuple[float, list[Frame]]]:
        for frame, time in zip(batch.frames, batch.times.tolist(), strict=True):
            # If one frame is enough, only frames with a new view are received.
            if self.frames == 1 or self._views.select(Thumbnail.of(frame), time):
                yield from self._end_window()
            self._window.append((time, frame))

    def _end_window(self) -> Iterator[tuple[float, list[Frame]]]:
        if self._window:
            chosen = np.linspace(0, len(self._window) - 1, min(self.frames, len(self._window))).round().astype(int)
            yield self._window[0][0], [self._window[index][1] for index in chosen.tolist()]
            self._window = []

    @override
    def infer(self, items: Sequence[list[Frame]]) -> list[str]:
        return self.model.caption(items, MAX_NEW_TOKENS)

    @override
    def emit(self, time: float, until: float, result: str) -> Iterator[Observation]:
        caption = " ".join(result.split())
        if caption:
            yield Observation(time, until, "caption", caption, source=self.weights.model)
