"""What is said and shown to the model: turns of texts, videos and images, in the order in which they come."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from langchain_videochat.errors import InputError, MediaError
from langchain_videochat.media import local_path, probe, sample_frames
from langchain_videochat.media.container import check_size

if TYPE_CHECKING:
    from torch import Tensor

Role = Literal["system", "human", "assistant"]

NUM_FRAMES = 8
"""Frames that are taken of a video unless something else is asked for: as in the paper."""

IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""Pillow's names of the kinds of pictures that are opened: none that runs another program or reads another file."""


@dataclass(frozen=True, eq=False)
class Video:
    """Frames of a video and when they are shown.

    Raises:
        InputError: There is no frame, they are of unequal size or not RGB bytes, or the times are not theirs.

    Example:
        >>> Video(np.zeros((2, 180, 320, 3), np.uint8), times=(0.5, 1.5)).frames.shape
        (2, 180, 320, 3)
    """

    frames: NDArray[np.uint8]
    """RGB, [T, H, W, 3]; what is given may also be a list of pictures."""

    times: tuple[float, ...] = ()
    """Seconds from the first frame of the video, one a frame, ascending; none where they are unknown."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", _rgb(self.frames, "frames", "[T, H, W, 3]"))
        if len(self.times) not in (0, len(self.frames)):
            problem = f"there are {len(self.times)} for {len(self.frames)} frames"
            raise InputError("times", problem, "Give one a frame, or none where they are unknown")
        if not np.isfinite(self.times).all() or (np.diff(self.times, prepend=0) < 0).any():
            raise InputError("times", f"{self.times} are no ascending seconds", "Count from the start of the video")


@dataclass(frozen=True, eq=False)
class Image:
    """A picture.

    Raises:
        InputError: It is not made of RGB bytes.
    """

    pixels: NDArray[np.uint8]
    """RGB, [H, W, 3]."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixels", _rgb(self.pixels, "pixels", "[H, W, 3]"))


@dataclass(frozen=True, eq=False)
class VisualTokens:
    """What a model made of a video or an image: it need not look at it again."""

    kind: Literal["video", "image"]

    embeddings: "Tensor"
    """As the language model reads them, [visual tokens, language width], on the processor."""

    key: Hashable
    """Tells them from all others: the same for the same content."""

    times: tuple[float, ...] = ()
    """Seconds from the first frame of the video, one a frame."""


Part = str | Video | Image | VisualTokens


@dataclass(frozen=True)
class Turn:
    """What one side says and shows at a time. A conversation is a sequence of them.

    Raises:
        InputError: There is no such role, or the content is something else.

    Example:
        >>> Turn("human", ("What is happening here?",)).role
        'human'
    """

    role: Role
    """Who says it."""

    content: tuple[Part, ...]
    """Texts, videos and images in their order."""

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise InputError("role", f"{self.role!r} is none", f"Take one of {', '.join(get_args(Role))}")
        if not isinstance(self.content, tuple) or not self.content:
            raise InputError("content", f"{self.content!r} is no tuple with something in it", "Write (text,)")
        for part in self.content:
            if not isinstance(part, Part):
                raise InputError("content", f"a {type(part).__name__} is none", "Give texts, Videos and Images")


@dataclass(frozen=True)
class Stretch:
    """A part of a video."""

    start: float
    """Seconds from the first frame."""

    end: float
    """Seconds."""


def read_video(
    source: str | Path, num_frames: int = NUM_FRAMES, start: float | None = None, end: float | None = None
) -> Video:
    """Read frames of a video as the paper samples them (3.2.1): in the middle of so many equal parts of it.

    Args:
        source: A local file.
        num_frames: How many; where the video has fewer, each comes once.
        start: Seconds from the first frame; the start of the video if None.
        end: Seconds; the end of the video if None or later than that.

    Raises:
        SourceError: There is no such file.
        MediaError: The file has no video, or it cannot be decoded.
        InputError: `num_frames` is below 1, or no part of the video lies between `start` and `end`.

    Example:
        >>> read_video("talk.mp4", num_frames=4).times  # doctest: +SKIP
        (219.28, 657.84, 1096.4, 1534.96)
    """
    stretch = find_stretch(probe(source).duration, start, end)
    return next(read_stretches(source, [stretch], num_frames))


def find_stretch(duration: float, start: float | None = None, end: float | None = None) -> Stretch:
    """Find the part of a video that is asked for.

    Args:
        duration: Seconds that the video lasts.
        start: Seconds from the first frame; the start of the video if None.
        end: Seconds; the end of the video if None or later than that.

    Raises:
        InputError: No part of the video lies between them.

    Example:
        >>> find_stretch(10.0, start=4)
        Stretch(start=4, end=10.0)
    """
    stretch = Stretch(start or 0.0, duration if end is None else min(end, duration))
    if not 0 <= stretch.start < stretch.end:
        problem = f"{start} to {end} is no part of a video of {duration:.3f} seconds"
        raise InputError("start, end", problem, "Give seconds, start before end")
    return stretch


def read_stretches(source: str | Path, stretches: Sequence[Stretch], num_frames: int = NUM_FRAMES) -> Iterator[Video]:
    """Read frames of several stretches of a video, each as `read_video` does, one in memory at a time.

    Args:
        source: A local file.
        stretches: In the order of time, none within another.
        num_frames: How many of each.

    Raises:
        SourceError: There is no such file.
        MediaError: The file has no video, or it cannot be decoded.
        InputError: `num_frames` is below 1.
    """
    if num_frames < 1:
        raise InputError("num_frames", f"{num_frames} is no number of frames", "Give 1 or more")
    middles = (np.arange(num_frames) + 0.5) / num_frames
    times = [one.start + middles * (one.end - one.start) for one in stretches]
    batches = sample_frames(source, times=np.concatenate(times).tolist(), mode="exact")
    frames = (
        (time, frame) for batch in batches for time, frame in zip(batch.times.tolist(), batch.frames, strict=True)
    )
    for _ in stretches:
        shown = dict(islice(frames, num_frames))
        yield Video(np.stack(list(shown.values())), tuple(shown))


def read_image(source: str | Path) -> Image:
    """Read a picture, upright as it was taken; what is transparent is white, and of several the first is taken.

    Args:
        source: A local file.

    Raises:
        SourceError: There is no such file.
        MediaError: It is no picture of a known kind, it is damaged, or it is too large.
    """
    import PIL.Image
    import PIL.ImageOps

    path = local_path(source)
    try:
        with PIL.Image.open(path, formats=IMAGE_FORMATS) as picture:
            check_size(path, *picture.size)
            if picture.mode.startswith(("I", "F")):
                raise MediaError(path, "its grey has more than 256 levels", "Save it with 8 bits a colour")
            upright = PIL.ImageOps.exif_transpose(picture)
            if upright.has_transparency_data:
                ground = PIL.Image.new("RGBA", upright.size, "white")
                upright = PIL.Image.alpha_composite(ground, upright.convert("RGBA"))
            return Image(np.asarray(upright.convert("RGB")))
    except (OSError, ValueError, SyntaxError, EOFError, PIL.Image.DecompressionBombError) as error:
        problem = "this cannot be read as a picture, or is too large for one"
        raise MediaError(path, problem, f"Save it anew as one of {', '.join(IMAGE_FORMATS)}") from error


def _rgb(pictures: Any, name: str, shape: str) -> NDArray[np.uint8]:
    """Check what is given as pixels."""
    advice = f"Give RGB bytes (uint8) of shape {shape}"
    try:
        pixels = np.ascontiguousarray(pictures)
    except (TypeError, ValueError) as error:
        raise InputError(name, "are not of one size", advice) from error
    if not pixels.size:
        raise InputError(name, "there are none", advice)
    if pixels.dtype != np.uint8 or pixels.ndim != shape.count(",") + 1 or pixels.shape[-1] != 3:  # noqa: PLR2004 - RGB
        raise InputError(name, f"are {pixels.dtype} of shape {list(pixels.shape)}", advice)
    return pixels
