"""Conversations: turns of text, videos, images and audio in the order in which the language model reads them."""

import logging
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.errors import InputError, MediaError
from langchain_videochat.media import local_path, probe, sample_frames
from langchain_videochat.media.audio import read_audio as read_audio_chunks
from langchain_videochat.media.container import check_size
from langchain_videochat.media.geometry import displayed_size
from langchain_videochat.utils.interval import Interval

if TYPE_CHECKING:
    import PIL.Image
    from torch import Tensor

logger = logging.getLogger(__name__)

Role = Literal["system", "human", "assistant"]

NUM_FRAMES = 8
"""Default number of frames per video, as in the paper."""

IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""Pillow formats that may be opened. None of them runs a program or opens another file."""

EXIF_ORIENTATION = 0x0112
TRANSPOSED = range(5, 9)
"""Orientations with rows and columns swapped."""


@dataclass(frozen=True, eq=False)
class Audio:
    """The audio of a video, or of an audio file."""

    kind: ClassVar[Literal["audio"]] = "audio"
    times: ClassVar[tuple[()]] = ()

    samples: NDArray[np.float32]
    """Mono samples from -1 to 1, [N]."""

    sampling_rate: int
    """Samples per second."""

    start: float = 0.0
    """Time of the first sample, in seconds from the start of the file."""

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.samples.nbytes

    @property
    def end(self) -> float:
        """Time at which it ends, in seconds."""
        return self.start + len(self.samples) / self.sampling_rate

    def split(self, max_samples: int) -> "list[Audio]":
        """Split it into parts of equal length with at most so many samples."""
        parts = np.array_split(self.samples, max(1, -(-len(self.samples) // max_samples)))
        starts = np.cumsum([0, *map(len, parts[:-1])]) / self.sampling_rate
        return [Audio(part, self.sampling_rate, self.start + start) for part, start in zip(parts, starts, strict=True)]


@dataclass(frozen=True, eq=False)
class Video:
    """Frames of a video and their timestamps.

    Raises:
        InputError: There are no frames, they are not uint8 RGB of one size, or the times do not match them.

    Example:
        >>> Video(np.zeros((2, 180, 320, 3), np.uint8), times=(0.5, 1.5)).frames.shape
        (2, 180, 320, 3)
    """

    kind: ClassVar[Literal["video"]] = "video"

    frames: NDArray[np.uint8]
    """RGB frames, [T, H, W, 3]. A list of frames is converted to an array."""

    times: tuple[float, ...] = ()
    """One ascending timestamp per frame, in seconds from the first frame of the video; empty if unknown."""

    audio: Audio | None = None
    """Its audio, for models that take it."""

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.frames.nbytes + (self.audio.nbytes if self.audio else 0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", _to_rgb(self.frames, "frames", "[T, H, W, 3]"))
        if len(self.times) not in (0, len(self.frames)):
            problem = f"got {len(self.times)} for {len(self.frames)} frames"
            raise InputError("times", problem, "Give one per frame, or none if they are unknown")
        if not np.isfinite(self.times).all() or (np.diff(self.times, prepend=0) < 0).any():
            problem = f"must be ascending, got {self.times}"
            raise InputError("times", problem, "Give seconds from the start of the video")


@dataclass(frozen=True, eq=False)
class Image:
    """An image.

    Raises:
        InputError: The pixels are not uint8 RGB.
    """

    kind: ClassVar[Literal["image"]] = "image"
    times: ClassVar[tuple[()]] = ()

    pixels: NDArray[np.uint8]
    """RGB pixels, [H, W, 3]."""

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.pixels.nbytes

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixels", _to_rgb(self.pixels, "pixels", "[H, W, 3]"))


@dataclass(frozen=True, eq=False)
class VisualTokens:
    """An encoded video, segment of a video, or image."""

    kind: Literal["video", "image"]

    embeddings: "Tensor"
    """Input embeddings of the language model, [visual tokens, language width], on the CPU."""

    key: Hashable
    """Identifies the content: equal keys mean equal embeddings."""

    times: tuple[float, ...] = ()
    """Timestamp of each frame, in seconds from the first frame of the video."""

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return int(self.embeddings.nbytes)


Visual = Video | Image | VisualTokens
"""A video, a segment of a video, or an image."""

Part = str | Visual | Audio


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation. A conversation is a sequence of turns.

    Raises:
        InputError: The role is unknown, or the content is empty or of another type.

    Example:
        >>> Turn("human", ("What is happening here?",)).role
        'human'
    """

    role: Role
    """"system", "human" or "assistant"."""

    content: tuple[Part, ...]
    """Texts, videos, images and audio, in order."""

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise InputError("role", f"unknown role {self.role!r}", f"Use one of {', '.join(get_args(Role))}")
        if not isinstance(self.content, tuple) or not self.content:
            raise InputError("content", f"must be a non-empty tuple, got {self.content!r}", "Write (text,)")
        for part in self.content:
            if not isinstance(part, Part):
                raise InputError(
                    "content", f"unsupported type {type(part).__name__}", "Give texts, Videos, Images, Audio"
                )


def read_video(
    source: str | Path, num_frames: int = NUM_FRAMES, start: float | None = None, end: float | None = None
) -> Video:
    """Read frames of a video as the paper samples them (3.2.1): the middle frame of each of `num_frames` equal parts.

    Args:
        source: A local file.
        num_frames: Number of frames. A video with fewer frames yields each of them once.
        start: Seconds from the first frame; the start of the video if None.
        end: Seconds; the end of the video if None or later than that.

    Raises:
        SourceError: No such file.
        MediaError: The file has no video stream, or it cannot be decoded.
        InputError: `num_frames` is below 1, `end` is not after `start`, or `start` is after the end of the video.

    Example:
        >>> read_video("talk.mp4", num_frames=4).times  # doctest: +SKIP
        (219.28, 657.84, 1096.4, 1534.96)
    """
    interval = Interval.of(start, end).within(probe(source).duration)
    return next(read_segments(source, [interval], num_frames))


def read_segments(
    source: str | Path,
    segments: Sequence[Interval],
    num_frames: int = NUM_FRAMES,
    *,
    size: int | None = None,
    sampling_rate: int | None = None,
) -> Iterator[Video]:
    """Read frames of several segments of a video in one pass, each sampled as by `read_video`.

    The packets are indexed once, and only the frames of one segment are in memory at a time. The segments are in time
    order, none inside another. Frames are scaled down so that their shorter side has `size` pixels at most. With a
    `sampling_rate`, their audio is read too.

    Raises:
        SourceError: No such file.
        MediaError: The file has no video stream, or it cannot be decoded.
        InputError: `num_frames` is below 1.
    """
    if num_frames < 1:
        raise InputError("num_frames", f"must be 1 or more, got {num_frames}", "Give the number of frames per video")
    times = [time for segment in segments for time in sampling_times(segment, num_frames)]
    batches = sample_frames(source, times=times, mode="exact", size=size)
    frames = (
        (time, frame) for batch in batches for time, frame in zip(batch.times.tolist(), batch.frames, strict=True)
    )
    for segment in segments:
        frame_at = dict(islice(frames, num_frames))
        audio = _read_audio_of_video(source, segment, sampling_rate) if sampling_rate else None
        yield Video(np.stack(list(frame_at.values())), tuple(frame_at), audio)


def _read_audio_of_video(source: str | Path, segment: Interval, sampling_rate: int) -> Audio | None:
    try:
        return read_audio(source, segment, sampling_rate)
    except MediaError as error:
        logger.warning("The audio is left out: %s", error)
        return None


def read_audio(source: str | Path, interval: Interval, sampling_rate: int) -> Audio:
    """Read the audio of a video or an audio file.

    Args:
        source: A local file.
        interval: The part of it to read.
        sampling_rate: Samples per second.

    Raises:
        SourceError: No such file.
        MediaError: The file has no audio, or it cannot be decoded.
    """
    chunks = [chunk.samples for chunk in read_audio_chunks(source, interval.start, interval.end, sampling_rate)]
    return Audio(np.concatenate([*chunks, np.zeros(0, np.float32)]), sampling_rate, interval.start)


def silence(interval: Interval, sampling_rate: int) -> Audio:
    """Return silent audio of the length of an interval."""
    return Audio(np.zeros(round(interval.duration * sampling_rate), np.float32), sampling_rate, interval.start)


def sampling_times(segment: Interval, num_frames: int) -> tuple[float, ...]:
    """Return the middle of each of `num_frames` equal parts of a segment.

    Example:
        >>> sampling_times(Interval(0, 4), 2)
        (1.0, 3.0)
    """
    return tuple(segment.midpoints(num_frames))


def read_image(source: str | Path, *, size: int | None = None) -> Image:
    """Read an image, upright and on a white background; of an animation, the first frame.

    Args:
        source: A local file.
        size: Length of the shorter side in pixels. Larger images are scaled down to it; None keeps them.

    Raises:
        SourceError: No such file.
        MediaError: The file is not an image of a supported format, it is damaged, or it is too large.
    """
    import PIL.Image
    import PIL.ImageOps

    path = local_path(source)
    with _opened_image(path) as picture:
        if picture.mode.startswith(("I", "F")):
            raise MediaError(path, "it has more than 8 bits per channel", "Save it with 8 bits per channel")
        upright = PIL.ImageOps.exif_transpose(picture)
        if upright.has_transparency_data:
            background = PIL.Image.new("RGBA", upright.size, "white")
            upright = PIL.Image.alpha_composite(background, upright.convert("RGBA"))
        return Image(np.array(upright.convert("RGB").resize(displayed_size(*upright.size, size=size))))


def image_size(source: str | Path) -> tuple[int, int]:
    """Return width and height of an image in pixels without decoding it; errors are those of `read_image`."""
    with _opened_image(local_path(source)) as picture:
        is_transposed = picture.getexif().get(EXIF_ORIENTATION) in TRANSPOSED
        return (picture.height, picture.width) if is_transposed else picture.size


@contextmanager
def _opened_image(path: Path) -> "Iterator[PIL.Image.Image]":
    """Open an image, and convert the errors of Pillow."""
    import PIL.Image

    try:
        with PIL.Image.open(path, formats=IMAGE_FORMATS) as picture:
            check_size(path, *picture.size)
            yield picture
    except (OSError, ValueError, SyntaxError, EOFError, PIL.Image.DecompressionBombError) as error:
        problem = "it cannot be read as an image, or is too large"
        raise MediaError(path, problem, f"Save it as {', '.join(IMAGE_FORMATS[:-1])} or {IMAGE_FORMATS[-1]}") from error


def _to_rgb(pixels: Any, name: str, shape: str) -> NDArray[np.uint8]:
    advice = f"Give RGB pixels (uint8) of shape {shape}"
    try:
        array = np.ascontiguousarray(pixels)
    except (TypeError, ValueError) as error:
        raise InputError(name, "must all have the same size", advice) from error
    if not array.size:
        raise InputError(name, "must not be empty", advice)
    if array.dtype != np.uint8 or array.ndim != shape.count(",") + 1 or array.shape[-1] != 3:  # noqa: PLR2004 - RGB
        raise InputError(name, f"must be uint8 of shape {shape}, got {array.dtype} of {list(array.shape)}", advice)
    return array
