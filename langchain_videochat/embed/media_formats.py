"""How videos, images and audio are read for a model."""

from collections.abc import Sequence

from langchain_videochat.embed.backend import Backend
from langchain_videochat.embed.errors import no_audio_error
from langchain_videochat.embed.long_videos import VideoBudget
from langchain_videochat.embed.media_refs import MediaRef, count_frames
from langchain_videochat.embed.visual_cache import MediaFacts, MediaFormat
from langchain_videochat.errors import InputError
from langchain_videochat.utils.interval import Interval

MAX_AUDIO_SECONDS = 3600
"""Maximum length of audio in a prompt: 230 MB, and 90,000 tokens of most models."""


def check_sampling_rate(backend: Backend) -> int:
    """Return the sampling rate of a model's audio input.

    Raises:
        InputError: It has none.
    """
    if backend.sampling_rate is None:
        raise no_audio_error()
    return backend.sampling_rate


def audio_interval(media: MediaRef, facts: MediaFacts) -> Interval:
    """Return the interval of an audio file to read.

    Raises:
        InputError: It starts after the end of the file, or is too long.
    """
    interval = media.interval.within(facts.duration)
    if interval.duration > MAX_AUDIO_SECONDS:
        problem = f"lasts {interval.duration:,.0f} seconds, more than the limit of {MAX_AUDIO_SECONDS:,}"
        raise InputError("audio", problem, "Select a part with start and end")
    return interval


def image_format(backend: Backend, budget: VideoBudget, facts: MediaFacts) -> MediaFormat:
    """Return the format of an image."""
    return MediaFormat(frame_size=backend.frame_size(None, facts.size, budget.segment_tokens))


def segment_format(
    backend: Backend, budget: VideoBudget, media: MediaRef, facts: MediaFacts, segments: Sequence[Interval]
) -> MediaFormat:
    """Return the format of the segments of a video, which are all of the same length.

    Raises:
        InputError: Too many frames are requested.
    """
    num_frames = count_frames(media, segments[0])
    size = backend.frame_size(num_frames, facts.size, budget.segment_tokens)
    has_audio = facts.has_audio and backend.sampling_rate and not why_silent(budget, segments)
    return MediaFormat(num_frames, size, backend.sampling_rate if has_audio else None)


def why_silent(budget: VideoBudget, segments: Sequence[Interval]) -> str:
    """Return why the audio of the segments of a video is left out, and what to change; empty if it is not."""
    seconds = round(segments[0].duration, 3)
    if seconds > budget.audio_seconds:
        return f"{seconds:.1f} s is longer than max_audio_seconds: raise it, or use shorter segments"
    if budget.overflow == "merge" and len(segments) > budget.max_segments:
        return "segments are merged: raise max_video_tokens, or set overflow"
    return ""
