"""Captions: one sentence for each second, by any image-to-text model (paper 3.1.1)."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from typing_extensions import override

from langchain_videochat.perception.base import Frames
from langchain_videochat.perception.image_to_text import ImageToText, load_image_to_text
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.pretrained import BatchPerceiver, Picture

SHORTER_SIDE = 384
"""Pixels: what BLIP looks at, and more than BLIP-2 does."""

LONGEST = 50
"""Tokens of a caption at most, as in the original."""


class Captions(BatchPerceiver[ImageToText, Picture, str]):
    """Describes the picture in a sentence, once a second.

    A caption holds until the next frame that is looked at.

    Args:
        model: An image-to-text model that needs the picture alone (BLIP, BLIP-2, GIT), or Florence-2: an id on the
            Hugging Face hub or a path; BLIP if None.
        device: As torch names it; "auto" is the graphics card if there is one.
        dtype: "float32", "float16" or "bfloat16"; "auto" is float32 on a processor and bfloat16 elsewhere.
        batch_size: How many pictures the model is given at once.
        every: Seconds between two captions.

    Raises:
        InputError: `batch_size` is below 1.

    Example:
        >>> Captions(every=2.0).wants
        Frames(every=2.0, tolerance=1.0, size=384)
    """

    modality = "caption"
    default_model = "Salesforce/blip-image-captioning-base"

    _load = staticmethod(load_image_to_text)

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 8,
        every: float = 1.0,
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, batch_size=batch_size)
        self.inputs = Frames(every=every, tolerance=every / 2, size=SHORTER_SIDE)

    @override
    def infer(self, items: Sequence[Picture]) -> list[str]:
        return self._model.write(items, self._model.caption_task, longest=LONGEST)

    @override
    def emit(self, time: float, until: float, seen: str) -> Iterator[Observation]:
        caption = " ".join(seen.split())
        if caption:
            yield Observation(time, until, "caption", caption, source=self.weights.model)
