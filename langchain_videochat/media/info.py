"""Metadata of a video file."""

from dataclasses import dataclass

from langchain_videochat.media.damage import Damage
from langchain_videochat.media.sources import safe_source

MAX_TITLE_LENGTH = 200
"""Maximum characters of a title: files may have titles of any length, and each prompt repeats them."""

MAX_LANGUAGE_LENGTH = 35
"""Maximum characters of a language tag: the length that BCP 47 recommends supporting."""


@dataclass(frozen=True)
class StreamInfo:
    """A stream (track) of a container."""

    kind: str
    """"video", "audio", "subtitle" or "data"."""

    codec: str
    """FFmpeg's short name of the codec, for example "h264"."""

    language: str | None = None
    """Language tag, if the container has one."""

    track: int = -1
    """Number by which the stream can be requested: its position in the file, from 0; -1 if unknown."""

    title: str | None = None
    """Its title, for example "Director's commentary", if the container has one."""

    is_default: bool = False
    """Whether the file marks it as the one to play."""

    width: int = 0
    """Width of a stored picture in pixels; 0 if it has none."""

    height: int = 0
    """Height of a stored picture in pixels; 0 if it has none."""


@dataclass(frozen=True)
class VideoInfo:
    """Metadata of a video. All times in this package are those that a player shows."""

    source: str
    """Path or address, as given by the user, in the form of `langchain_videochat.media.sources.safe_source`."""

    title: str
    """The container's title, or else the file name without its suffix."""

    duration: float
    """Seconds to the end of the picture or sound that ends last."""

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

    damage: tuple[Damage, ...] = ()
    """What is wrong with the file's timestamps."""

    @property
    def has_audio(self) -> bool:
        """Whether it has an audio track."""
        return any(stream.kind == "audio" for stream in self.streams)

    def __post_init__(self) -> None:
        # From here, the source reaches databases, JSON, prompts and consoles.
        object.__setattr__(self, "source", safe_source(self.source))
