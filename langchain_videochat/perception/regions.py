"""Regions: dense captions with bounding boxes, at most every five seconds, by Florence-2 (paper 3.1.1)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Unpack

from typing_extensions import override

from langchain_videochat.errors import ModelError
from langchain_videochat.perception.frame_changes import NEW_VIEW
from langchain_videochat.perception.image_to_text import ImageToText, load_image_to_text
from langchain_videochat.perception.observation import Box, Observation, scale_box
from langchain_videochat.perception.perceiver import FrameInputs
from langchain_videochat.perception.pretrained import BatchPerceiver, Frame, ModelOptions

PROMPT = "<DENSE_REGION_CAPTION>"

FRAME_SIZE = 768
"""Input size of Florence-2 in pixels."""

MAX_NEW_TOKENS = 512
"""About fifty regions of ten tokens each."""

GRID = 10_000
"""Side in pixels of a virtual image in which Florence-2's locations, given in thousandths, are integers."""

Region = tuple[str, Box]


class Regions(BatchPerceiver[ImageToText, Frame, list[Region]]):
    """Describes regions of a frame with their bounding boxes, at most every five seconds.

    The descriptions hold until the view changes; see `Captions`.

    If Captions uses the same model, both share it.

    Args:
        model: A Florence-2 of transformers: an id on the Hugging Face Hub or a path; the base model if None.
        every: Seconds between two frames that are compared; five by default, as in the original implementation.
        **options: `device`, `dtype` and `batch_size`; see `ModelPerceiver`.

    Example:
        >>> Regions().weights.model
        'florence-community/Florence-2-base'
    """

    modality = "region"
    default_model = "florence-community/Florence-2-base"
    load_model = staticmethod(load_image_to_text)

    def __init__(self, model: str | Path | None = None, *, every: float = 5.0, **options: Unpack[ModelOptions]) -> None:
        super().__init__(model, **options)
        self.inputs = FrameInputs(every=every, tolerance=every / 2, size=FRAME_SIZE, min_change=NEW_VIEW)

    @override
    def prepare(self, model: ImageToText) -> None:
        model_type = model.model.config.model_type
        if model_type != "florence2":
            problem = f"models of type {model_type} do not describe regions"
            raise ModelError(self.weights.model, problem, f"Use a Florence-2, for example {self.default_model}")

    @override
    def infer(self, items: Sequence[Frame]) -> Iterator[list[Region]]:
        for text in self.model.generate(items, PROMPT, max_new_tokens=MAX_NEW_TOKENS, special_tokens=True):
            yield parse_regions(text, self.model.processor)

    @override
    def emit(self, time: float, until: float, result: list[Region]) -> Iterator[Observation]:
        for caption, box in result:
            yield Observation(time, until, "region", caption, box=box, source=self.weights.model)


def parse_regions(text: str, processor: Any) -> list[Region]:
    """Parse output of Florence-2, for example "dog<loc_10><loc_20><loc_500><loc_999>", with its processor.

    Duplicates and regions without caption or area are left out.
    """
    parsed = processor.post_process_generation(text=text, task=PROMPT, image_size=(GRID, GRID))[PROMPT]
    # The processor leaves fragments of locations that belong to no caption: "loc_10>dog".
    captions = [" ".join(label.rpartition(">")[2].split()) for label in parsed["labels"]]
    boxes = [scale_box(edges, GRID, GRID) for edges in parsed["bboxes"]]
    regions = dict.fromkeys(zip(captions, boxes, strict=True))
    return [(caption, box) for caption, box in regions if caption and box[0] < box[2] and box[1] < box[3]]
