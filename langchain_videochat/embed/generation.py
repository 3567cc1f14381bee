"""Generating text: selecting tokens, decoding them incrementally, and stopping."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from langchain_videochat.embed.backend import Backend, Prompt
from langchain_videochat.embed.reasoning import ReasoningFilter
from langchain_videochat.embed.stop_strings import StopFilter
from langchain_videochat.errors import InputError

FinishReason = Literal["stop", "length"]

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""A tokenizer's output for an incomplete UTF-8 sequence."""


@dataclass(frozen=True)
class SamplingParams:
    """How to select tokens, and when to stop, as documented for the fields of `VideoChatEmbed`.

    Raises:
        InputError: A value is out of range.
    """

    temperature: float = 0.0
    top_p: float | None = None
    repetition_penalty: float = 1.0
    seed: int | None = None
    max_tokens: int = 512
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        valid = {
            "temperature": self.temperature >= 0,
            "top_p": self.top_p is None or 0 < self.top_p <= 1,
            "repetition_penalty": self.repetition_penalty > 0,
            "max_tokens": self.max_tokens >= 1,
            "stop": "" not in self.stop,
        }
        for name, is_valid in valid.items():
            if not is_valid:
                raise InputError(name, f"{getattr(self, name)!r} is out of range", "See its documentation")


@dataclass(frozen=True)
class TextDelta:
    """A piece of generated text."""

    text: str

    num_tokens: int
    """Tokens generated so far."""

    finish_reason: FinishReason | None = None
    """Why the text ends here; None if it continues."""

    reasoning: str = ""
    """A piece of the reasoning before the answer, of models that are trained to reason."""


def generate_text(
    backend: Backend,
    prompt: Prompt,
    sampling: SamplingParams,
    *,
    batch_size: int = 1,
    constraint: LogitsProcessor | None = None,
) -> Iterator[TextDelta]:
    """Generate an answer as text deltas. Closing the iterator stops the work.

    Raises:
        NotEnoughMemoryError: Out of memory.
    """
    generator = backend.generator
    decoder = TextDecoder(backend.tokenizer, backend.delimiting_tokens)
    # A constrained answer starts immediately.
    is_reasoning = constraint is None and backend.starts_reasoning(prompt)
    reasoning, stops = ReasoningFilter(backend.delimiters, is_inside=is_reasoning), StopFilter(sampling.stop)
    selector = _TokenSelector(sampling, constraint, backend.device)
    num_tokens = 0
    reason: FinishReason = "length"
    with closing(generator.generate(prompt, selector, max_tokens=sampling.max_tokens, batch_size=batch_size)) as tokens:
        for token in tokens:
            num_tokens += 1
            if token in generator.end_tokens:
                reason = "stop"
                break
            thought, text = reasoning.feed(decoder.feed(token))
            text = stops.feed(text)
            if stops.found:
                reason = "stop"
                break
            if text or thought:
                yield TextDelta(text, num_tokens, reasoning=thought)
    if not stops.found:
        thought, text = reasoning.feed(decoder.finish())
        text = stops.feed(text + reasoning.finish())
        reason = "stop" if stops.found else reason
    yield TextDelta(text + stops.finish(), num_tokens, reason, thought)


class TextDecoder:
    """Decodes tokens incrementally, and holds back incomplete characters.

    Whitespace at the start, which a prompt such as "Assistant:" leaves to the answer, is removed.

    Args:
        tokenizer: The tokenizer.
        special_tokens: Texts of special tokens that are part of the text, by their ids. Others are left out.
    """

    def __init__(self, tokenizer: Any, special_tokens: Mapping[int, str]) -> None:
        self._tokenizer = tokenizer
        self._special_tokens = special_tokens
        self._tokens: list[int] = []
        self._start = 0
        self._emitted = 0
        self._has_text = False

    def feed(self, token: int) -> str:
        """Add a token, and return the text that is complete."""
        if token in self._special_tokens:
            text = self.finish() + self._special_tokens[token]
            self._start, self._has_text = self._emitted, True
            return text
        self._tokens.append(token)
        return "" if self._new_text().endswith(REPLACEMENT) else self.finish()

    def finish(self) -> str:
        """Return the remaining text."""
        text = self._new_text()
        # The last tokens are decoded again with the following ones: many tokenizers insert spaces between tokens.
        self._start, self._emitted = self._emitted, len(self._tokens)
        text = text if self._has_text else text.lstrip()
        self._has_text = self._has_text or bool(text)
        return text

    def _new_text(self) -> str:
        emitted = self._decode(self._tokens[self._start : self._emitted])
        return self._decode(self._tokens[self._start :])[len(emitted) :]

    def _decode(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


class _TokenSelector:
    """Selects the next token by transformers' logits processors."""

    def __init__(self, sampling: SamplingParams, constraint: LogitsProcessor | None, device: torch.device) -> None:
        self._samples = sampling.temperature > 0
        self._generator = torch.Generator(device)
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)
        self._processors = LogitsProcessorList()
        if sampling.repetition_penalty != 1:
            self._processors.append(RepetitionPenaltyLogitsProcessor(float(sampling.repetition_penalty)))
        if constraint is not None:
            self._processors.append(constraint)
        if self._samples:
            self._processors.append(TemperatureLogitsWarper(float(sampling.temperature)))
        if self._samples and sampling.top_p is not None:
            self._processors.append(TopPLogitsWarper(float(sampling.top_p)))

    def __call__(self, generated: list[int], logits: Tensor) -> int:
        scores = logits.float()
        if self._processors:
            previous = torch.tensor([generated], dtype=torch.int64, device=logits.device)
            scores = self._processors(cast("torch.LongTensor", previous), cast("torch.FloatTensor", scores))
        if not self._samples:
            return int(scores.argmax())
        return int(torch.multinomial(scores.softmax(dim=-1), 1, generator=self._generator))
