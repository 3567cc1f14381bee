"""A loaded model with its caches."""

import inspect
import os
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import torch

from langchain_videochat.embed.batching import ContinuousBatch, Prompt
from langchain_videochat.embed.conversation import Turn, VisualTokens
from langchain_videochat.embed.cpu_threads import cpu_threads
from langchain_videochat.embed.errors import PromptTooLongError
from langchain_videochat.embed.loading import load_model
from langchain_videochat.embed.modeling_videochat import VideoChatEmbedForConditionalGeneration
from langchain_videochat.embed.processing_videochat import VideoChatEmbedProcessor
from langchain_videochat.embed.settings import BITS, ModelSettings
from langchain_videochat.embed.visual_cache import VisualCache
from langchain_videochat.errors import ModelError

_runtimes: "WeakSet[Runtime]" = WeakSet()


@dataclass(frozen=True, eq=False)
class Runtime:
    """A loaded model, shared by all chat models with the same `ModelSettings`."""

    model: VideoChatEmbedForConditionalGeneration
    processor: VideoChatEmbedProcessor
    visual_cache: VisualCache
    batch: ContinuousBatch
    cpu_threads: Callable[[], AbstractContextManager[None]]
    """Context manager in which to run the model."""

    def __post_init__(self) -> None:
        _runtimes.add(self)

    def check_process(self) -> None:
        """Check that this process can use the model.

        Raises:
            ModelError: The model is on a GPU, and this process was forked after it was loaded.
        """
        if self.model.device.type == "cuda" and torch.cuda._is_in_bad_fork():
            advice = 'Start processes with the start method "spawn", or load the model in the new process only'
            raise ModelError("the model", "CUDA cannot be used in a forked process", advice)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Runtime":
        return self  # Copies of a chat model share it, too.

    @property
    def tokenizer(self) -> Any:
        """Tokenizer of the language model."""
        return self.processor.tokenizer

    def build_prompt(self, turns: Sequence[Turn]) -> Prompt:
        """Build the prompt of a conversation whose videos and images are `VisualTokens`.

        Raises:
            PromptTooLongError: The prompt leaves no room for an answer in the context.
            InputError: The tokenizer's chat template rejects the conversation.
        """
        input_ids = self.processor(turns, device=self.model.device)["input_ids"]
        length, limit = input_ids.shape[1], self.model.config.context_length
        if length >= limit:
            problem = f"it takes {length} tokens, and the model's context length is {limit}"
            advice = "Send fewer videos, lower max_video_tokens, or drop earlier turns"
            raise PromptTooLongError("the conversation", problem, advice)
        visuals = [part for turn in turns for part in turn.content if isinstance(part, VisualTokens)]
        with torch.inference_mode(), self.cpu_threads():
            features = torch.stack([visual.embeddings for visual in visuals]) if visuals else None
            embeddings = self.model.embed(input_ids, features)[0]
        # The prefix cache compares token ids: those of visual tokens identify their content.
        visual_ids = iter([(visual.key, place) for visual in visuals for place in range(len(visual.embeddings))])
        video_token = self.processor.video_token_id
        token_ids: list[Hashable] = [
            next(visual_ids) if token == video_token else token for token in input_ids[0].tolist()
        ]
        return Prompt(embeddings, tuple(token_ids))


def load(settings: ModelSettings) -> Runtime:
    """Load a model, with the errors of `load_model`.

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
    end_tokens = model.generation_config.eos_token_id
    end_tokens = [] if end_tokens is None else [end_tokens] if isinstance(end_tokens, int) else end_tokens
    batch = ContinuousBatch(model.language_model, end_tokens)
    return Runtime(model, processor, VisualCache(model, processor), batch, cpu_threads(model))


def _reset_after_fork() -> None:
    if not _runtimes:
        return
    # Threads don't survive a fork: PyTorch would wait for its own forever, and nobody would release locks of others.
    torch.set_num_threads(1)
    for runtime in list(_runtimes):
        runtime.batch.reset()
        runtime.visual_cache.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
