"""A VideoChat-Embed that is in memory, with all that it keeps from one question to the next."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from langchain_videochat.embed.batching import Batch, Prompt
from langchain_videochat.embed.conversation import Turn, VisualTokens
from langchain_videochat.embed.errors import PromptTooLongError
from langchain_videochat.embed.loading import load_model
from langchain_videochat.embed.modeling_videochat import VideoChatEmbedForConditionalGeneration
from langchain_videochat.embed.processing_videochat import VideoChatEmbedProcessor
from langchain_videochat.embed.settings import BITS, ModelSettings
from langchain_videochat.embed.visual_cache import VisualCache


@dataclass(frozen=True, eq=False)
class Runtime:
    """A model that is in memory. Whoever names the same settings shares it."""

    model: VideoChatEmbedForConditionalGeneration

    processor: VideoChatEmbedProcessor

    viewer: VisualCache
    """Looks at videos, and keeps what it saw."""

    batch: Batch
    """Writes answers, and keeps what it read."""

    @property
    def tokenizer(self) -> Any:
        """The language model's."""
        return self.processor.tokenizer

    def read(self, turns: Sequence[Turn]) -> Prompt:
        """Make the prompt of a conversation, whose videos and images are `VisualTokens`.

        Raises:
            PromptTooLongError: It leaves no room for an answer.
            InputError: The tokenizer's chat template refuses it.
        """
        ids = self.processor(turns, device=self.model.device)["input_ids"]
        length, limit = ids.shape[1], self.model.config.context_length
        if length >= limit:
            problem = f"it takes {length} tokens, and the language model reads {limit}"
            advice = "Show fewer videos, lower max_video_tokens, or leave out earlier turns"
            raise PromptTooLongError("the conversation", problem, advice)
        shown = [part for turn in turns for part in turn.content if isinstance(part, VisualTokens)]
        with torch.inference_mode():
            features = torch.stack([one.embeddings for one in shown]) if shown else None
            embeddings = self.model.embed(ids, features)[0]
        visual_keys = _visual_keys(shown)
        keys = (next(visual_keys) if token == self.processor.video_token_id else token for token in ids[0].tolist())
        return Prompt(embeddings, tuple(keys))


def load(settings: ModelSettings) -> Runtime:
    """Load a model.

    Raises:
        InputError: A setting makes no sense on this machine.
        ModelUnavailableError: The model is not here and cannot be fetched.
        ModelError: It is damaged, or of another kind.
    """
    model, processor = load_model(
        settings.model,
        device=settings.device,
        dtype=settings.dtype,
        bits=BITS[settings.quantization],
        attn_implementation=settings.attn_implementation,
        revision=settings.revision,
    )
    ends = model.generation_config.eos_token_id
    batch = Batch(model.language_model, [] if ends is None else [ends] if isinstance(ends, int) else ends)
    return Runtime(model, processor, VisualCache(model, processor), batch)


def _visual_keys(shown: Sequence[VisualTokens]) -> Iterator[Hashable]:
    """Tell each visual token from all other tokens."""
    for one in shown:
        for place in range(len(one.embeddings)):
            yield one.key, place
