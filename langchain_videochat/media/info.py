"""What is known of a video file before a frame of it is decoded."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StreamInfo:
    """One track of a container."""

    kind: str
    """"video", "audio", "subtitle" or "data"."""

    codec: str
    """FFmpeg's short name, as "h264"."""

    language: str | None = None
    """The track's language tag, where the container names one."""


@dataclass(frozen=True)
class VideoInfo:
    """A video's facts. Times in this package count from its first presented frame."""

    source: str
    """Path or address, as it was given."""

    title: str
    """The container's title, or the file's name without its ending."""

    duration: float
    """Seconds from the first presented frame to the end of the last."""

    width: int
    """Pixels as displayed: after rotation, with square pixels."""

    height: int
    """Pixels as displayed."""

    frame_rate: float | None = None
    """Mean frames a second; None where the file does not tell."""

    rotation: int = 0
    """Degrees, counter-clockwise, by which stored frames are turned for display: 0, 90, 180 or 270."""

    missing: float = 0.0
    """Seconds that the file's head promises beyond `duration`: above 0 where a file is cut off."""

    container: str = ""
    """FFmpeg's name of the container format."""

    streams: tuple[StreamInfo, ...] = ()
    """All tracks, in the file's order."""
