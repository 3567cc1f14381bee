"""An architecture that is not part of transformers: a file such as published models bring in their folders."""

from typing import Any

import transformers

hf: Any = transformers


class CustomConfig(hf.Qwen2_5_VLConfig):  # type: ignore[misc]
    """Configuration of a Qwen2.5-VL under another name."""

    model_type = "custom_vlm"


class CustomForConditionalGeneration(hf.Qwen2_5_VLForConditionalGeneration):  # type: ignore[misc]
    """A Qwen2.5-VL under another name."""

    config_class = CustomConfig


class CustomProcessor(hf.Qwen2_5_VLProcessor):  # type: ignore[misc]
    """The processor of a Qwen2.5-VL under another name."""
