"""Continuous batching: answers join and leave one batch while it runs.

There is no batching thread, which would have to be started, stopped and survive a fork. A caller that waits for a token
runs the next step for the whole batch, unless another caller is running one: it processes waiting prompts, then
generates one token per answer. So `batch`, `abatch`, threads and tasks share every step, and a single answer costs no
more than without a batch.

Hybrid language models, whose linear attention keeps one state for all tokens, generate one answer at a time and process
every prompt from its start: their caches can be neither stacked nor cut.

transformers' `generate` streams only from a thread, which a caller could not cancel, and returns no KV cache to reuse.
"""

import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Collection, Generator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import DynamicCache

from langchain_videochat.embed.backend import SelectToken, TokenIds
from langchain_videochat.embed.cpu_threads import cpu_threads
from langchain_videochat.embed.errors import NotEnoughMemoryError, is_out_of_memory
from langchain_videochat.embed.kv_cache import PrefixCache, is_divisible, select_rows, stack_rows
from langchain_videochat.errors import ModelError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Prompt:
    """A conversation as input of the language model."""

    embeddings: Tensor
    """[L, language width]."""

    token_ids: TokenIds
    """L token ids."""

    audio_tokens: ClassVar[int] = 0
    """These models take no audio."""


@dataclass(eq=False)
class _Sequence:
    """A prompt and the tokens generated for it: one row of the batch."""

    prompt: Prompt
    select: SelectToken
    max_tokens: int
    batch_size: int
    generated: list[int] = field(default_factory=list)
    unread: deque[int] = field(default_factory=deque)
    """Generated tokens that the caller has not received yet."""
    cache: DynamicCache | None = None
    """KV cache of the prompt, until it joins that of the batch."""
    num_processed: int = 0
    """Tokens with keys and values."""
    error: Exception | None = None
    is_finished: bool = False
    process: int = field(default_factory=os.getpid)
    """Id of the process that started it."""

    @property
    def token_ids(self) -> TokenIds:
        return (*self.prompt.token_ids, *self.generated)

    def append(self, logits: Tensor, end_tokens: Collection[int]) -> None:
        try:
            token = self.select(self.generated, logits)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            self.fail(error)
            return
        self.generated.append(token)
        self.unread.append(token)
        if token in end_tokens or len(self.generated) == self.max_tokens:
            self.is_finished = True

    def fail(self, error: Exception) -> None:
        self.error = error
        self.is_finished = True


class ContinuousBatch:
    """Generates answers for several threads in one batch. Each ends at one of `end_tokens`.

    The language model is a causal one of transformers that takes `past_key_values`.
    """

    def __init__(self, language_model: Any, end_tokens: Collection[int]) -> None:
        self._model = language_model
        self._cpu_threads = cpu_threads(language_model)
        self._is_divisible = is_divisible(language_model.config)
        self.end_tokens = frozenset(end_tokens)
        self.reset()

    def reset(self) -> None:
        """Forget all answers and prompts. Needed in a forked process, in which threads that run a step don't exist."""
        self._waiting: deque[_Sequence] = deque()
        self._running: list[_Sequence] = []
        self._cache: DynamicCache | None = None
        self._prefixes = PrefixCache()
        self._max_running = self._most_running
        self._changed = threading.Condition()
        self._is_stepping = False
        """The thread that sets this flag may modify all of the above without holding the lock until it clears it."""

    def generate(self, prompt: Prompt, select: SelectToken, *, max_tokens: int, batch_size: int) -> Generator[int]:
        """Generate an answer token by token, including the end token. Closing the generator stops the work.

        The answer only joins a batch of at most `batch_size` answers, including itself.

        Raises:
            NotEnoughMemoryError: Out of memory for this answer alone.
            ModelError: The process was forked meanwhile, and this is the new one.
        """
        sequence = _Sequence(prompt, select, max_tokens, batch_size)
        with self._changed:
            self._waiting.append(sequence)
        try:
            while (token := self._next_token(sequence)) is not None:
                yield token
        finally:
            sequence.is_finished = True
            with self._changed:
                if not self._is_stepping:
                    # The garbage collector may close another generator during this step.
                    self._is_stepping = True
                    self._end_step()

    @property
    def _most_running(self) -> int:
        return sys.maxsize if self._is_divisible else 1

    def _next_token(self, sequence: _Sequence) -> int | None:
        if sequence.process != os.getpid():
            problem = "it was started before the process was forked"
            raise ModelError("the answer", problem, "Ask again in the new process")
        while not sequence.unread and not sequence.is_finished:
            self._step_or_wait(sequence)
        if sequence.unread:
            return sequence.unread.popleft()
        if sequence.error is not None:
            raise sequence.error
        return None

    def _step_or_wait(self, sequence: _Sequence) -> None:
        """Run a step for all sequences, or wait while another thread does. Any error leaves all in a valid state."""
        is_mine = False
        try:
            with self._changed:
                if self._is_stepping:
                    self._changed.wait_for(lambda: sequence.unread or sequence.is_finished or not self._is_stepping)
                    return
                self._is_stepping = is_mine = True
            # Entered per step: neither may stay on in the caller's code between tokens.
            with torch.inference_mode(), self._cpu_threads():
                self._schedule()
                self._decode()
        except Exception as error:
            self._preempt(error)
        except BaseException:
            if is_mine:
                self._preempt()
            raise
        finally:
            if is_mine:
                self._end_step()

    def _end_step(self) -> None:
        with self._changed:
            try:
                self._evict()
            except Exception as error:
                self._preempt(error)
            finally:
                self._is_stepping = False
                self._changed.notify_all()

    def _schedule(self) -> None:
        """Process waiting prompts and add them to the batch, as far as its size allows."""
        while self._waiting and len(self._running) < min(self._waiting[0].batch_size, self._max_running):
            sequence = self._waiting.popleft()
            self._running.append(sequence)
            self._prefill(sequence)
        caches = [self._cache, *(sequence.cache for sequence in self._running)]
        self._cache = stack_rows([cache for cache in caches if cache is not None]) if self._running else None
        for sequence in self._running:
            sequence.cache = None
        self._evict()

    def _prefill(self, sequence: _Sequence) -> None:
        """Process a prompt, and what was generated for it before it was preempted."""
        token_ids = sequence.token_ids
        cache = self._prefixes.get(token_ids) if self._is_divisible else DynamicCache(config=self._model.config)
        known = cache.get_seq_length() if self._is_divisible else 0
        generated = torch.tensor(sequence.generated, dtype=torch.int64, device=self._model.device)
        embeddings = torch.cat([sequence.prompt.embeddings, self._model.get_input_embeddings()(generated)])
        logits = self._forward(
            cache, torch.arange(known, len(token_ids)).unsqueeze(0), inputs_embeds=embeddings[known:].unsqueeze(0)
        )
        sequence.cache, sequence.num_processed = cache, len(token_ids)
        sequence.append(logits, self.end_tokens)
        with self._changed:
            self._changed.notify_all()

    def _decode(self) -> None:
        """Generate one token per sequence."""
        if self._cache is None:
            return
        lengths = torch.tensor([sequence.num_processed for sequence in self._running])
        padding = lengths.max() - lengths
        places = torch.arange(int(lengths.max()) + 1)
        mask = (places >= padding.unsqueeze(1)).long().to(self._model.device) if padding.any() else None
        last = torch.tensor([sequence.generated[-1:] for sequence in self._running], device=self._model.device)
        logits = self._forward(self._cache, lengths.unsqueeze(1), input_ids=last, attention_mask=mask)
        for sequence, row in zip(self._running, logits.split(1), strict=True):
            sequence.num_processed += 1
            sequence.append(row, self.end_tokens)

    def _forward(self, cache: DynamicCache, positions: Tensor, **inputs: Any) -> Tensor:
        """Return the logits after the last token of each row, [B, vocabulary]."""
        positions = positions.to(self._model.device)
        output = self._model(**inputs, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return output.logits[:, -1]

    def _evict(self) -> None:
        """Remove finished sequences, and move their KV caches to the prefix cache."""
        with self._changed:  # other threads may append
            self._waiting = deque(sequence for sequence in self._waiting if not sequence.is_finished)
        if not self._running and not self._waiting:
            self._max_running = self._most_running
        staying = [row for row, sequence in enumerate(self._running) if not sequence.is_finished]
        if self._cache is None or len(staying) == len(self._running):
            return
        if not self._is_divisible:
            self._running, self._cache = [], None
            return
        length = self._cache.get_seq_length()
        for row, sequence in enumerate(self._running):
            if sequence.is_finished:
                cache = select_rows(self._cache, [row], length - sequence.num_processed)
                self._prefixes.put(sequence.token_ids[: sequence.num_processed], cache)
        self._running = [self._running[row] for row in staying]
        padding = length - max((sequence.num_processed for sequence in self._running), default=0)
        self._cache = select_rows(self._cache, staying, padding) if staying else None

    def _preempt(self, error: Exception | None = None) -> None:
        """Return all sequences, whose KV caches may be incomplete, to the queue, and decide how to continue."""
        sequences = [sequence for sequence in self._running if not sequence.is_finished]
        self._running, self._cache = [], None
        for sequence in sequences:
            sequence.cache = None
        if error is None or (is_out_of_memory(error) and self._prefixes.clear()):
            pass  # all retry
        elif not is_out_of_memory(error):
            for sequence in sequences:
                sequence.fail(error)
        elif len(sequences) > 1:
            self._max_running = len(sequences) // 2
            logger.warning("Out of memory: reducing the batch size to %d", self._max_running)
        elif sequences:
            length = len(sequences[0].prompt.token_ids)
            problem = f"out of memory while generating, with a prompt of {length} tokens"
            advice = "Lower max_tokens, num_frames or max_video_tokens, or load the model with quantization"
            sequences[0].fail(NotEnoughMemoryError("the conversation", problem, advice))
        self._waiting.extendleft(reversed(sequences))
