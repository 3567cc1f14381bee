"""The backend of VideoChat-Embed."""

import inspect
from collections.abc import Hashable, Sequence
from typing import Literal

import torch
from typing_extensions import override

from langchain_videochat.embed.backend import Backend, end_tokens_of
from langchain_videochat.embed.batching import ContinuousBatch, Prompt
from langchain_videochat.embed.conversation import Audio, Turn, VisualTokens
from langchain_videochat.embed.cpu_threads import cpu_threads
from langchain_videochat.embed.loading import load_model
from langchain_videochat.embed.modeling_videochat import VideoChatEmbedForConditionalGeneration
from langchain_videochat.embed.processing_videochat import VideoChatEmbedProcessor
from langchain_videochat.embed.settings import BITS, ModelSettings
from langchain_videochat.embed.token_merging import merge_segments
from langchain_videochat.embed.visual_cache import VisualCache
from langchain_videochat.embed.visual_encoder import VisualEncoder
from langchain_videochat.errors import ModelError

DEFAULT_VIDEO_TOKENS = 768
"""Eight segments of the paper's model."""


class VideoChatBackend(Backend):
    """A loaded VideoChat-Embed, which reads videos as visual tokens."""

    def __init__(
        self,
        model: VideoChatEmbedForConditionalGeneration,
        processor: VideoChatEmbedProcessor,
        generator: ContinuousBatch,
    ) -> None:
        super().__init__(
            model,
            processor.tokenizer,
            VisualCache(VisualEncoder(model, processor)),
            generator,
            context_length=model.config.context_length,
            default_video_tokens=DEFAULT_VIDEO_TOKENS,
            stop_strings=processor.stop_strings,
        )
        self._processor = processor
        self._cpu_threads = cpu_threads(model)

    @override
    def segment_tokens(self, num_frames: int, at_most: int) -> int:
        return self._processor.num_visual_tokens

    @override
    def frame_size(self, num_frames: int | None, size: tuple[int, int], max_tokens: int) -> None:
        return None

    @override
    def merge_segments(self, segments: Sequence[VisualTokens], count: int) -> list[VisualTokens]:
        return list(merge_segments(segments, count))

    @override
    def placeholder(
        self,
        kind: Literal["video", "image"],
        size: tuple[int, int],
        times: tuple[float, ...] = (),
        audio: Audio | None = None,
    ) -> VisualTokens:
        return VisualTokens(kind, torch.empty(0), None, times)

    @override
    def count_tokens(self, turns: Sequence[Turn], *, add_generation_prompt: bool = True) -> int:
        return int(self._processor(turns, add_generation_prompt=add_generation_prompt)["input_ids"].shape[1])

    @override
    def build_prompt(self, turns: Sequence[Turn]) -> Prompt:
        input_ids = self._processor(turns, device=self.device)["input_ids"]
        self.check_length(input_ids.shape[1])
        visuals = [part for turn in turns for part in turn.content if isinstance(part, VisualTokens)]
        with torch.inference_mode(), self._cpu_threads():
            features = torch.stack([visual.embeddings for visual in visuals]) if visuals else None
            embeddings = self.model.embed(input_ids, features)[0]
        # The prefix cache compares token ids: those of visual tokens identify their content.
        visual_ids = iter([(visual.key, place) for visual in visuals for place in range(len(visual.embeddings))])
        video_token = self._processor.video_token_id
        token_ids: list[Hashable] = [
            next(visual_ids) if token == video_token else token for token in input_ids[0].tolist()
        ]
        return Prompt(embeddings, tuple(token_ids))


def load_videochat(settings: ModelSettings) -> VideoChatBackend:
    """Load a VideoChat-Embed, with the errors of `load_model`.

    Raises:
        ModelError: Its language model cannot generate answers with a KV cache of transformers.
    """
    model, processor = load_model(
        settings.model,
        device=settings.device,
        dtype=settings.dtype,
        bits=BITS[settings.quantization],
        attn_implementation=settings.attn_implementation,
        revision=settings.revision,
        show_progress=settings.show_progress,
    )
    if "past_key_values" not in inspect.signature(model.language_model.forward).parameters:
        problem = f"its language model, of type {model.config.text_config.model_type}, takes no KV cache"
        raise ModelError(settings.model, problem, "Use one with attention layers")
    return VideoChatBackend(model, processor, ContinuousBatch(model.language_model, end_tokens_of(model)))
