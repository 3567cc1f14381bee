"""The vision side of VideoChat-Embed: videos and images to visual tokens."""

from collections.abc import Hashable

import torch

from langchain_videochat.embed.conversation import Image, Video, VisualTokens
from langchain_videochat.embed.cpu_threads import cpu_threads
from langchain_videochat.embed.modeling_videochat import VideoChatEmbedForConditionalGeneration
from langchain_videochat.embed.processing_videochat import VideoChatEmbedProcessor


class VisualEncoder:
    """Encodes videos and images as visual tokens, on the CPU."""

    def __init__(self, model: VideoChatEmbedForConditionalGeneration, processor: VideoChatEmbedProcessor) -> None:
        self._model = model
        self._processor = processor
        self._cpu_threads = cpu_threads(model)

    def __call__(self, visual: Video | Image, key: Hashable) -> VisualTokens:
        """Return the visual tokens of the frames of a video, or of an image; `key` identifies its content."""
        with torch.inference_mode(), self._cpu_threads():
            pixels = self._processor.preprocess(visual, self._model.device).to(self._model.dtype)
            embeddings = self._model.get_video_features(pixels.unsqueeze(0))[0].cpu()
        return VisualTokens(visual.kind, embeddings, key, visual.times)
