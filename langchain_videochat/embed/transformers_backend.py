"""The backend of models of transformers that read images or videos: Qwen-VL, InternVL, SmolVLM, LLaVA and others.

The model's own processor converts frames and their true times to its inputs, and `generate` produces the answer.
"""

import copy
import sys
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from transformers import GenerationConfig
from typing_extensions import override

from langchain_videochat.embed.backend import Backend, end_tokens_of
from langchain_videochat.embed.conversation import Audio, Image, Turn, Video, Visual
from langchain_videochat.embed.frame_sizes import DEFAULT_SIZE, FrameSizes, noise
from langchain_videochat.embed.long_videos import divide, thin_out
from langchain_videochat.embed.settings import ModelSettings
from langchain_videochat.embed.transformers_generation import GenerateQueue
from langchain_videochat.embed.transformers_loading import load_model_and_processor
from langchain_videochat.embed.transformers_processors import choose_writer
from langchain_videochat.embed.transformers_prompts import PromptWriter, TransformersPrompt
from langchain_videochat.embed.visual_cache import VisualCache

DEFAULT_VIDEO_TOKENS = 2048
"""About eight frames of 600 x 340 pixels for a model of the Qwen family."""


class TransformersBackend(Backend):
    """A loaded model of transformers."""

    def __init__(self, model: Any, writer: PromptWriter) -> None:
        # A copy: counting tokens would change the settings of the processor's own one.
        tokenizer = copy.deepcopy(writer.processor.tokenizer)
        text_config = model.config.get_text_config(decoder=True)
        end_tokens = end_tokens_of(model) or [one for one in [tokenizer.eos_token_id] if one is not None]
        # Settings of the model, such as a repetition penalty, would be added to those of the request.
        model.generation_config = GenerationConfig(bos_token_id=model.generation_config.bos_token_id)
        pad_token = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(end_tokens, default=0)
        super().__init__(
            model,
            tokenizer,
            VisualCache(lambda visual, _: visual),
            GenerateQueue(
                model, lambda prompts: writer.convert([one.written for one in prompts]), end_tokens, pad_token
            ),
            context_length=getattr(text_config, "max_position_embeddings", None) or sys.maxsize,
            default_video_tokens=DEFAULT_VIDEO_TOKENS,
            sampling_rate=writer.audio.sampling_rate if writer.audio else None,
        )
        self._writer = writer
        self._sizes = FrameSizes(writer.count_visual_tokens)

    @override
    def reset(self) -> None:
        super().reset()
        self._writer.reset()

    @override
    def segment_tokens(self, num_frames: int, at_most: int) -> int:
        return self._sizes.find(num_frames, DEFAULT_SIZE, at_most).tokens

    @override
    def frame_size(self, num_frames: int | None, size: tuple[int, int], max_tokens: int) -> int:
        return self._sizes.find(num_frames, size, max_tokens).shorter_side

    @override
    def merge_segments(self, segments: Sequence[Video], count: int) -> list[Video]:
        return [_merge(members) for members in divide(segments, count)]

    @override
    def placeholder(
        self,
        kind: Literal["video", "image"],
        size: tuple[int, int],
        times: tuple[float, ...] = (),
        audio: Audio | None = None,
    ) -> Visual:
        return Image(noise(1, *size)[0]) if kind == "image" else Video(noise(max(1, len(times)), *size), times, audio)

    @override
    def count_tokens(self, turns: Sequence[Turn], *, add_generation_prompt: bool = True) -> int:
        return self._writer.count_tokens(turns, add_generation_prompt=add_generation_prompt)

    @override
    def build_prompt(self, turns: Sequence[Turn]) -> TransformersPrompt:
        prompt = self._writer.prompt(turns)
        self.check_length(len(prompt.token_ids))
        return prompt

    @override
    def starts_reasoning(self, prompt: TransformersPrompt) -> bool:
        return prompt.written.text.rstrip().endswith(self.delimiters.start.rstrip())


def load_transformers(settings: ModelSettings) -> TransformersBackend:
    """Load a model of transformers with its processor.

    Raises:
        ModelUnavailableError: The model, or a package that it needs, cannot be found or downloaded.
        ModelError: It reads no videos or images, cannot be prompted, or is incomplete.
    """
    model, processor = load_model_and_processor(settings)
    return TransformersBackend(model, choose_writer(processor, model.config, settings.model))


def _merge(segments: Sequence[Video]) -> Video:
    """Return a video with as many frames as one of the segments, from all of them, and without audio."""
    frames = [frame for segment in segments for frame in segment.frames]
    times = [time for segment in segments for time in segment.times]
    return Video(np.stack(thin_out(frames, len(segments))), thin_out(times, len(segments)))
