"""Counting the tokens of a prompt without encoding its videos and images."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langchain_videochat.embed.backend import Backend
from langchain_videochat.embed.conversation import Part, Turn, image_size
from langchain_videochat.embed.inference import PART_TOKENS, Request, build_conversation, write_answers
from langchain_videochat.embed.long_videos import VideoBudget, merge_times, select_segments
from langchain_videochat.embed.media_refs import MAX_FRAMES, MediaRef
from langchain_videochat.embed.messages import read_messages
from langchain_videochat.embed.visual_cache import LazyFile, VideoFacts, VisualCache
from langchain_videochat.errors import InputError, MediaError, SourceError

UNKNOWN_SECONDS = 3600.0
UNKNOWN_SIZE = (1280, 720)
"""Assumed duration in seconds, and size in pixels, of what is missing or would have to be downloaded."""


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
    return _count(backend, conversation, request.budget.segment_tokens) + sum(more for _, more in media)


def _count(backend: Backend, conversation: Sequence[Turn], segment_tokens: int) -> int:
    is_answered = conversation[-1].role == "assistant"
    try:
        return backend.count_tokens(conversation, segment_tokens, add_generation_prompt=not is_answered)
    except InputError:
        # A chat template may reject a part of a conversation, such as an answer without its question.
        parts = tuple(part for turn in conversation for part in turn.content)
        return backend.count_tokens([Turn("human", parts)], segment_tokens)


def _estimate(backend: Backend, request: Request, media: MediaRef) -> tuple[Sequence[Part], int]:
    """Return what represents a video or image in the prompt, and how many tokens to add for text that is unknown."""
    with backend.visual_cache.open(media) as file:
        if media.kind == "image":
            return [backend.placeholder("image", _image_size(file))], 0
        facts = _facts(backend.visual_cache, file)
        times = _frame_times(backend.visual_cache, file, facts, request.budget)
    size = request.budget.max_segments
    if len(times) > size and request.budget.overflow == "map_reduce":
        parts = [times[start : start + size] for start in range(0, len(times), size)]
        text = write_answers([(part[0][0], part[-1][-1]) for part in parts], [""] * len(parts))
        return [text], PART_TOKENS * len(parts)
    if len(times) > size:
        times = merge_times(times, size)
    return [backend.placeholder("video", facts.size, each) for each in times], 0


def _frame_times(
    cache: VisualCache[Any], file: LazyFile, facts: VideoFacts, budget: VideoBudget
) -> Sequence[tuple[float, ...]]:
    """Return the timestamps of the frames of each segment to encode."""
    segments = select_segments(facts, file.media.interval, "", replace(budget, overflow="merge"))
    if budget.overflow == "retrieve":
        # Which ones will be found is unknown; the last ones have the longest timestamps.
        segments = segments[-budget.max_segments :]
    return cache.frame_times(file, segments)


def _facts(cache: VisualCache[Any], file: LazyFile) -> VideoFacts:
    try:
        known = cache.known_facts(file)
    except (SourceError, MediaError):
        known = None
    if known is not None:
        return known
    fps = file.media.fps
    seconds = UNKNOWN_SECONDS if fps is None else min(UNKNOWN_SECONDS, MAX_FRAMES / fps)
    return VideoFacts("", file.media.interval.start + seconds, UNKNOWN_SIZE)


def _image_size(file: LazyFile) -> tuple[int, int]:
    if not file.media.is_local:
        return UNKNOWN_SIZE
    try:
        return image_size(file.path)
    except (SourceError, MediaError):
        return UNKNOWN_SIZE
