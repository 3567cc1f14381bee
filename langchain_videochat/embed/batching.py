"""One batch that answers join and leave while it runs: continuous batching.

No thread of its own drives it. Whoever waits for a token and finds that nobody works takes the next step for all: it
reads the prompts that wait, then writes one token of each answer. So one answer alone costs no more than it would
without a batch, and those of many threads share every step.
"""

import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from langchain_videochat.embed.errors import NotEnoughMemoryError, is_out_of_memory
from langchain_videochat.embed.key_values import Keys, PrefixCache, select_rows, stack_rows

logger = logging.getLogger(__name__)

Choose = Callable[[list[int], Tensor], int]
"""Chooses the next token: from those written so far, and logits [1, vocabulary]."""


@dataclass(frozen=True, eq=False)
class Prompt:
    """A conversation as the language model reads it."""

    embeddings: Tensor
    """[L, language width]."""

    keys: Keys
    """L of them."""


@dataclass(eq=False)
class _Answer:
    """One row of the batch."""

    prompt: Prompt
    choose: Choose
    max_tokens: int
    batch_size: int
    written: list[int] = field(default_factory=list)
    unread: deque[int] = field(default_factory=deque)
    cache: DynamicCache | None = None
    """Keys and values of what was read, until they are in the batch."""
    read: int = 0
    """How many places have keys and values."""
    error: Exception | None = None
    is_over: bool = False

    @property
    def keys(self) -> Keys:
        """What has been read and written."""
        return (*self.prompt.keys, *self.written)

    def add(self, logits: Tensor, ends: Collection[int]) -> None:
        """Write the next token."""
        try:
            token = self.choose(self.written, logits)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            self.fail(error)
            return
        self.written.append(token)
        self.unread.append(token)
        if token in ends or len(self.written) == self.max_tokens:
            self.is_over = True

    def fail(self, error: Exception) -> None:
        """End here."""
        self.error = error
        self.is_over = True


class Batch:
    """Writes answers of many threads together.

    Args:
        language_model: A causal one of transformers, with attention in all its layers.
        ends: Tokens that end an answer.
    """

    def __init__(self, language_model: Any, ends: Collection[int]) -> None:
        self._model = language_model
        self.ends = frozenset(ends)
        self._waiting: deque[_Answer] = deque()
        self._answers: list[_Answer] = []
        self._cache: DynamicCache | None = None
        self._prefixes = PrefixCache()
        self._size_limit = sys.maxsize
        self._changed = threading.Condition()
        self._is_working = False
        """Who sets it may change all of the above until it is unset, without holding the lock."""

    def write(self, prompt: Prompt, choose: Choose, *, max_tokens: int, batch_size: int) -> Generator[int]:
        """Answer a prompt token by token, the one that ends the answer included; whoever stops reading ends the work.

        Args:
            prompt: What is answered.
            choose: Chooses each token.
            max_tokens: Tokens that are written at most.
            batch_size: How many answers may be written at once for this one to join them.

        Raises:
            NotEnoughMemoryError: The device has not the memory for this answer alone.
        """
        answer = _Answer(prompt, choose, max_tokens, batch_size)
        with self._changed:
            self._waiting.append(answer)
        try:
            while (token := self._next_token(answer)) is not None:
                yield token
        finally:
            answer.is_over = True
            with self._changed:
                if not self._is_working:
                    # The garbage collector may close another stream meanwhile.
                    self._is_working = True
                    self._end_step()

    def _next_token(self, answer: _Answer) -> int | None:
        while not answer.unread and not answer.is_over:
            self._work_or_wait(answer)
        if answer.unread:
            return answer.unread.popleft()
        if answer.error is not None:
            raise answer.error
        return None

    def _work_or_wait(self, answer: _Answer) -> None:
        """Take a step for all, which leaves no answer half done whatever happens; or wait while another thread does."""
        is_mine = False
        try:
            with self._changed:
                if self._is_working:
                    self._changed.wait_for(lambda: answer.unread or answer.is_over or not self._is_working)
                    return
                self._is_working = is_mine = True
            # Entered anew for each step: the mode must not hold while whoever reads the tokens does other things.
            with torch.inference_mode():
                self._admit()
                self._advance()
        except Exception as error:
            self._withdraw(error)
        except BaseException:
            if is_mine:
                self._withdraw()
            raise
        finally:
            if is_mine:
                self._end_step()

    def _end_step(self) -> None:
        """Leave the batch to whoever works next."""
        with self._changed:
            try:
                self._dismiss()
            except Exception as error:
                self._withdraw(error)
            finally:
                self._is_working = False
                self._changed.notify_all()

    def _admit(self) -> None:
        """Read the prompts that wait, as far as there is room, and let them join."""
        while self._waiting and len(self._answers) < min(self._waiting[0].batch_size, self._size_limit):
            answer = self._waiting.popleft()
            self._answers.append(answer)
            self._read(answer)
        caches = [self._cache, *(answer.cache for answer in self._answers)]
        self._cache = stack_rows([cache for cache in caches if cache is not None]) if self._answers else None
        for answer in self._answers:
            answer.cache = None
        self._dismiss()

    def _read(self, answer: _Answer) -> None:
        """Have the language model read a prompt, and what of its answer was written before it had to give way."""
        keys = answer.keys
        cache = self._prefixes.begin(keys)
        known = cache.get_seq_length()
        written = torch.tensor(answer.written, dtype=torch.int64, device=self._model.device)
        embeddings = torch.cat([answer.prompt.embeddings, self._model.get_input_embeddings()(written)])
        logits = self._forward(
            cache, torch.arange(known, len(keys)).unsqueeze(0), inputs_embeds=embeddings[known:].unsqueeze(0)
        )
        answer.cache, answer.read = cache, len(keys)
        answer.add(logits, self.ends)
        with self._changed:
            self._changed.notify_all()

    def _advance(self) -> None:
        """Write one token of each answer."""
        if self._cache is None:
            return
        lengths = torch.tensor([answer.read for answer in self._answers])
        pads = self._cache.get_seq_length() - lengths
        places = torch.arange(self._cache.get_seq_length() + 1)
        mask = (places >= pads.unsqueeze(1)).long().to(self._model.device) if pads.any() else None
        last = torch.tensor([answer.written[-1:] for answer in self._answers], device=self._model.device)
        logits = self._forward(self._cache, lengths.unsqueeze(1), input_ids=last, attention_mask=mask)
        for answer, its_logits in zip(self._answers, logits.split(1), strict=True):
            answer.read += 1
            answer.add(its_logits, self.ends)

    def _forward(self, cache: DynamicCache, positions: Tensor, **inputs: Any) -> Tensor:
        """Read on, and give the logits after each row's end, [B, vocabulary]."""
        positions = positions.to(self._model.device)
        output = self._model(**inputs, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1)
        logits: Tensor = output.logits[:, -1]
        return logits

    def _dismiss(self) -> None:
        """Let the answers go that are over, and keep what the model has read for them."""
        with self._changed:  # others may begin meanwhile
            self._waiting = deque(answer for answer in self._waiting if not answer.is_over)
        if not self._answers and not self._waiting:
            self._size_limit = sys.maxsize
        staying = [row for row, answer in enumerate(self._answers) if not answer.is_over]
        if self._cache is None or len(staying) == len(self._answers):
            return
        length = self._cache.get_seq_length()
        for row, answer in enumerate(self._answers):
            if answer.is_over:
                self._prefixes.keep(answer.keys[: answer.read], select_rows(self._cache, [row], length - answer.read))
        self._answers = [self._answers[row] for row in staying]
        unused = length - max((answer.read for answer in self._answers), default=0)
        self._cache = select_rows(self._cache, staying, unused) if staying else None

    def _withdraw(self, error: Exception | None = None) -> None:
        """Take all answers out of the batch, whose keys and values may be half written, and decide who tries again."""
        answers = [answer for answer in self._answers if not answer.is_over]
        self._answers, self._cache = [], None
        for answer in answers:
            answer.cache = None
        if error is None or (is_out_of_memory(error) and self._prefixes.clear()):
            pass  # all try again
        elif not is_out_of_memory(error):
            for answer in answers:
                answer.fail(error)
        elif len(answers) > 1:
            self._size_limit = len(answers) // 2
            logger.warning("The device's memory is used up: %d answers are written at once", self._size_limit)
        elif answers:
            answers[0].fail(_not_enough_memory(answers[0].prompt))
        self._waiting.extendleft(reversed(answers))


def _not_enough_memory(prompt: Prompt) -> NotEnoughMemoryError:
    problem = f"the device has not the memory to answer {len(prompt.keys)} tokens"
    advice = "Lower max_tokens, num_frames or max_video_tokens, or load the model with quantization"
    return NotEnoughMemoryError("the conversation", problem, advice)
