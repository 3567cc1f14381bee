"""Metadata of a video file, read from it."""

from itertools import chain
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from langchain_videochat.media.container import open_container, video_stream
from langchain_videochat.media.geometry import displayed_size
from langchain_videochat.media.info import StreamInfo, VideoInfo
from langchain_videochat.media.packets import demux, index_packets
from langchain_videochat.media.sources import local_path


def probe(source: str | Path) -> VideoInfo:
    """Read the metadata of a video.

    Only the first frame is decoded. The duration is that of the readable frames, whatever the header declares.

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
    index = index_packets(path)
    with open_container(path) as container:
        stream = video_stream(container, path)
        rotation = _rotation(container, stream)
        width, height = displayed_size(
            stream.codec_context.width, stream.codec_context.height, stream.sample_aspect_ratio, rotation
        )
        return VideoInfo(
            source=str(source),
            title=container.metadata.get("title", "").strip() or path.stem,
            duration=index.duration,
            width=width,
            height=height,
            frame_rate=len(index.pts) / index.duration if index.duration else None,
            rotation=rotation % 360,
            missing=index.declared_duration - index.duration,
            container=container.format.name,
            streams=tuple(
                StreamInfo(each.type, each.codec_context.name if each.codec_context else "unknown", each.language)
                for each in container.streams
            ),
        )


def _rotation(container: InputContainer, stream: VideoStream) -> int:
    # The final None flushes the decoder, which may hold back all frames of a short video.
    for packet in chain(demux(container, stream), [None]):
        try:
            for frame in stream.codec_context.decode(packet):
                return frame.rotation
        except av.error.FFmpegError:
            continue
    return 0
