"""Counting the tokens of a prompt without encoding its videos and images."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langchain_videochat.embed.backend import Backend
from langchain_videochat.embed.conversation import Part, Turn, silence
from langchain_videochat.embed.frame_sizes import DEFAULT_SIZE
from langchain_videochat.embed.inference import PART_TOKENS, Request, build_conversation, write_answers
from langchain_videochat.embed.long_videos import VideoBudget, merge_times, select_segments
from langchain_videochat.embed.media_formats import (
    audio_interval,
    check_sampling_rate,
    image_format,
    segment_format,
)
from langchain_videochat.embed.media_refs import MAX_FRAMES, MediaRef
from langchain_videochat.embed.messages import read_messages
from langchain_videochat.embed.visual_cache import LazyFile, MediaFacts, VisualCache
from langchain_videochat.errors import InputError, MediaError, SourceError
from langchain_videochat.media.geometry import displayed_size
from langchain_videochat.utils.interval import Interval

UNKNOWN_SECONDS = 3600.0
"""Assumed duration in seconds of a video that is missing or would have to be downloaded."""

UNKNOWN_AUDIO_SECONDS = 60.0
"""The same of an audio file."""


def count_tokens(backend: Backend, request: Request) -> int:
    """Count the tokens of the prompt of a request, whose messages may be any part of a conversation.

    The count equals the usage reported with the answer as far as it can be known before: timestamps of frames that
    haven't been sampled yet may differ by a digit, and the duration of a video that would have to be downloaded is
    assumed to be an hour. With "map_reduce", the answers about parts of a video are counted with their maximum length,
    and the prompts for them are not counted.

    Raises:
        InputError: A message has unsupported content.
    """
    turns = read_messages(
        request.messages, num_frames=request.num_frames, system_prompt=request.system_prompt, is_partial=True
    )
    if not turns:
        return 0
    references = [part for turn in turns for part in turn.content if isinstance(part, MediaRef)]
    media = [_estimate(backend, request, reference) for reference in references]
    conversation = build_conversation(request, turns, [parts for parts, _ in media])
    return _count(backend, conversation) + sum(more for _, more in media)


def _count(backend: Backend, conversation: Sequence[Turn]) -> int:
    is_answered = conversation[-1].role == "assistant"
    try:
        return backend.count_tokens(conversation, add_generation_prompt=not is_answered)
    except InputError:
        # A chat template may reject a part of a conversation, such as an answer without its question.
        parts = tuple(part for turn in conversation for part in turn.content)
        return backend.count_tokens([Turn("human", parts)])


def _estimate(backend: Backend, request: Request, media: MediaRef) -> tuple[Sequence[Part], int]:
    """Return what represents a video, image or audio in the prompt, and how many tokens to add for unknown text."""
    cache, budget = backend.visual_cache, request.budget
    with cache.open(media) as file:
        facts = _facts(cache, file)
        if media.kind == "audio":
            return [silence(audio_interval(media, facts), check_sampling_rate(backend))], 0
        if media.kind == "image":
            size = displayed_size(*facts.size, size=image_format(backend, budget, facts).frame_size)
            return [backend.placeholder("image", size)], 0
        segments = _segments(facts, media.interval, budget)
        media_format = segment_format(backend, budget, media, facts, segments)
        times: Sequence[tuple[float, ...]] = cache.frame_times(file, segments, media_format)
    count = budget.max_segments
    if len(times) > count and budget.overflow == "map_reduce":
        parts = [times[start : start + count] for start in range(0, len(times), count)]
        text = write_answers([(part[0][0], part[-1][-1]) for part in parts], [""] * len(parts))
        return [text], PART_TOKENS * len(parts)
    rate = media_format.sampling_rate
    audio_parts = [silence(segment, rate) if rate else None for segment in segments]
    if len(times) > count:
        times, audio_parts = merge_times(times, count), [None] * count
    size = displayed_size(*facts.size, size=media_format.frame_size)
    return [backend.placeholder("video", size, each, audio) for each, audio in zip(times, audio_parts, strict=True)], 0


def _segments(facts: MediaFacts, interval: Interval, budget: VideoBudget) -> list[Interval]:
    """Return the segments of a video to encode."""
    segments = select_segments(facts, interval, "", replace(budget, overflow="merge"))
    # Which ones "retrieve" will find is unknown; the last ones have the longest timestamps.
    return segments[-budget.max_segments :] if budget.overflow == "retrieve" else segments


def _facts(cache: VisualCache[Any], file: LazyFile) -> MediaFacts:
    try:
        known = cache.known_facts(file)
    except (SourceError, MediaError):
        known = None
    if known is not None:
        return known
    fps = file.media.fps
    longest = UNKNOWN_SECONDS if file.media.kind == "video" else UNKNOWN_AUDIO_SECONDS
    seconds = longest if fps is None else min(longest, MAX_FRAMES / fps)
    return MediaFacts("", file.media.interval.start + seconds, DEFAULT_SIZE)
