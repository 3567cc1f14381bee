"""What a language model goes on with: token by token, as text that can be shown at once."""

from collections.abc import Iterator, Sequence
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

from langchain_videochat.embed.batching import Batch, Prompt
from langchain_videochat.errors import InputError

FinishReason = Literal["stop", "length"]

UNFINISHED = "\N{REPLACEMENT CHARACTER}"
"""What a tokenizer writes for the first bytes of a letter of several."""


@dataclass(frozen=True)
class SamplingParams:
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
class TextDelta:
    """A part of an answer."""

    text: str

    tokens: int
    """How many tokens the answer has so far."""

    finish_reason: FinishReason | None = None
    """Why the answer ends here; None where it goes on."""


def write(
    batch: Batch,
    tokenizer: Any,
    prompt: Prompt,
    sampling: SamplingParams,
    *,
    batch_size: int = 1,
    constraint: LogitsProcessor | None = None,
) -> Iterator[TextDelta]:
    """Answer a prompt piece by piece; whoever stops reading stops the work.

    Args:
        batch: Writes the tokens.
        tokenizer: The model's.
        prompt: What is answered.
        sampling: How.
        batch_size: How many answers may be written at once.
        constraint: Which tokens may be written.

    Raises:
        NotEnoughMemoryError: The device has not the memory for it.
    """
    decoder, stops = TextDecoder(tokenizer), StopFilter(sampling.stop)
    chooser = _Chooser(sampling, constraint, prompt.embeddings.device)
    written = 0
    reason: FinishReason = "length"
    with closing(batch.write(prompt, chooser, max_tokens=sampling.max_tokens, batch_size=batch_size)) as tokens:
        for token in tokens:
            written += 1
            if token in batch.ends:
                reason = "stop"
                break
            text = stops.feed(decoder.feed(token))
            if stops.found:
                yield TextDelta(text, written, "stop")
                return
            if text:
                yield TextDelta(text, written)
    yield TextDelta(stops.feed(decoder.finish()) + stops.finish(), written, reason)


class TextDecoder:
    """Turns tokens into text as they come, a letter of several tokens when all of them are there.

    The blank that a prompt leaves to the answer, as after "Assistant:", is not part of the text.

    Args:
        tokenizer: The one that decodes them.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._tokens: list[int] = []
        self._start = 0
        self._shown = 0
        self._has_begun = False

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
        text = text if self._has_begun else text.lstrip()
        self._has_begun = self._has_begun or bool(text)
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

    def __init__(self, sampling: SamplingParams, constraint: LogitsProcessor | None, device: torch.device) -> None:
        self._samples = sampling.temperature > 0
        self._random = torch.Generator(device)
        if sampling.seed is not None:
            self._random.manual_seed(sampling.seed)
        else:
            self._random.seed()
        self._processors = LogitsProcessorList()
        if sampling.repetition_penalty != 1:
            self._processors.append(RepetitionPenaltyLogitsProcessor(float(sampling.repetition_penalty)))
        if constraint is not None:
            self._processors.append(constraint)
        if self._samples:
            self._processors.append(TemperatureLogitsWarper(float(sampling.temperature)))
        if self._samples and sampling.top_p is not None:
            self._processors.append(TopPLogitsWarper(float(sampling.top_p)))

    def __call__(self, written: list[int], logits: Tensor) -> int:
        """Choose from the logits [1, vocabulary] that follow what is written."""
        scores = logits.float()
        if self._processors:
            before = torch.tensor([written], dtype=torch.int64, device=logits.device)
            scores = self._processors(cast("torch.LongTensor", before), cast("torch.FloatTensor", scores))
        if not self._samples:
            return int(scores.argmax())
        return int(torch.multinomial(scores.softmax(dim=-1), 1, generator=self._random))
