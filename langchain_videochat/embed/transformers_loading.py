"""Loading a model of transformers that reads pictures or videos, with its processor."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from langchain_videochat.embed.settings import BITS, ModelSettings
from langchain_videochat.errors import ModelError
from langchain_videochat.models.weights import load_checkpoint, model_errors


def load_model_and_processor(settings: ModelSettings) -> tuple[Any, Any]:
    """Load a model for inference, and its processor.

    Raises:
        ModelUnavailableError: The model, or a package that it needs, cannot be found or downloaded.
        ModelError: It reads text only, has no chat template, or is incomplete.
    """
    from transformers import AutoModelForMultimodalLM, AutoProcessor

    folder = settings.fetch()
    with model_errors(settings.model):
        _check_kind(folder, settings)
        loader: Any = AutoProcessor
        processor = loader.from_pretrained(folder, trust_remote_code=settings.trust_remote_code)
        if not getattr(processor, "chat_template", None):
            problem = "it has no chat template, so it cannot be asked"
            raise ModelError(settings.model, problem, 'Use a variant for chats, often called "Instruct" or "it"')
        model = load_checkpoint(
            AutoModelForMultimodalLM,
            folder,
            _on_this_cpu(settings),
            show_progress=settings.show_progress,
            trust_remote_code=settings.trust_remote_code,
            **_options(settings),
        )
    return model.eval(), processor


def _check_kind(folder: Path, settings: ModelSettings) -> None:
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_MULTIMODAL_LM_MAPPING

    config = AutoConfig.from_pretrained(folder, trust_remote_code=settings.trust_remote_code)
    is_remote = settings.trust_remote_code and "AutoModelForMultimodalLM" in getattr(config, "auto_map", {})
    if type(config) not in MODEL_FOR_MULTIMODAL_LM_MAPPING and not is_remote:
        problem = f"models of type {config.model_type or 'unknown'} do not read pictures or videos"
        raise ModelError(
            settings.model, problem, "Use a vision-language model, such as a Qwen-VL, InternVL or SmolVLM2"
        )


def _on_this_cpu(settings: ModelSettings) -> ModelSettings:
    is_cpu = settings.dtype == "auto" and settings.torch_device.type == "cpu"
    return replace(settings, dtype="float32") if is_cpu else settings  # answers must not depend on the CPU


def _options(settings: ModelSettings) -> dict[str, Any]:
    from transformers import BitsAndBytesConfig

    options: dict[str, Any] = {}
    if settings.attn_implementation is not None:
        options["attn_implementation"] = settings.attn_implementation
    if settings.device_map is not None:
        options["device_map"] = settings.device_map
    if settings.quantization is not None:
        eight = BITS[settings.quantization] == 8  # noqa: PLR2004
        options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=eight, load_in_4bit=not eight)
    return options
