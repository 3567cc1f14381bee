"""How videos, images and sounds are read for a model."""

from langchain_videochat.embed.backend import Backend
from langchain_videochat.embed.errors import no_sound_error
from langchain_videochat.embed.long_videos import VideoBudget
from langchain_videochat.embed.media_refs import MediaRef, count_frames
from langchain_videochat.embed.visual_cache import MediaFacts, MediaFormat
from langchain_videochat.utils.interval import Interval


def check_sampling_rate(backend: Backend) -> int:
    """Return the sampling rate of the sound that a model takes.

    Raises:
        InputError: It takes none.
    """
    if backend.sampling_rate is None:
        raise no_sound_error()
    return backend.sampling_rate


def image_format(backend: Backend, budget: VideoBudget, facts: MediaFacts) -> MediaFormat:
    """Return the format of an image."""
    return MediaFormat(frame_size=backend.frame_size(None, facts.size, budget.segment_tokens))


def segment_format(
    backend: Backend, budget: VideoBudget, media: MediaRef, facts: MediaFacts, segment: Interval
) -> MediaFormat:
    """Return the format of the segments of a video, which are all as long as the given one.

    Raises:
        InputError: Too many frames are requested.
    """
    num_frames = count_frames(media, segment)
    size = backend.frame_size(num_frames, facts.size, budget.segment_tokens)
    has_sound = facts.has_sound and round(segment.duration, 3) <= budget.sound_seconds
    return MediaFormat(num_frames, size, backend.sampling_rate if has_sound else None)
