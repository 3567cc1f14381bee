"""Still pictures: photos and screenshots, and frames as JPEG."""

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from langchain_videochat.errors import MediaError
from langchain_videochat.media.container import check_size
from langchain_videochat.media.geometry import Orientation, displayed_size, to_rgb
from langchain_videochat.media.isolation import isolatable
from langchain_videochat.media.sources import local_path

if TYPE_CHECKING:
    from PIL import Image

PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""Pillow's names of the accepted formats."""

JPEG_QUALITY = 80
"""Keeps small letters legible, and frames of 512 pixels below 100 kB."""

_TURNS: dict[int | None, str] = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""How Pillow displays a picture with each orientation of EXIF."""


@isolatable
def read_picture(source: str | Path, *, size: int | None = None) -> NDArray[np.uint8]:
    """Return a still picture as it is displayed; the first one of an animation.

    It is scaled like the frames of `sample_frames`, so that a saved frame gives the same picture as the video.

    Args:
        source: A local file: JPEG, PNG, WebP, GIF or BMP.
        size: Length of the shorter side in pixels. A larger picture is scaled down to it, a smaller one is kept.

    Returns:
        An RGB picture, [height, width, 3].

    Raises:
        SourceError: The file does not exist.
        MediaError: The file is not a picture, is damaged, or has too many pixels; these are counted before it is
            decoded.
    """
    picture = _decode(local_path(source))
    height, width, _ = picture.shape
    frame = VideoFrame.from_ndarray(picture, format="rgb24")
    return to_rgb(frame, Orientation(), displayed_size(width, height, size=size))


def encode_jpeg(picture: NDArray[np.uint8], *, quality: int = JPEG_QUALITY) -> str:
    """Encode an RGB picture, [height, width, 3], as JPEG in base64."""
    return base64.b64encode(jpeg_bytes(picture, quality=quality)).decode()


def jpeg_bytes(picture: NDArray[np.uint8], *, quality: int = JPEG_QUALITY) -> bytes:
    """Encode an RGB picture, [height, width, 3], as JPEG."""
    from PIL import Image

    jpeg = io.BytesIO()
    Image.fromarray(picture).save(jpeg, "JPEG", quality=quality)
    return jpeg.getvalue()


def _decode(path: Path) -> NDArray[np.uint8]:
    from PIL import ExifTags, Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=PICTURE_FORMATS) as image:
            check_size(path, *image.size)
            # Not ImageOps.exif_transpose, which fails if it cannot write other entries of the metadata again.
            turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
            turned = image if turn is None else image.transpose(Image.Transpose[turn])
            pixels = _to_eight_bits(turned).convert("RGBA")
            background = Image.new("RGBA", pixels.size, "white")
            return np.asarray(Image.alpha_composite(background, pixels).convert("RGB"))
    except UnidentifiedImageError as error:
        raise MediaError(path, "is not a picture", "Give a JPEG, PNG, WebP, GIF or BMP file") from error
    except Image.DecompressionBombError as error:
        raise MediaError(path, "has too many pixels", "Scale it down first") from error
    except MediaError:
        raise
    except Exception as error:  # Pillow raises errors of many kinds for damaged files
        raise MediaError(path, f"this picture is damaged ({error})", "Save it again") from error


def _to_eight_bits(image: "Image.Image") -> "Image.Image":
    """Scale the values of a gray picture of 16 bits, which Pillow would limit to 255."""
    from PIL import Image

    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)) if image.mode.startswith("I") else image
