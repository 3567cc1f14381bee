"""VideoChat-Embed: the model (paper 3.2.1), and the chat model of LangChain that runs it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_videochat.utils.lazy import lazy_exports

if TYPE_CHECKING:
    from langchain_videochat.embed.chat_model import VideoChatEmbed
    from langchain_videochat.embed.configuration_videochat import VideoChatEmbedConfig
    from langchain_videochat.embed.conversation import Image, Turn, Video, read_image, read_video
    from langchain_videochat.embed.convert import ConversionReport, convert_checkpoint
    from langchain_videochat.embed.errors import (
        InvalidRequestError,
        ModelNotFoundError,
        NotEnoughMemoryError,
        PromptTooLongError,
    )
    from langchain_videochat.embed.language_model import add_lora, quantized
    from langchain_videochat.embed.loading import load_model
    from langchain_videochat.embed.modeling_videochat import VideoChatEmbedForConditionalGeneration, VideoFeatures
    from langchain_videochat.embed.processing_videochat import VideoChatEmbedProcessor

__all__ = [
    "ConversionReport",
    "Image",
    "InvalidRequestError",
    "ModelNotFoundError",
    "NotEnoughMemoryError",
    "PromptTooLongError",
    "Turn",
    "Video",
    "VideoChatEmbed",
    "VideoChatEmbedConfig",
    "VideoChatEmbedForConditionalGeneration",
    "VideoChatEmbedProcessor",
    "VideoFeatures",
    "add_lora",
    "convert_checkpoint",
    "load_model",
    "quantized",
    "read_image",
    "read_video",
]

_LIGHT = {
    "Image": "conversation",
    "InvalidRequestError": "errors",
    "ModelNotFoundError": "errors",
    "NotEnoughMemoryError": "errors",
    "PromptTooLongError": "errors",
    "Turn": "conversation",
    "Video": "conversation",
    "VideoChatEmbed": "chat_model",
    "read_image": "conversation",
    "read_video": "conversation",
}
"""What does without torch and transformers, which take seconds to import."""

_HEAVY = {
    "ConversionReport": "convert",
    "VideoChatEmbedConfig": "configuration_videochat",
    "VideoChatEmbedForConditionalGeneration": "modeling_videochat",
    "VideoChatEmbedProcessor": "processing_videochat",
    "VideoFeatures": "modeling_videochat",
    "add_lora": "language_model",
    "convert_checkpoint": "convert",
    "load_model": "loading",
    "quantized": "language_model",
}


_get, __dir__ = lazy_exports(__name__, _LIGHT | _HEAVY)


def __getattr__(name: str) -> Any:
    if name in _HEAVY:
        # It makes the model known to transformers.
        import_module(f"{__name__}.loading")
    return _get(name)
