"""Image-to-text models: one copy in memory writes captions and describes regions."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from langchain_videochat.models.hub import fetch_weights
from langchain_videochat.models.weights import Weights, check_vocabulary, load_checkpoint
from langchain_videochat.perception.pretrained import Picture

CAPTION_TASKS = {"florence2": "<CAPTION>"}
"""What a kind of model, named as in its config, must be told to write a caption; the others need the picture alone."""

BEAMS = 1
"""Wordings that are followed at once: the likeliest alone. The original follows three, at a third more time for
BLIP on a processor."""


@dataclass(frozen=True, eq=False)
class ImageToText:
    """A model that writes about pictures, with the processor that prepares its inputs."""

    model: Any
    processor: Any
    _busy: threading.Lock = field(default_factory=threading.Lock)

    @property
    def kind(self) -> str:
        """The kind of model, as its config names it."""
        return str(self.model.config.model_type)

    @property
    def caption_task(self) -> str | None:
        """What the model must be told to write a caption."""
        return CAPTION_TASKS.get(self.kind)

    def write(
        self, pictures: Sequence[Picture], task: str | None, *, longest: int, special_tokens: bool = False
    ) -> list[str]:
        """Write a text about each picture, always the same about the same.

        Args:
            pictures: RGB, [H, W, 3] each.
            task: What the model is told to do; None where it needs the picture alone.
            longest: Tokens after which a text is cut off.
            special_tokens: Whether tokens that are no words, such as those of places, are part of the text.
        """
        from PIL import Image

        images = [Image.fromarray(picture) for picture in pictures]
        told = {} if task is None else {"text": [task] * len(images)}
        # Every perceiver has a thread; transformers promises nothing to two callers of one model.
        with self._busy:
            inputs = self.processor(images=images, return_tensors="pt", **told).to(self.model.device, self.model.dtype)
            tokens = self.model.generate(**inputs, do_sample=False, num_beams=BEAMS, max_new_tokens=longest)
            return list(self.processor.batch_decode(tokens, skip_special_tokens=not special_tokens))


def load_image_to_text(weights: Weights) -> ImageToText:
    """Load a model for captions or regions.

    Raises:
        ModelUnavailableError: The weights cannot be had on this machine.
        ModelError: They are damaged, or of another kind of model.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = fetch_weights(weights.model)
    model = load_checkpoint(AutoModelForImageTextToText, folder, weights)
    processor = AutoProcessor.from_pretrained(  # type: ignore[no-untyped-call]
        folder, backend="pil", trust_remote_code=False
    )
    check_vocabulary(processor.tokenizer, model, weights)
    loaded = ImageToText(model, processor)
    # A model that needs more than a picture fails here, and not in the middle of a video.
    loaded.write([np.zeros((32, 32, 3), np.uint8)], loaded.caption_task, longest=1)
    return loaded
