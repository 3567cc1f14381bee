"""Regions: what is where in the picture, in words, by Florence-2 (paper 3.1.1: dense captions, every five seconds)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import override

from langchain_videochat.errors import ModelError
from langchain_videochat.perception.base import Frames
from langchain_videochat.perception.image_to_text import ImageToText, load_image_to_text
from langchain_videochat.perception.observation import Box, Observation
from langchain_videochat.perception.pretrained import BatchPerceiver, Picture

TASK = "<DENSE_REGION_CAPTION>"

SHORTER_SIDE = 768
"""Pixels: what Florence-2 looks at."""

LONGEST = 512
"""Tokens for a picture at most: about fifty regions, ten tokens each."""

GRID = 10_000
"""Pixels of the picture in which Florence-2's places, which are in thousandths, are whole numbers."""

Region = tuple[str, Box]


class Regions(BatchPerceiver[ImageToText, Picture, list[Region]]):
    """Describes the parts of the picture, each with its place, every five seconds.

    Where Captions has the same model, both use one copy of it.

    Args:
        model: A Florence-2 in the format of transformers: an id on the Hugging Face hub or a path; the base model if
            None.
        device: As torch names it; "auto" is the graphics card if there is one.
        dtype: "float32", "float16" or "bfloat16"; "auto" is float32 on a processor and bfloat16 elsewhere.
        batch_size: How many pictures the model is given at once.
        every: Seconds between two pictures; five, as in the original, unless given.

    Raises:
        InputError: `batch_size` is below 1.

    Example:
        >>> Regions().weights.model
        'florence-community/Florence-2-base'
    """

    modality = "region"
    default_model = "florence-community/Florence-2-base"

    _load = staticmethod(load_image_to_text)

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 8,
        every: float = 5.0,
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, batch_size=batch_size)
        self.inputs = Frames(every=every, tolerance=every / 2, size=SHORTER_SIDE)

    @property
    def _model(self) -> ImageToText:
        model = super()._model
        if model.kind != "florence2":
            problem = f"this model is of the kind {model.kind}, which describes no regions"
            raise ModelError(self.weights.model, problem, f"Use a Florence-2, such as {self.default_model}")
        return model

    @override
    def infer(self, items: Sequence[Picture]) -> Iterator[list[Region]]:
        model = self._model
        for text in model.write(items, TASK, longest=LONGEST, special_tokens=True):
            yield parse_regions(text, model.processor)

    @override
    def emit(self, time: float, until: float, seen: list[Region]) -> Iterator[Observation]:
        for caption, box in seen:
            yield Observation(time, until, "region", caption, box=box, source=self.weights.model)


def parse_regions(text: str, processor: Any) -> list[Region]:
    """Read the captions and boxes in Florence-2's words.

    Args:
        text: What it wrote, such as "dog<loc_10><loc_20><loc_500><loc_999>".
        processor: Its processor, which knows the format.

    Returns:
        Each caption with its box, 0 to 1 from the left and from the top; once each, and none without text or area.
    """
    parsed = processor.post_process_generation(text=text, task=TASK, image_size=(GRID, GRID))[TASK]
    # Of places that belong to no caption, the processor leaves fragments: "loc_10>dog".
    captions = [" ".join(label.rpartition(">")[2].split()) for label in parsed["labels"]]
    boxes = [_to_box(corners) for corners in parsed["bboxes"]]
    regions = [(caption, box) for caption, box in zip(captions, boxes, strict=True) if caption and _has_area(box)]
    return list(dict.fromkeys(regions))


def _to_box(corners: Sequence[float]) -> Box:
    x0, y0, x1, y1 = (min(max(edge / GRID, 0.0), 1.0) for edge in corners)
    return x0, y0, x1, y1


def _has_area(box: Box) -> bool:
    x0, y0, x1, y1 = box
    return x0 < x1 and y0 < y1
