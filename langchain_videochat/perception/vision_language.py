"""Vision-language models that describe pictures, or windows of a video, in answer to a prompt."""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_videochat.models.weights import Weights, load_checkpoint
from langchain_videochat.perception.pretrained import Frame

PICTURE_PROMPT = "Describe this picture in one sentence."
VIDEO_PROMPT = "These are frames of a video, in order. Describe what happens in one sentence."

TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json")
"""Files of a repository that contain its chat template."""

READ_AS_IDEFICS3 = ("idefics3", "smolvlm")
"""Model types whose pictures Idefics3's processor prepares: SmolVLM's own one prepares them in the same way, but needs
torchvision and num2words, for videos."""


@dataclass(frozen=True, eq=False)
class VisionLanguageModel:
    """A chat model that reads pictures, with its processor."""

    model: Any
    processor: Any
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def caption(self, windows: Sequence[Sequence[Frame]], max_new_tokens: int) -> list[str]:
        """Describe each window in a sentence, deterministically.

        Args:
            windows: One or more frames each: RGB images, [H, W, 3].
            max_new_tokens: Maximum length of a description.
        """
        from PIL import Image

        prompts = [self._prompt(len(window)) for window in windows]
        images = [[Image.fromarray(frame) for frame in window] for window in windows]
        # Perceivers run in separate threads, and transformers models are not thread-safe.
        with self._lock:
            inputs = self.processor(text=prompts, images=images, padding=True, return_tensors="pt")
            inputs = inputs.to(self.model.device, self.model.dtype)
            tokens = self.model.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=max_new_tokens)
            answers = tokens[:, inputs["input_ids"].shape[1] :]
            return [whole_sentences(text) for text in self.processor.batch_decode(answers, skip_special_tokens=True)]

    def _prompt(self, frames: int) -> str:
        task = PICTURE_PROMPT if frames == 1 else VIDEO_PROMPT
        content = [{"type": "image"}] * frames + [{"type": "text", "text": task}]
        message = {"role": "user", "content": content}
        return str(self.processor.apply_chat_template([message], add_generation_prompt=True))


def has_chat_template(folder: Path) -> bool:
    """Return whether a folder contains a model that is prompted through a chat template."""
    return _read_chat_template(folder) is not None


def load_vision_language_model(folder: Path, weights: Weights) -> VisionLanguageModel:
    """Load a vision-language model from its folder; errors are those of `Perceiver.load`."""
    from transformers import AutoModelForImageTextToText

    model = load_checkpoint(AutoModelForImageTextToText, folder, weights)
    processor = _load_processor(folder, model.config)
    processor.tokenizer.padding_side = "left"  # so that all answers start at the same position
    return VisionLanguageModel(model, processor)


def _load_processor(folder: Path, config: Any) -> Any:
    import transformers
    from transformers.models.idefics3.processing_idefics3 import Idefics3Processor

    if config.model_type not in READ_AS_IDEFICS3:
        processors: Any = transformers.AutoProcessor
        return processors.from_pretrained(folder, backend="pil", trust_remote_code=False)
    image_processors: Any = transformers.AutoImageProcessor
    vision = config.vision_config
    # By default, a picture is enlarged and split into up to 17, each of which costs as much as one.
    image_processor = image_processors.from_pretrained(
        folder, backend="pil", do_image_splitting=False, size={"longest_edge": vision.image_size}
    )
    return Idefics3Processor(
        image_processor,
        transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False),
        image_seq_len=(vision.image_size // vision.patch_size // config.scale_factor) ** 2,
        chat_template=_read_chat_template(folder),
    )


def _read_chat_template(folder: Path) -> str | None:
    """Return the chat template of a model; None if it has none."""
    template, settings, tokenizer = (folder / name for name in (*TEMPLATE_FILES, "tokenizer_config.json"))
    if template.is_file():
        return template.read_text(encoding="utf-8")
    for path in (settings, tokenizer):
        found = json.loads(path.read_text(encoding="utf-8")).get("chat_template") if path.is_file() else None
        if isinstance(found, str):
            return found
    return None


def whole_sentences(text: str) -> str:
    """Remove a last sentence that was cut off at the maximum length, if another one precedes it.

    Example:
        >>> whole_sentences("A man whisks eggs. The kitchen is")
        'A man whisks eggs.'
    """
    stripped = text.strip()
    whole, separator, _ = stripped.rpartition(". ")
    return f"{whole}." if separator and not stripped.endswith((".", "!", "?")) else stripped
