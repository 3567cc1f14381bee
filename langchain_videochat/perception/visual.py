"""Visual: embeddings of frames, so that moments can be found by what they look like."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from langchain_videochat.perception.frame_changes import VISIBLE_CHANGE
from langchain_videochat.perception.frame_vectors import dump_vector
from langchain_videochat.perception.observation import Observation
from langchain_videochat.perception.perceiver import FrameInputs
from langchain_videochat.perception.pretrained import BatchPerceiver, Frame, ModelOptions
from langchain_videochat.perception.visual_models import (
    DEFAULT_VISUAL_MODEL,
    FRAME_SIZE,
    VisualModel,
    load_visual_model,
)


class Visual(BatchPerceiver[VisualModel, Frame, NDArray[np.float32]]):
    """Embeds frames, so that a store finds moments by a description or by a picture.

    Its Observations have a vector and no text. Each holds until the picture changes, at most ten seconds.

    Args:
        model: SigLIP, SigLIP 2 or CLIP, or a multimodal model of sentence-transformers: an id on the Hugging Face Hub
            or a path; SigLIP 2 if None. `Tags` with the same model shares its computations.
        every: Minimum number of seconds between two frames.
        **options: `device`, `dtype` and `batch_size`; see `ModelPerceiver`.

    Raises:
        InputError: `batch_size` or `every` is not positive.

    Example:
        >>> Visual(every=2.0).inputs
        FrameInputs(every=2.0, tolerance=1.0, size=256, min_change=0.02, min_seconds=0.0)
    """

    modality = "visual"
    default_model = DEFAULT_VISUAL_MODEL
    load_model = staticmethod(load_visual_model)

    def __init__(self, model: str | Path | None = None, *, every: float = 1.0, **options: Unpack[ModelOptions]) -> None:
        super().__init__(model, **options)
        self.inputs = FrameInputs(every, tolerance=every / 2, size=FRAME_SIZE, min_change=VISIBLE_CHANGE)

    @override
    def infer(self, items: Sequence[Frame]) -> list[NDArray[np.float32]]:
        return list(self.model.embed_images(items))

    @override
    def emit(self, time: float, until: float, result: NDArray[np.float32]) -> Iterator[Observation]:
        yield Observation(time, until, "visual", "", source=self.weights.model, vector=dump_vector(result))
