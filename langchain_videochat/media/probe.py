"""Metadata of a video file, read from it."""

from itertools import chain
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from langchain_videochat.media.container import open_container, video_stream
from langchain_videochat.media.geometry import Orientation, displayed_size
from langchain_videochat.media.index import index_media
from langchain_videochat.media.info import MAX_TITLE_LENGTH, VideoInfo
from langchain_videochat.media.isolation import isolatable
from langchain_videochat.media.packets import demux
from langchain_videochat.media.sources import local_path
from langchain_videochat.media.tracks import choose_video
from langchain_videochat.utils.plain_text import plain_line


@isolatable
def probe(source: str | Path) -> VideoInfo:
    """Read the metadata of a video.

    Only the first frame is decoded. The duration is that of the pictures and sound that can be read, whatever the
    header declares.

    Args:
        source: A local file.

    Raises:
        SourceError: The file does not exist.
        MediaError: The file is not a video, or it is too damaged to read.

    Example:
        >>> probe("talk.mp4").duration  # doctest: +SKIP
        1754.25
    """
    path = local_path(source)
    index = index_media(path)
    track = choose_video(path, index)
    video = index.streams[track]
    with open_container(path) as container:
        stream = video_stream(container, path, track)
        rotation = _orientation(container, stream).rotation
        size = stream.codec_context.width, stream.codec_context.height
        width, height = displayed_size(*size, video.pixel_aspect, rotation)
        return VideoInfo(
            source=str(source),
            title=_title(container) or plain_line(path.stem, MAX_TITLE_LENGTH),
            duration=index.duration,
            width=width,
            height=height,
            frame_rate=video.frame_rate,
            rotation=rotation,
            missing=index.declared_duration - index.duration,
            container=container.format.name,
            streams=index.tracks,
            damage=index.damage,
        )


@isolatable
def media_duration(source: str | Path) -> float:
    """Return the duration of a video or audio file in seconds; errors are those of `probe`.

    Example:
        >>> media_duration("talk.mp4")  # doctest: +SKIP
        1754.25
    """
    return index_media(local_path(source)).duration


def _title(container: InputContainer) -> str:
    return plain_line(container.metadata.get("title", ""), MAX_TITLE_LENGTH)


def _orientation(container: InputContainer, stream: VideoStream) -> Orientation:
    # The final None flushes the decoder, which may hold back all frames of a short video.
    for packet in chain(demux(container, stream), [None]):
        try:
            for frame in stream.codec_context.decode(packet):
                return Orientation.of(frame)
        except av.error.FFmpegError:
            continue
    return Orientation()
