"""Metadata of a video file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StreamInfo:
    """A stream of a container."""

    kind: str
    """"video", "audio", "subtitle" or "data"."""

    codec: str
    """FFmpeg's short name of the codec, for example "h264"."""

    language: str | None = None
    """Language tag, if the container has one."""


@dataclass(frozen=True)
class VideoInfo:
    """Metadata of a video. All times in this package count from its first presented frame."""

    source: str
    """Path or address, as given by the user."""

    title: str
    """The container's title, or else the file name without its suffix."""

    duration: float
    """Seconds from the first presented frame to the end of the last."""

    width: int
    """Displayed width in pixels: after rotation, with square pixels."""

    height: int
    """Displayed height in pixels."""

    frame_rate: float | None = None
    """Mean frames per second; None if unknown."""

    rotation: int = 0
    """Degrees, counter-clockwise, by which stored frames are rotated for display: 0, 90, 180 or 270."""

    missing: float = 0.0
    """Seconds that the header declares beyond `duration`: above 0 if the file is truncated."""

    container: str = ""
    """FFmpeg's name of the container format."""

    streams: tuple[StreamInfo, ...] = ()
    """All streams, in file order."""
