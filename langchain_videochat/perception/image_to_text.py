"""Models that describe pictures, shared by Captions and Regions."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from langchain_videochat.models.weights import Weights, check_vocabulary, load_checkpoint
from langchain_videochat.perception.pretrained import Frame
from langchain_videochat.perception.vision_language import (
    VisionLanguageModel,
    has_chat_template,
    load_vision_language_model,
)

CAPTION_PROMPTS = {"florence2": "<CAPTION>"}
"""Caption prompt by model type; other models are not prompted."""

NUM_BEAMS = 1
"""Greedy decoding. The original uses three beams, which takes a third more time for BLIP on the CPU."""


@dataclass(frozen=True, eq=False)
class ImageToText:
    """An image-to-text model with its processor."""

    model: Any
    processor: Any
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def caption(self, windows: Sequence[Sequence[Frame]], max_new_tokens: int) -> list[str]:
        """Describe the first frame of each window in a sentence, deterministically.

        Args:
            windows: One or more frames each: RGB images, [H, W, 3].
            max_new_tokens: Maximum length of a description.
        """
        prompt = CAPTION_PROMPTS.get(self.model.config.model_type)
        return self.generate([window[0] for window in windows], prompt, max_new_tokens=max_new_tokens)

    def generate(
        self, frames: Sequence[Frame], prompt: str | None, *, max_new_tokens: int, special_tokens: bool = False
    ) -> list[str]:
        """Generate a text for each frame, deterministically.

        Args:
            frames: RGB images, [H, W, 3] each.
            prompt: The task; None if the model takes images only.
            max_new_tokens: Maximum length of a text.
            special_tokens: Keep special tokens, such as those of locations.
        """
        from PIL import Image

        images = [Image.fromarray(frame) for frame in frames]
        text = {} if prompt is None else {"text": [prompt] * len(images)}
        # Perceivers run in separate threads, and transformers models are not thread-safe.
        with self._lock:
            inputs = self.processor(images=images, return_tensors="pt", **text).to(self.model.device, self.model.dtype)
            tokens = self.model.generate(**inputs, do_sample=False, num_beams=NUM_BEAMS, max_new_tokens=max_new_tokens)
            return list(self.processor.batch_decode(tokens, skip_special_tokens=not special_tokens))


def load_image_to_text(weights: Weights) -> ImageToText | VisionLanguageModel:
    """Load a model for captions or regions; errors are those of `Perceiver.load`."""
    folder = weights.fetch()
    loaded = (load_vision_language_model if has_chat_template(folder) else _load_image_to_text)(folder, weights)
    check_vocabulary(loaded.processor.tokenizer, loaded.model, weights)
    # A model that needs other inputs must fail here rather than in the middle of a video.
    loaded.caption([[np.zeros((32, 32, 3), np.uint8)]], max_new_tokens=1)
    return loaded


def _load_image_to_text(folder: Path, weights: Weights) -> ImageToText:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = load_checkpoint(AutoModelForImageTextToText, folder, weights)
    processor = AutoProcessor.from_pretrained(  # type: ignore[no-untyped-call]
        folder, backend="pil", trust_remote_code=False
    )
    return ImageToText(model, processor)
