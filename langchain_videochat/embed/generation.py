"""What a language model goes on with: token by token, as text that can be shown at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor
from transformers import (
    DynamicCache,
    LogitsProcessor,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from langchain_videochat.embed.modeling_videochat import VideoChatEmbedForConditionalGeneration
from langchain_videochat.errors import InputError

FinishReason = Literal["stop", "length"]

UNFINISHED = "\N{REPLACEMENT CHARACTER}"
"""What a tokenizer writes for the first bytes of a letter of several."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen, and when to stop."""

    temperature: float = 0.0
    """0 takes the likeliest token; higher values take others too."""

    top_p: float | None = None
    """Choose among the likeliest tokens that together have this probability, 0 to 1; among all if None."""

    repetition_penalty: float = 1.0
    """Above 1, tokens that were written already become less likely."""

    seed: int | None = None
    """The same seed chooses the same tokens."""

    max_tokens: int = 512
    """Tokens that are written at most."""

    stop: tuple[str, ...] = ()
    """Texts before which the answer ends."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            InputError: A value is out of its range.
        """
        fits = {
            "temperature": self.temperature >= 0,
            "top_p": self.top_p is None or 0 < self.top_p <= 1,
            "repetition_penalty": self.repetition_penalty > 0,
            "max_tokens": self.max_tokens >= 1,
            "stop": "" not in self.stop,
        }
        for name, is_fit in fits.items():
            if not is_fit:
                raise InputError(name, f"{getattr(self, name)!r} is out of range", "See the docstring for its range")


@dataclass(frozen=True)
class Piece:
    """A part of an answer."""

    text: str

    tokens: int
    """How many tokens the answer has so far."""

    finish_reason: FinishReason | None = None
    """Why the answer ends here; None where it goes on."""


def write(
    model: VideoChatEmbedForConditionalGeneration,
    tokenizer: Any,
    inputs: Any,
    sampling: Sampling,
    constraint: LogitsProcessor | None = None,
) -> Iterator[Piece]:
    """Answer a prompt piece by piece; whoever stops reading stops the work.

    Args:
        model: Who answers.
        tokenizer: Its tokenizer.
        inputs: What the processor made of one conversation.
        sampling: How.
        constraint: Which tokens may be written.

    Raises:
        InputError: The prompt does not fit the model.
    """
    decoder, stops = TextDecoder(tokenizer), StopFilter(sampling.stop)
    ends = end_tokens(model)
    written = 0
    reason: FinishReason = "length"
    for token in _next_tokens(model, inputs, _Chooser(sampling, constraint, model.device), sampling.max_tokens):
        written += 1
        if token in ends:
            reason = "stop"
            break
        text = stops.feed(decoder.feed(token))
        if stops.found:
            yield Piece(text, written, "stop")
            return
        if text:
            yield Piece(text, written)
    yield Piece(stops.feed(decoder.finish()) + stops.finish(), written, reason)


class TextDecoder:
    """Turns tokens into text as they come, a letter of several tokens when all of them are there.

    Args:
        tokenizer: The one that decodes them.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._tokens: list[int] = []
        self._start = 0
        self._shown = 0

    def feed(self, token: int) -> str:
        """Take a token, and give what text is ready."""
        self._tokens.append(token)
        return "" if self._new_text().endswith(UNFINISHED) else self._show()

    def finish(self) -> str:
        """Give the rest."""
        return self._show()

    def _show(self) -> str:
        text = self._new_text()
        # The last tokens are decoded again with those that follow, since many tokenizers write spaces between them.
        self._start, self._shown = self._shown, len(self._tokens)
        return text

    def _new_text(self) -> str:
        return self._decode(self._tokens[self._start :])[len(self._decode(self._tokens[self._start : self._shown])) :]

    def _decode(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


class StopFilter:
    """Ends a text before the first of some texts, wherever its pieces are cut.

    Args:
        stops: The texts.

    Example:
        >>> stops = StopFilter(("###",))
        >>> stops.feed("Yes.#"), stops.feed("## Human"), stops.found
        ('Yes.', '', True)
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.found = False

    def feed(self, text: str) -> str:
        """Take a piece, and give what cannot belong to one of the texts any more."""
        self._held += text
        places = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        self.found = bool(places)
        if places:
            return self._held[: min(places)]
        held = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        ready, self._held = self._held[: len(self._held) - held], self._held[len(self._held) - held :]
        return ready

    def finish(self) -> str:
        """Give the rest, as the text has ended."""
        return "" if self.found else self._held


def _overlap(text: str, stop: str) -> int:
    """Tell how many letters at the end of a text are the beginning of another."""
    return next((length for length in range(len(stop) - 1, 0, -1) if text.endswith(stop[:length])), 0)


class _Chooser:
    """Chooses the next token."""

    def __init__(self, sampling: Sampling, constraint: LogitsProcessor | None, device: torch.device) -> None:
        self._samples = sampling.temperature > 0
        self._random = torch.Generator(device)
        if sampling.seed is not None:
            self._random.manual_seed(sampling.seed)
        else:
            self._random.seed()
        self._processors = LogitsProcessorList()
        if sampling.repetition_penalty != 1:
            self._processors.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
        if constraint is not None:
            self._processors.append(constraint)
        if self._samples:
            self._processors.append(TemperatureLogitsWarper(sampling.temperature))
        if self._samples and sampling.top_p is not None:
            self._processors.append(TopPLogitsWarper(sampling.top_p))

    def choose(self, written: Tensor, logits: Tensor) -> Tensor:
        """Choose from the logits [1, vocabulary] after the tokens [1, written]."""
        scores: Tensor = self._processors(cast("torch.LongTensor", written), cast("torch.FloatTensor", logits.float()))
        if not self._samples:
            return scores.argmax(dim=-1, keepdim=True)
        return torch.multinomial(scores.softmax(dim=-1), 1, generator=self._random)


def _next_tokens(
    model: VideoChatEmbedForConditionalGeneration, inputs: Any, chooser: _Chooser, most: int
) -> Iterator[int]:
    cache = DynamicCache()
    with torch.inference_mode():
        new: dict[str, Tensor] = {"inputs_embeds": model.embed(**{key: inputs.get(key) for key in _PROMPT})}
        written = torch.empty(1, 0, dtype=torch.int64, device=model.device)
    for _ in range(most):
        # Entered anew for each token: the mode must not hold while whoever reads them does other things.
        with torch.inference_mode():
            logits = model.language_model(**new, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
            token = chooser.choose(written, logits[:, -1])
            written = torch.cat([written, token], dim=1)
            new = {"input_ids": token}
        yield int(token)


_PROMPT = ("input_ids", "pixel_values", "num_frames")


def end_tokens(model: VideoChatEmbedForConditionalGeneration) -> set[int]:
    """List the tokens that end an answer."""
    ends = model.generation_config.eos_token_id
    return set() if ends is None else {ends} if isinstance(ends, int) else set(ends)
