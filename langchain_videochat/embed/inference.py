"""From a request to an answer: messages -> segments -> frames or visual tokens -> prompt -> generated text."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain

from langchain_core.messages import BaseMessage
from transformers import LogitsProcessor

from langchain_videochat.embed.backend import Backend, Prompt
from langchain_videochat.embed.constrained import JsonConstraint
from langchain_videochat.embed.conversation import Audio, Part, Turn, Visual
from langchain_videochat.embed.errors import NotEnoughMemoryError
from langchain_videochat.embed.generation import SamplingParams, TextDelta, generate_text
from langchain_videochat.embed.long_videos import VideoBudget, select_segments
from langchain_videochat.embed.media_formats import (
    audio_interval,
    check_sampling_rate,
    image_format,
    segment_format,
    why_silent,
)
from langchain_videochat.embed.media_refs import MediaRef
from langchain_videochat.embed.messages import ParsedTurn, last_question, read_messages
from langchain_videochat.embed.output_format import OutputFormat
from langchain_videochat.embed.tool_calls import add_tools
from langchain_videochat.embed.visual_cache import MediaFormat
from langchain_videochat.utils.timecode import format_timecode

PART_TOKENS = 64
"""Maximum tokens of the answer about one part of a long video, unless the model reasons first."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """Messages to answer, and how to answer them, as documented for the fields of `VideoChatEmbed`."""

    messages: Sequence[BaseMessage]
    sampling: SamplingParams
    num_frames: int
    budget: VideoBudget
    system_prompt: str | None = None
    output_format: OutputFormat = field(default_factory=OutputFormat)
    allowed_hosts: Sequence[str] = ()
    batch_size: int = 1
    show_progress: bool = False

    @cached_property
    def question(self) -> str:
        """The last question, by which segments are selected, and which is asked about parts of long videos."""
        return "" if self.budget.segment_seconds is None else last_question(self.messages)


@dataclass
class Usage:
    """Token counts of an answer, including those of the answers about parts of a long video."""

    input_tokens: int = 0
    video_tokens: int = 0
    audio_tokens: int = 0
    output_tokens: int = 0

    def add(self, prompt: Prompt, output_tokens: int = 0) -> None:
        """Count a prompt, and the tokens generated for it."""
        self.input_tokens += len(prompt.token_ids)
        self.video_tokens += sum(not isinstance(token, int) for token in prompt.token_ids) - prompt.audio_tokens
        self.audio_tokens += prompt.audio_tokens
        self.output_tokens += output_tokens


@dataclass(frozen=True)
class Answer:
    """An answer that is being generated."""

    deltas: Iterator[TextDelta]

    sampled_times: Sequence[tuple[float, ...]]
    """Timestamps of the frames of each video segment that was encoded, in seconds."""

    usage: Usage
    """Excludes the output tokens counted in `deltas`."""


def answer(backend: Backend, request: Request) -> Answer:
    """Start to answer a request. If memory runs out before the first token, retry with half the segments per video.

    Raises:
        InputError: A message, tool or option is invalid.
        PromptTooLongError: The conversation exceeds the model's context length.
        SourceError: No such file, or a URL is refused or fails.
        MediaError: A file cannot be read as a video or image.
        NotEnoughMemoryError: Out of memory.
    """
    turns = read_messages(
        request.messages,
        num_frames=request.num_frames,
        system_prompt=request.system_prompt,
        allowed_hosts=request.allowed_hosts,
    )
    references = [part for turn in turns for part in turn.content if isinstance(part, MediaRef)]
    while True:
        media = [_encode(backend, request, reference) for reference in references]
        try:
            return _answer(backend, request, turns, media)
        except NotEnoughMemoryError:
            segments = min(max(map(len, media), default=0), request.budget.max_segments) // 2
            if not segments:
                raise
        logger.warning("Out of memory: retrying with %d segments per video", segments)
        request = replace(request, budget=replace(request.budget, max_segments=segments))


def build_conversation(
    request: Request, turns: Sequence[ParsedTurn], media: Iterable[Sequence[Part]]
) -> Sequence[Turn]:
    """Put the parts of each video, image and audio in its place, and describe the tools and the response schema."""
    parts_of_media = iter(media)
    conversation = []
    for turn in turns:
        parts = (next(parts_of_media) if isinstance(part, MediaRef) else [part] for part in turn.content)
        conversation.append(Turn(turn.role, tuple(chain.from_iterable(parts))))
    return add_tools(conversation, request.output_format.tools, request.output_format.response_schema)


def write_answers(times: Iterable[tuple[float, float]], answers: Iterable[str]) -> str:
    """Write the answers about parts of a long video, with the time from which to which each part lasts.

    Example:
        >>> print(write_answers([(0.0, 65.0), (65.0, 130.0)], ["A dog.", "A cat."]))
        Answers for each part of the video:
        00:00 to 01:05: A dog.
        01:05 to 02:10: A cat.
    """
    lines = ["Answers for each part of the video:"]
    for (start, end), answer in zip(times, answers, strict=True):
        lines.append(f"{format_timecode(start)} to {format_timecode(end)}: {answer}")
    return "\n".join(lines)


def _encode(backend: Backend, request: Request, media: MediaRef) -> Sequence[Visual | Audio]:
    """Encode an image, or each selected segment of a video, or read audio."""
    cache = backend.visual_cache
    with cache.open(media) as file:
        if media.kind == "audio":
            media_format = MediaFormat(sampling_rate=check_sampling_rate(backend))
            return [cache.encode(file, media_format, audio_interval(media, cache.probe(file)))]
        facts = cache.probe(file)
        if media.kind == "image":
            return [cache.encode(file, image_format(backend, request.budget, facts))]
        segments = select_segments(facts, media.interval, request.question, request.budget)
        media_format = segment_format(backend, request.budget, media, facts, segments)
        if facts.has_audio and backend.sampling_rate != media_format.sampling_rate and request.budget.audio_seconds:
            logger.warning("The audio is left out, because %s", why_silent(request.budget, segments))
        return cache.encode_segments(file, segments, media_format, show_progress=request.show_progress)


def _answer(
    backend: Backend, request: Request, turns: Sequence[ParsedTurn], media: Sequence[Sequence[Visual | Audio]]
) -> Answer:
    usage = Usage()
    fitted = [_fit(backend, request, segments, usage) for segments in media]
    prompt = backend.build_prompt(build_conversation(request, turns, fitted))
    usage.add(prompt)
    deltas = _generate(backend, request, prompt)
    # The prompt is processed before the first delta: if memory runs out, it is here.
    deltas = chain([next(deltas)], deltas)
    sampled_times = [one.times for segments in media for one in segments if one.kind == "video"]
    return Answer(deltas, sampled_times, usage)


def _fit(backend: Backend, request: Request, segments: Sequence[Visual | Audio], usage: Usage) -> Sequence[Part]:
    """Reduce the segments of a video to what its budget allows."""
    if len(segments) <= request.budget.max_segments:
        return segments
    if request.budget.overflow == "merge":
        return backend.merge_segments(segments, request.budget.max_segments)
    return [_map_reduce(backend, request, segments, usage)]


def _map_reduce(backend: Backend, request: Request, segments: Sequence[Visual | Audio], usage: Usage) -> str:
    """Answer the question about each part of a long video, and return the answers with the times of the parts."""
    size = request.budget.max_segments
    parts = [segments[start : start + size] for start in range(0, len(segments), size)]
    with ThreadPoolExecutor(min(len(parts), request.batch_size)) as pool:
        answers = list(pool.map(partial(_answer_part, backend, request), parts))
    for prompt, deltas in answers:
        usage.add(prompt, deltas[-1].num_tokens)
    times = [(part[0].times[0], part[-1].times[-1]) for part in parts]
    return write_answers(times, ("".join(delta.text for delta in deltas).strip() for _, deltas in answers))


def _answer_part(
    backend: Backend, request: Request, segments: Sequence[Visual | Audio]
) -> tuple[Prompt, list[TextDelta]]:
    question = [request.question] if request.question.strip() else []
    prompt = backend.build_prompt([Turn("human", (*segments, *question))])
    max_tokens = request.sampling.max_tokens if backend.starts_reasoning(prompt) else PART_TOKENS
    sampling = replace(request.sampling, max_tokens=max_tokens, stop=tuple(backend.stop_strings))
    request = replace(request, sampling=sampling, output_format=OutputFormat())
    return prompt, list(_generate(backend, request, prompt))


def _generate(backend: Backend, request: Request, prompt: Prompt) -> Iterator[TextDelta]:
    room = backend.context_length - len(prompt.token_ids)
    sampling = replace(request.sampling, max_tokens=min(request.sampling.max_tokens, room))
    constraint: LogitsProcessor | None = None
    if request.output_format.is_constrained:
        schema, line_schema = request.output_format.schemas()
        end_tokens = sorted(backend.generator.end_tokens) or None
        constraint = JsonConstraint(backend.tokenizer, schema, sampling.max_tokens, end_tokens, line_schema=line_schema)
        # A stop string inside a value would cut off the answer.
        sampling = replace(sampling, stop=())
    return generate_text(backend, prompt, sampling, batch_size=request.batch_size, constraint=constraint)
