"""Videos and images of messages, read as VideoChatEmbed reads them, but not encoded."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_videochat.embed import Image, Turn, Video, read_image
from langchain_videochat.embed.conversation import read_segments
from langchain_videochat.embed.media_refs import MediaRef, count_frames, opened
from langchain_videochat.embed.messages import read_messages
from langchain_videochat.media import probe


def open_media(media: MediaRef) -> Video | Image:
    with opened(media) as path:
        if media.kind == "image":
            return read_image(path)
        segment = media.interval.within(probe(path).duration)
        return next(read_segments(path, [segment], count_frames(media, segment)))


def read_conversation(messages: Sequence[BaseMessage], **options: Any) -> tuple[Turn, ...]:
    """Parse messages, and open the videos and images in them."""
    return tuple(
        Turn(role, tuple(open_media(part) if isinstance(part, MediaRef) else part for part in content))
        for role, content in read_messages(messages, **options)
    )
