"""Generating answers with `generate` of transformers.

Each call of `generate` runs in a thread of its own, which ends when no question is waiting. Questions that arrive in
the meantime are answered together by the next call. Tokens are selected by the caller's function, row by row, so the
answers of a batch may have different settings.

The KV cache of the last prompts is kept: a further question about the same videos is processed from its first new token
on, without the vision tower. This needs a cache that can be cut, and a question whose new part is text only.
"""

import logging
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import torch
from torch import Tensor
from transformers import (
    BatchFeature,
    DynamicCache,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from langchain_videochat.embed.backend import SelectToken
from langchain_videochat.embed.cpu_threads import cpu_threads
from langchain_videochat.embed.errors import NotEnoughMemoryError, is_out_of_memory
from langchain_videochat.embed.kv_cache import PrefixCache, is_divisible
from langchain_videochat.embed.transformers_prompts import TransformersPrompt
from langchain_videochat.errors import ModelError, VideoChatError

_MEDIA_CONTENT = re.compile("pixel_values|patches|input_features$")
"""Names of inputs of a model that hold images, videos and audio."""

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class _Answer:
    """A prompt and the tokens generated for it."""

    prompt: TransformersPrompt
    select: SelectToken
    max_tokens: int
    batch_size: int
    generated: list[int] = field(default_factory=list)
    unread: "SimpleQueue[int | Exception | None]" = field(default_factory=SimpleQueue)
    """Tokens that the caller has not received yet, then None or an error."""
    is_finished: bool = False

    def append(self, logits: Tensor, end_tokens: Collection[int]) -> int:
        token = self.select(self.generated, logits)
        self.generated.append(token)
        self.unread.put(token)
        if token in end_tokens or len(self.generated) == self.max_tokens:
            self.finish()
        return token

    def finish(self, error: Exception | None = None) -> None:
        if not self.is_finished:
            self.is_finished = True
            self.unread.put(error)


class GenerateQueue:
    """Generates answers for several threads by calls of `generate`, one at a time.

    Args:
        model: The model.
        convert: Returns the inputs of the model for a batch of prompts.
        end_tokens: Ids of the tokens that end an answer.
        pad_token: Id of the token that follows them in a batch.
    """

    def __init__(
        self,
        model: Any,
        convert: Callable[[Sequence[TransformersPrompt]], BatchFeature],
        end_tokens: Collection[int],
        pad_token: int,
    ) -> None:
        self._model = model
        self._convert = convert
        self.end_tokens = frozenset(end_tokens)
        self._pad_token = pad_token
        self._cpu_threads = cpu_threads(model)
        text_config = model.config.get_text_config(decoder=True)
        has_cross_attention = bool(getattr(text_config, "cross_attention_layers", None))
        self._is_divisible = is_divisible(text_config) and not has_cross_attention
        self.reset()

    def reset(self) -> None:
        """Forget all answers and prompts. Needed in a forked process, in which the thread doesn't exist."""
        self._waiting: deque[_Answer] = deque()
        self._lock = threading.Lock()
        self._is_running = False
        self._prefixes = PrefixCache()

    def generate(
        self, prompt: TransformersPrompt, select: SelectToken, *, max_tokens: int, batch_size: int
    ) -> Generator[int]:
        """Generate an answer token by token; see `TokenGenerator`."""
        answer, process = _Answer(prompt, select, max_tokens, batch_size), os.getpid()
        with self._lock:
            if not self._is_running:
                # Not a daemon, which would still be computing while the interpreter is torn down.
                threading.Thread(target=self._run, name="videochat-generate").start()
                self._is_running = True
            self._waiting.append(answer)
        try:
            while (token := self._next(answer, process)) is not None:
                yield token
        finally:
            answer.finish()

    def _next(self, answer: _Answer, process: int) -> int | None:
        if process != os.getpid():
            problem = "it was started before the process was forked"
            raise ModelError("the answer", problem, "Ask again in the new process")
        token = answer.unread.get()
        if isinstance(token, Exception):
            raise token
        return token

    def _run(self) -> None:
        while answers := self._next_answers():
            error = self._try(answers)
            had_prefixes = error is not None and is_out_of_memory(error) and self._prefixes.clear()
            for answer in answers:
                if error is not None and not answer.generated and (len(answers) > 1 or had_prefixes):
                    # Alone, it may fit into memory, or not cause the error.
                    again = self._try([answer])
                    answer.finish(again and _convert_error(again, answer))
                answer.finish(error and _convert_error(error, answer))

    def _next_answers(self) -> list[_Answer]:
        """Return the answers of the next batch; none if there are none, in which case the thread ends."""
        with self._lock:
            waiting = [answer for answer in self._waiting if not answer.is_finished]
            # Some processors take either images or videos.
            alike = [answer for answer in waiting if answer.prompt.written.kinds == waiting[0].prompt.written.kinds]
            answers = alike[: min((answer.batch_size for answer in alike), default=0)]
            self._waiting = deque(answer for answer in waiting if answer not in answers)
            self._is_running = bool(answers)
            return answers

    def _try(self, answers: Sequence[_Answer]) -> Exception | None:
        """Generate answers; if that fails, return the error without its traceback, which would keep tensors alive."""
        try:
            self._generate(answers)
        except Exception as error:
            logger.debug("Generating failed", exc_info=True)
            return error.with_traceback(None)
        return None

    def _generate(self, answers: Sequence[_Answer]) -> None:
        options: dict[str, Any] = {}
        if len(answers) == 1:
            inputs, cache = self._with_prefix(answers[0].prompt)
            options["past_key_values"] = cache
        else:
            inputs = self._convert([answer.prompt for answer in answers])
        config = GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=max(answer.max_tokens for answer in answers),
            eos_token_id=sorted(self.end_tokens) or None,
            pad_token_id=self._pad_token,
        )
        _forget_positions(self._model)
        with torch.inference_mode(), self._cpu_threads():
            self._model.generate(
                # A copy: `to` changes what it converts.
                **BatchFeature(dict(inputs)).to(self._model.device, self._model.dtype),
                generation_config=config,
                logits_processor=LogitsProcessorList([_TokenSelectors(answers, self.end_tokens)]),
                stopping_criteria=StoppingCriteriaList([_FinishedAnswers(answers)]),
                **options,
            )
        if len(answers) == 1 and cache is not None:
            token_ids = (*answers[0].prompt.token_ids, *answers[0].generated)
            self._prefixes.put(token_ids[: cache.get_seq_length()], cache)

    def _with_prefix(self, prompt: TransformersPrompt) -> tuple[BatchFeature, DynamicCache | None]:
        """Return the inputs that are still to be processed, and a KV cache of the others; None if it cannot be cut."""
        if not self._is_divisible:
            return prompt.inputs, None
        cache = self._prefixes.get(prompt.token_ids)
        known = cache.get_seq_length()
        if not known or not all(isinstance(token, int) for token in prompt.token_ids[known:]):
            return prompt.inputs, DynamicCache()
        # Images, videos and audio are in the cache; their sizes are still needed for the positions of tokens.
        kept = {name: value for name, value in prompt.inputs.items() if not _MEDIA_CONTENT.search(name)}
        return BatchFeature(kept), cache


class _TokenSelectors(LogitsProcessor):
    """Selects the next token of each answer: the others become impossible."""

    def __init__(self, answers: Sequence[_Answer], end_tokens: Collection[int]) -> None:
        self._answers = answers
        self._end_tokens = end_tokens

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        selected = torch.full_like(scores, -torch.inf)
        for row, answer in enumerate(self._answers):
            selected[row, self._select(answer, scores[row : row + 1])] = 0.0
        return selected

    def _select(self, answer: _Answer, scores: Tensor) -> int:
        if answer.is_finished:
            return 0
        try:
            return answer.append(scores, self._end_tokens)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            answer.finish(_convert_error(error, answer))  # the others continue
            return 0


class _FinishedAnswers(StoppingCriteria):
    """Stops answers that are complete or abandoned, and all of them when the program exits."""

    def __init__(self, answers: Sequence[_Answer]) -> None:
        self._answers = answers

    def __call__(self, input_ids: Tensor, scores: Tensor, **options: Any) -> Tensor:
        is_ending = not threading.main_thread().is_alive()
        return torch.tensor([is_ending or answer.is_finished for answer in self._answers], device=input_ids.device)


def _forget_positions(model: Any) -> None:
    """Delete the positions of the last prompt, which models of the Qwen family would continue."""
    for module in model.modules():
        if hasattr(module, "rope_deltas"):
            module.rope_deltas = None


def _convert_error(error: Exception, answer: _Answer) -> Exception:
    if isinstance(error, VideoChatError):
        return error
    if not is_out_of_memory(error):
        problem = f"it failed while generating ({type(error).__name__}: {error})"
        return ModelError("the model", problem, "Check that this version of transformers supports it")
    problem = f"out of memory while generating, with a prompt of {len(answer.prompt.token_ids)} tokens"
    advice = "Lower max_tokens, num_frames or max_video_tokens, or load the model with quantization"
    return NotEnoughMemoryError("the conversation", problem, advice)
