"""Converting the videos and images of messages to content parts that a server takes."""

import base64
import mimetypes
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_videochat.embed.content_blocks import Block, read_block
from langchain_videochat.embed.conversation import sampling_times
from langchain_videochat.embed.media_refs import DATA_URL, MediaRef, count_frames, file_state, opened
from langchain_videochat.errors import InputError
from langchain_videochat.media import cut_clip, probe, read_picture, sample_frames
from langchain_videochat.media.pictures import encode_jpeg
from langchain_videochat.server.capabilities import ServerKind
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.timecode import format_seconds, format_timecode

IMAGE_QUALITY = 95
"""JPEG quality of images, which may be scanned text. Frames have a lower one."""

Part = dict[str, Any]
"""A content part of OpenAI's chat completions."""


def local_files(messages: Sequence[BaseMessage]) -> list[tuple[str, int, int]]:
    """Return the `file_state` of each local video and image that messages refer to, in their order.

    Raises:
        InputError: The block of a video or image is invalid.
    """
    blocks = [block for message in messages if not isinstance(message.content, str) for block in message.content]
    media = [each for block in blocks if (each := read_media(block)) is not None]
    return [file_state(each.source) for each in media if each.is_local]


def read_media(block: Any) -> MediaRef | None:
    """Return the video or image of a content block; None if it is another block, which ChatOpenAI converts itself.

    Raises:
        InputError: The block of a video or image is invalid.

    Example:
        >>> read_media({"type": "video", "url": "file:///talk.mp4"}).source
        'file:///talk.mp4'
        >>> read_media({"type": "file", "url": "file:///talk.pdf", "mime_type": "application/pdf"})
    """
    if not isinstance(block, Mapping) or not _is_media(block):
        return None
    media = read_block(block)
    return media if isinstance(media, MediaRef) else None


def _is_media(block: Block) -> bool:
    if block.get("type") in {"file", "media"}:
        file = block.get("file")
        data = DATA_URL.match(str(file.get("file_data"))) if isinstance(file, Mapping) else None
        mime_type = data[1] if data else str(block.get("mime_type"))
        return mime_type.lower().startswith(("video/", "image/"))
    # Blocks with a source are in Anthropic's format, which ChatOpenAI takes.
    return block.get("type") in {"video", "video_url", "image", "image_url"} and "source" not in block


@dataclass
class MediaConverter:
    """Converts the videos and images of messages, and collects what a request has to say about them.

    The arguments are fields of `ChatVideoServer`.
    """

    find_server: Callable[[], ServerKind]
    """Returns the server. Called for videos only."""

    num_frames: int | None
    frame_size: int
    max_video_bytes: int
    allowed_hosts: tuple[str, ...]

    files: ExitStack
    """Keeps temporary files until the server has answered."""

    sampled_times: list[list[float]] = field(default_factory=list)
    """Timestamps of the frames of each video that was converted to images."""

    has_video: bool = False
    has_images: bool = False

    extra_body: dict[str, Any] = field(default_factory=dict)
    """Fields to add to the request."""

    def convert(self, message: BaseMessage) -> BaseMessage:
        """Return a message whose videos and images are parts that the server takes.

        Raises:
            InputError: A block is invalid, or a video is too large.
            SourceError: No such file, or an address is refused or fails.
            MediaError: A file cannot be read as a video or image.
            ServerConnectionError: The server cannot be reached.
        """
        if isinstance(message.content, str):
            return message
        content = [part for block in message.content for part in self._convert_block(block)]
        return message.model_copy(update={"content": content})

    def _convert_block(self, block: Any) -> list[Any]:
        if isinstance(block, str):
            return [_text_part(block)]
        media = read_media(block)
        return [block] if media is None else self._convert(replace(media, allowed_hosts=self.allowed_hosts))

    def _convert(self, media: MediaRef) -> list[Part]:
        if media.kind == "image":
            self.has_images = True
            return [_image_part(media)]
        if media.num_frames is None and media.fps is None:
            media = replace(media, num_frames=self.num_frames)
        server = self.find_server()
        path = self.files.enter_context(opened(media))
        video = probe(path)
        interval = media.interval.within(video.duration)
        if server.video_source is None or (server.needs_sound and not video.has_audio):
            self.has_images = True
            return list(self._frames(path, media, interval))
        self.has_video = True
        return self._video(path, media, interval, server, is_whole=interval == Interval(0.0, video.duration))

    def _frames(self, path: Path, media: MediaRef, interval: Interval) -> Iterator[Part]:
        """Yield the frames as images, each after its time."""
        times = sampling_times(interval, count_frames(media, interval))
        seen: list[float] = []
        for batch in sample_frames(path, times=times, size=self.frame_size, mode="exact"):
            for frame, time in zip(batch.frames, batch.times.tolist(), strict=True):
                if seen and time == seen[-1]:
                    continue
                seen.append(time)
                yield _text_part(f"At {format_timecode(time)} ({format_seconds(time)} s):")
                yield _jpeg_part(encode_jpeg(frame))
        self.sampled_times.append(seen)

    def _video(
        self, path: Path, media: MediaRef, interval: Interval, server: ServerKind, *, is_whole: bool
    ) -> list[Part]:
        parts = []
        if not is_whole:
            folder = self.files.enter_context(tempfile.TemporaryDirectory(prefix="videochat-"))
            path = cut_clip(path, interval.start, interval.end, Path(folder, "clip.mp4"))
            start, end = format_timecode(interval.start), format_timecode(interval.end)
            parts.append(_text_part(f"Part of a video, from {start} to {end}:"))
        if server.sampling == "chat_template_kwargs":
            # This server always sets a number of frames. Processors with a frame rate, such as Qwen3-VL's, reject both.
            self.extra_body.setdefault("chat_template_kwargs", {"fps": None})
        url = {"url": str(path) if server.video_source == "path" else self._data_url(path)}
        options = {} if media.num_frames is None and media.fps is None else self._sampling(media, interval, server)
        return [*parts, {"type": "video_url", "video_url": url | options}]

    def _sampling(self, media: MediaRef, interval: Interval, server: ServerKind) -> dict[str, float]:
        """Return the options of a video that make the server sample a number of frames, or add them to the request."""
        count = count_frames(media, interval)
        match server.sampling:
            case "video_url":
                return {"fps": count / interval.duration, "max_frames": count}
            case "media_io_kwargs":
                options = self.extra_body.setdefault("media_io_kwargs", {}).setdefault("video", {})
            case "chat_template_kwargs":
                options = self.extra_body["chat_template_kwargs"]
            case None:
                return {}
        # One setting for all videos of a request.
        options["num_frames"] = max(count, options.get("num_frames", 0))
        return {}

    def _data_url(self, path: Path) -> str:
        size = path.stat().st_size
        if size > self.max_video_bytes:
            problem = f"the video has {size:,} bytes, more than {self.max_video_bytes:,}"
            advice = 'Select a shorter part with start and end, raise this limit, or set video_input="frames"'
            raise InputError("max_video_bytes", problem, advice)
        mime_type = mimetypes.guess_type(path.name)[0] or ""
        kind = mime_type if mime_type.startswith("video/") else "video/mp4"
        return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _image_part(media: MediaRef) -> Part:
    if DATA_URL.match(media.source):
        return {"type": "image_url", "image_url": {"url": media.source}}
    with opened(media) as path:
        return _jpeg_part(encode_jpeg(read_picture(path), quality=IMAGE_QUALITY))


def _jpeg_part(jpeg: str) -> Part:
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{jpeg}"}}


def _text_part(text: str) -> Part:
    return {"type": "text", "text": text}
