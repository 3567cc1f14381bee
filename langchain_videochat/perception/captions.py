"""Captions: one sentence per second, by any image-to-text model (paper 3.1.1)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Unpack

from typing_extensions import override

from langchain_videochat.perception.image_to_text import ImageToText, load_image_to_text
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.perceiver import FrameInputs
from langchain_videochat.perception.pretrained import BatchPerceiver, Frame, ModelOptions

FRAME_SIZE = 384
"""Input size of BLIP in pixels; BLIP-2 takes less."""

MAX_NEW_TOKENS = 50
"""Maximum length of a caption, as in the original implementation."""


class Captions(BatchPerceiver[ImageToText, Frame, str]):
    """Describes a frame in one sentence, once per second. A caption holds until the next sampled frame.

    Args:
        model: An image-to-text model that needs no prompt (BLIP, BLIP-2, GIT), or Florence-2: an id on the Hugging
            Face Hub or a path; BLIP if None.
        every: Seconds between two captions.
        **options: `device`, `dtype` and `batch_size`; see `ModelPerceiver`.

    Example:
        >>> Captions(every=2.0).inputs
        FrameInputs(every=2.0, tolerance=1.0, size=384)
    """

    modality = "caption"
    default_model = "Salesforce/blip-image-captioning-base"
    load_model = staticmethod(load_image_to_text)

    def __init__(self, model: str | Path | None = None, *, every: float = 1.0, **options: Unpack[ModelOptions]) -> None:
        super().__init__(model, **options)
        self.inputs = FrameInputs(every=every, tolerance=every / 2, size=FRAME_SIZE)

    @override
    def infer(self, items: Sequence[Frame]) -> list[str]:
        return self.model.generate(items, self.model.caption_prompt, max_new_tokens=MAX_NEW_TOKENS)

    @override
    def emit(self, time: float, until: float, result: str) -> Iterator[Observation]:
        caption = " ".join(result.split())
        if caption:
            yield Observation(time, until, "caption", caption, source=self.weights.model)
