"""Loading a model of transformers that reads images or videos, with its processor.

A model whose architecture is not part of transformers brings its code: `auto_map` in its configuration files names the
classes.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_videochat.embed.language_model import quantization_config
from langchain_videochat.embed.settings import BITS, ModelSettings, float32_on_cpu
from langchain_videochat.errors import ModelError
from langchain_videochat.models.weights import load_checkpoint, model_errors

AUTO_CLASSES = ("AutoModelForMultimodalLM", "AutoModelForImageTextToText", "AutoModelForCausalLM", "AutoModel")
"""Names under which models bring their own classes, from the most to the least specific."""

_OTHER_MODELS = "Use a vision-language model, such as a Qwen-VL, InternVL or SmolVLM2"


def load_model_and_processor(settings: ModelSettings) -> tuple[Any, Any]:
    """Load a model for inference, and its processor.

    Raises:
        ModelUnavailableError: The model, or a package that it needs, cannot be found or downloaded.
        ModelError: It reads text only, has no chat template, is incomplete, or needs code that may not be run.
    """
    folder, settings = settings.fetch(), float32_on_cpu(settings)
    with model_errors(settings.model), _untrusted_code_errors(settings):
        # An error about the kind of model is more helpful than one about its processor.
        auto_class, config = _find_class(folder, settings)
        processor = _load_processor(folder, settings)
        model = load_checkpoint(
            auto_class,
            folder,
            settings,
            config=config,
            show_progress=settings.show_progress,
            trust_remote_code=settings.trust_remote_code,
            **_options(settings, auto_class, config),
        )
        if not model.can_generate():
            raise ModelError(settings.model, "it cannot generate text", _OTHER_MODELS)
    return model.eval(), processor


def load_config_and_processor(settings: ModelSettings) -> tuple[Any, Any]:
    """Load the configuration and the processor of a model; errors are those of `load_model_and_processor`."""
    folder = settings.fetch()
    with model_errors(settings.model), _untrusted_code_errors(settings):
        return _find_class(folder, settings)[1], _load_processor(folder, settings)


def _find_class(folder: Path, settings: ModelSettings) -> tuple[Any, Any]:
    """Return the auto class that loads a model, and its configuration.

    Raises:
        ModelError: The model does not read images or videos, or its code is not all in its folder.
    """
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_MULTIMODAL_LM_MAPPING

    if settings.trust_remote_code:
        _check_code(folder, settings.model)
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=settings.trust_remote_code)
    # Models of the Omni family are a thinker, which answers, and a talker, which speaks the answer.
    config = getattr(config, "thinker_config", config)
    own_classes = getattr(config, "auto_map", None) if settings.trust_remote_code else None
    name = next((name for name in AUTO_CLASSES if name in (own_classes or ())), None)
    if name is None and type(config) not in MODEL_FOR_MULTIMODAL_LM_MAPPING:
        problem = f"models of type {config.model_type or 'unknown'} do not read images or videos"
        raise ModelError(settings.model, problem, _OTHER_MODELS)
    return getattr(transformers, name or AUTO_CLASSES[0]), config


def _load_processor(folder: Path, settings: ModelSettings) -> Any:
    from transformers import AutoProcessor

    loader: Any = AutoProcessor
    processor = loader.from_pretrained(folder, trust_remote_code=settings.trust_remote_code)
    if not hasattr(processor, "tokenizer"):
        raise ModelError(settings.model, "it has no processor for videos or images", _OTHER_MODELS)
    if not getattr(processor, "chat_template", None):
        problem = "it has no chat template, so it cannot be prompted"
        raise ModelError(settings.model, problem, 'Use a variant for chats, often called "Instruct" or "it"')
    return processor


def _check_code(folder: Path, model: str) -> None:
    """Check that all code is in the model's folder: that of other repositories could change at any time.

    Raises:
        ModelError: A configuration file names code of another repository.
    """
    for path in sorted(folder.glob("*config*.json")):
        # References to other repositories have the form "owner/repository--module.Class".
        if any("--" in json.dumps(auto_map) for auto_map in _auto_maps(json.loads(path.read_bytes()))):
            problem = f"its {path.name} names code of another repository, which can change"
            raise ModelError(model, problem, "Copy that code into the model's folder, and name it in auto_map")


def _auto_maps(config: Any) -> Iterator[Any]:
    """Yield every `auto_map` of a configuration file, those of parts included."""
    if isinstance(config, dict):
        yield config.get("auto_map")
        for part in config.values():
            yield from _auto_maps(part)


@contextmanager
def _untrusted_code_errors(settings: ModelSettings) -> Iterator[None]:
    """Convert the error of transformers for a model whose code may not be run."""
    try:
        yield
    except ValueError as error:
        if settings.trust_remote_code or "trust_remote_code" not in str(error):
            raise
        problem = "the code in its repository would have to be run"
        advice = "If you have read it and trust it, set trust_remote_code=True, for a model on the Hub with the commit"
        raise ModelError(settings.model, problem, f"{advice} as revision") from error


def _options(settings: ModelSettings, auto_class: Any, config: Any) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if settings.attn_implementation is not None:
        options["attn_implementation"] = settings.attn_implementation
    if settings.device_map is not None:
        options["device_map"] = settings.device_map
    bits = BITS[settings.quantization]
    if bits is not None:
        skipped = _layers_outside_language_model(settings, auto_class, config)
        dtype = settings.torch_dtype
        options["quantization_config"] = quantization_config(bits, skipped, bnb_4bit_compute_dtype=dtype)
    return options


def _layers_outside_language_model(settings: ModelSettings, auto_class: Any, config: Any) -> list[str]:
    """Return the names of the linear layers that process images and audio, and that of the output layer."""
    import torch

    with torch.device("meta"):
        model = auto_class.from_config(config, trust_remote_code=settings.trust_remote_code)
    inside = set(model.get_decoder().modules()) - {model.get_output_embeddings()}
    layers = ((name, module) for name, module in model.named_modules() if isinstance(module, torch.nn.Linear))
    return [name for name, module in layers if module not in inside]
