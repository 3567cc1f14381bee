"""VideoChat-Embed: the model (paper 3.2.1), and a LangChain chat model that runs it."""

from typing import TYPE_CHECKING

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
    from langchain_videochat.embed.language_model import add_lora, quantization_config
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
    "quantization_config",
    "read_image",
    "read_video",
]

_EXPORTS = {
    "chat_model": ("VideoChatEmbed",),
    "conversation": ("Image", "Turn", "Video", "read_image", "read_video"),
    "convert": ("ConversionReport", "convert_checkpoint"),
    "errors": ("InvalidRequestError", "ModelNotFoundError", "NotEnoughMemoryError", "PromptTooLongError"),
    "language_model": ("add_lora", "quantization_config"),
    # This module also registers the classes with transformers' Auto classes.
    "loading": (
        "VideoChatEmbedConfig",
        "VideoChatEmbedForConditionalGeneration",
        "VideoChatEmbedProcessor",
        "load_model",
    ),
    "modeling_videochat": ("VideoFeatures",),
}

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
