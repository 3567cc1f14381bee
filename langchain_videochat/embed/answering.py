"""From a request to an answer: conversation, videos within their budget, prompt, and what is written to it."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_videochat.embed.batching import Prompt
from langchain_videochat.embed.constrained import JsonConstraint
from langchain_videochat.embed.conversation import Turn, VisualTokens
from langchain_videochat.embed.errors import NotEnoughMemoryError, TooManyFramesError
from langchain_videochat.embed.generation import SamplingParams, TextDelta, write
from langchain_videochat.embed.json_schemas import tool_schema
from langchain_videochat.embed.key_values import Keys
from langchain_videochat.embed.long_videos import Budget, VideoPromptBuilder
from langchain_videochat.embed.messages import last_question, read_messages
from langchain_videochat.embed.runtime import Runtime
from langchain_videochat.embed.tool_calls import ANY_TOOL, Tool, tell_tools

NOTE_TOKENS = 64
"""Tokens that an answer about one part of a long video may have."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What is asked of a model, and how it is to answer."""

    messages: Sequence[BaseMessage]

    sampling: SamplingParams

    num_frames: int
    """How many are taken of a video whose block does not tell."""

    budget: Budget
    """How much of a video is shown."""

    system_prompt: str | None = None
    """What the conversation begins with."""

    tools: Sequence[Tool] = ()
    """What may be called."""

    tool_choice: str | None = None
    """A tool's name or `ANY_TOOL` if one must be called."""

    allowed_hosts: Sequence[str] = ()
    """Hosts of a private network that may be visited."""

    batch_size: int = 1
    """How many answers may be written at once."""

    show_progress: bool = False
    """Show a progress bar where watching takes long."""


@dataclass(frozen=True)
class Usage:
    """Tokens that an answer has cost before its first one, those of the parts of a long video included."""

    prompts: list[Keys] = field(default_factory=list)
    """What was read."""

    written: list[int] = field(default_factory=list)
    """Tokens of what was answered about parts."""

    @property
    def prompt_tokens(self) -> int:
        """How many were read."""
        return sum(map(len, self.prompts))

    @property
    def visual_tokens(self) -> int:
        """How many of them were of videos and images."""
        return sum(not isinstance(key, int) for prompt in self.prompts for key in prompt)

    @property
    def written_tokens(self) -> int:
        """How many were written."""
        return sum(self.written)


@dataclass(frozen=True)
class Answer:
    """An answer that is being written."""

    pieces: Iterator[TextDelta]

    seen: Sequence[VisualTokens]
    """What was looked at for it."""

    usage: Usage
    """Without what `pieces` count."""


def answer(runtime: Runtime, request: Request) -> Answer:
    """Begin an answer, with half as many segments of videos as long as the device's memory does not suffice.

    Raises:
        InputError: Something in the request is not understood.
        PromptTooLongError: The conversation takes more tokens than the language model reads.
        SourceError: A file is not there, or an address is refused or fails.
        MediaError: A file cannot be read as what it is called.
        NotEnoughMemoryError: The device has not the memory for it.
    """
    # Nothing else needs it.
    question = "" if request.budget.segment_seconds is None else last_question(request.messages)
    while True:
        usage = Usage()
        presenter = VideoPromptBuilder(
            runtime.viewer,
            request.budget,
            question,
            partial(_map_reduce, runtime, request, usage),
            show_progress=request.show_progress,
        )
        try:
            pieces = _begin(runtime, request, presenter, usage)
            return Answer(chain([next(pieces)], pieces), presenter.seen, usage)
        except TooManyFramesError:
            raise
        except NotEnoughMemoryError:
            if presenter.most_segments <= 1:
                raise
        segments = presenter.most_segments // 2
        logger.warning("The device's memory is used up: showing %d segments of a video", segments)
        request = replace(request, budget=replace(request.budget, segments=segments))


def _begin(runtime: Runtime, request: Request, presenter: VideoPromptBuilder, usage: Usage) -> Iterator[TextDelta]:
    turns = read_messages(
        request.messages,
        num_frames=request.num_frames,
        system_prompt=request.system_prompt,
        allowed_hosts=request.allowed_hosts,
        show=presenter.show,
    )
    prompt = runtime.read(tell_tools(turns, request.tools) if request.tools else turns)
    usage.prompts.append(prompt.keys)
    sampling = _within_context(runtime, prompt, request.sampling)
    if request.tool_choice is None:
        return _write(runtime, request, prompt, sampling)
    schema = tool_schema(request.tools, None if request.tool_choice == ANY_TOOL else request.tool_choice)
    constraint = JsonConstraint(runtime.tokenizer, schema, sampling.max_tokens, sorted(runtime.batch.ends) or None)
    # A stop would cut a call off in the middle of a text in it.
    return _write(runtime, request, prompt, replace(sampling, stop=()), constraint)


def _map_reduce(runtime: Runtime, request: Request, usage: Usage, turns: Sequence[Turn]) -> list[str]:
    """Answer questions about parts of a long video."""
    with ThreadPoolExecutor(min(len(turns), request.batch_size)) as pool:
        return list(pool.map(partial(_ask, runtime, request, usage), turns))


def _ask(runtime: Runtime, request: Request, usage: Usage, turn: Turn) -> str:
    """Answer the question about a part of a long video."""
    prompt = runtime.read([turn])
    brief = replace(request.sampling, max_tokens=NOTE_TOKENS, stop=tuple(runtime.processor.stop_strings))
    pieces = list(_write(runtime, request, prompt, _within_context(runtime, prompt, brief)))
    usage.prompts.append(prompt.keys)
    usage.written.append(pieces[-1].tokens)
    return "".join(piece.text for piece in pieces)


def _within_context(runtime: Runtime, prompt: Prompt, sampling: SamplingParams) -> SamplingParams:
    room = runtime.model.config.context_length - len(prompt.keys)
    return replace(sampling, max_tokens=min(sampling.max_tokens, room))


def _write(
    runtime: Runtime, request: Request, prompt: Prompt, sampling: SamplingParams, constraint: Any = None
) -> Iterator[TextDelta]:
    return write(
        runtime.batch, runtime.tokenizer, prompt, sampling, batch_size=request.batch_size, constraint=constraint
    )
