"""VideoChat-Embed: the model (paper 3.2.1)."""

from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from langchain_videochat.embed.checkpoints import ConversionReport, convert_checkpoint
from langchain_videochat.embed.configuration_videochat import VideoChatEmbedConfig
from langchain_videochat.embed.conversation import Image, Turn, Video, read_image, read_video
from langchain_videochat.embed.language_model import add_lora, quantized
from langchain_videochat.embed.loading import load_model
from langchain_videochat.embed.modeling_videochat import VideoChatEmbedForConditionalGeneration, VideoFeatures
from langchain_videochat.embed.processing_videochat import VideoChatEmbedProcessor

AutoConfig.register(VideoChatEmbedConfig.model_type, VideoChatEmbedConfig, exist_ok=True)
AutoModelForImageTextToText.register(VideoChatEmbedConfig, VideoChatEmbedForConditionalGeneration, exist_ok=True)
AutoProcessor.register(VideoChatEmbedConfig, VideoChatEmbedProcessor, exist_ok=True)

__all__ = [
    "ConversionReport",
    "Image",
    "Turn",
    "Video",
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
