"""Damaged, unusual and malicious media files, and functions that read them in every way."""

import resource
import struct
import zlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from langchain_videochat.errors import VideoChatError
from langchain_videochat.media import SamplingMode, cut_clip, probe, read_subtitles, sample_frames
from langchain_videochat.media.audio import read_audio
from tests.media_files import run_ffmpeg

CORNERS = {"red": (210, 40, 40), "green": (40, 190, 60), "blue": (50, 60, 200), "yellow": (220, 200, 50)}
"""Displayed colors of the corners: top left, top right, bottom left, bottom right."""


def draw_corners(width: int, height: int) -> NDArray[np.uint8]:
    """Draw a picture whose quarters show its orientation."""
    picture = np.empty((height, width, 3), dtype=np.uint8)
    rows = slice(None, height // 2), slice(height // 2, None)
    columns = slice(None, width // 2), slice(width // 2, None)
    quarters = [(row, column) for row in rows for column in columns]
    for quarter, color in zip(quarters, CORNERS.values(), strict=True):
        picture[quarter] = color
    return picture


def read_corners(picture: NDArray[np.uint8]) -> list[str]:
    """Return the names of the colors in the corners, or the pixel values of unknown colors."""
    height, width = picture.shape[:2]
    points = [(y, x) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    return [_color_name(picture[point]) for point in points]


def _color_name(pixel: NDArray[np.uint8]) -> str:
    near = [name for name, color in CORNERS.items() if np.abs(pixel.astype(int) - color).max() <= 12]
    return near[0] if near else str(pixel.tolist())


def make_corners(
    path: Path,
    codec: str = "libx264",
    *,
    size: tuple[int, int] = (160, 120),
    frames: int = 10,
    pix_fmt: str = "yuv444p",
    quarter_turns: int = 0,
    pixel_aspect: tuple[int, int] = (1, 1),
    options: dict[str, str] | None = None,
    colors: tuple[int, int] = (1, 1),
) -> Path:
    """Write a video of `draw_corners`, at 10 frames per second.

    Args:
        path: Output file.
        codec: FFmpeg's name of the encoder.
        size: Width and height in stored pixels.
        frames: Number of frames.
        pix_fmt: Pixel format of the encoder.
        quarter_turns: Counter-clockwise rotation of the stored frames for display.
        pixel_aspect: Ratio of width to height of a stored pixel.
        options: Options of the encoder.
        colors: FFmpeg's numbers of the color matrix (1 for bt709, 5 for bt601) and range (1 limited, 2 full).
    """
    displayed = draw_corners(*(size if quarter_turns % 2 == 0 else size[::-1]))
    stored = np.ascontiguousarray(np.rot90(displayed, -quarter_turns))
    upright = path if quarter_turns == 0 else path.with_name(f"stored {path.name}")
    matrix, color_range = colors
    with av.open(upright, "w") as container:
        stream = container.add_stream(codec, rate=10, options=options or {})
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = *size, pix_fmt
        context.colorspace, context.color_range = matrix, color_range
        context.sample_aspect_ratio = Fraction(*pixel_aspect)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(stored, format="rgb24")
            frame = frame.reformat(format=pix_fmt, dst_colorspace=matrix, dst_color_range=color_range)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if quarter_turns:
        run_ffmpeg("-display_rotation", str(90 * quarter_turns), "-i", f"file:{upright}", "-c", "copy", f"file:{path}")
    return path


def make_talk(path: Path, *options: str) -> Path:
    """Write two seconds of video and audio, with subtitles if the container supports them."""
    inputs = ["-f", "lavfi", "-i", "testsrc=s=96x64:r=15:d=2", "-f", "lavfi", "-i", "sine=f=440:r=16000:d=2"]
    codecs = {
        ".mp4": ["-c:v", "libx264", "-c:a", "aac", "-c:s", "mov_text", "-movflags", "faststart"],
        ".mov": ["-c:v", "libx264", "-c:a", "aac", "-c:s", "mov_text"],
        ".mkv": ["-c:v", "libx264", "-c:a", "flac", "-c:s", "subrip"],
        ".webm": ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-c:a", "libopus", "-c:s", "webvtt"],
        ".ts": ["-c:v", "libx264", "-c:a", "aac"],
        ".mpg": ["-c:v", "mpeg2video", "-c:a", "mp2", "-r", "25"],
        ".avi": ["-c:v", "mpeg4", "-c:a", "pcm_s16le"],
        ".flv": ["-c:v", "libx264", "-c:a", "aac"],
        ".gif": ["-an"],
    }[path.suffix]
    if "-c:s" in codecs:
        subtitles = path.with_suffix(".txt")
        subtitles.write_text("1\n00:00:00,500 --> 00:00:01,500\nTwo eggs\n")
        inputs += ["-f", "srt", "-i", f"file:{subtitles}"]
    run_ffmpeg(*inputs, *codecs, "-g", "10", *options, f"file:{path}")
    return path


def cut(path: Path, output: Path, fraction: float = 0.5) -> Path:
    """Copy the beginning of a file, like an interrupted download."""
    data = path.read_bytes()
    output.write_bytes(data[: int(len(data) * fraction)])
    return output


def flip_bits(path: Path, output: Path, flips: Sequence[tuple[int, int]]) -> Path:
    """Copy a file and flip single bits.

    Args:
        path: The intact file.
        output: Output file.
        flips: Positions of bytes, modulo the file size, and of bits within them, 0 to 7.
    """
    data = bytearray(path.read_bytes())
    for position, bit in flips:
        data[position % len(data)] ^= 1 << bit
    output.write_bytes(data)
    return output


def make_huge_gif(path: Path, width: int, height: int) -> Path:
    """Write a GIF of a few bytes that declares a picture of this size."""
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes([0, 0, 0, 255, 255, 255])
    picture = b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00"
    path.write_bytes(b"GIF89a" + screen + picture * 3 + b"\x3b")
    return path


def make_large_animation(path: Path, side: int = 8192) -> Path:
    """Write a square GIF of five frames, each of which restores the one before the last."""
    from PIL import Image

    frames = []
    for number in range(5):
        frame = Image.new("P", (side, side))
        frame.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
        frame.paste(1 + number % 2, (number * 100, 0, number * 100 + 50, 50))
        frames.append(frame)
    frames[0].save(path, save_all=True, append_images=frames[1:], disposal=3, duration=100)
    return path


def replace_box(path: Path, kind: bytes, change: Callable[[bytes], bytes]) -> Path:
    """Change the content of the first box of a kind in an MP4 file, to one of the same length."""
    data = path.read_bytes()
    start = data.index(kind)
    (size,) = struct.unpack_from(">I", data, start - 4)
    content = data[start + 4 : start - 4 + size]
    changed = change(content)
    assert len(changed) == len(content)
    path.write_bytes(data[: start + 4] + changed + data[start + 4 + len(content) :])
    return path


def compress_header(path: Path) -> None:
    """Compress the header of an MP4 file, as old QuickTime files do."""
    data = path.read_bytes()
    start = data.index(b"moov") - 4
    (size,) = struct.unpack_from(">I", data, start)
    content = struct.pack(">I", size) + zlib.compress(data[start : start + size])
    method, compressed = struct.pack(">I4s4s", 12, b"dcom", b"zlib"), struct.pack(">I4s", 8 + len(content), b"cmvd")
    box = struct.pack(">I4s", 8 + len(method + compressed + content), b"cmov") + method + compressed + content
    path.write_bytes(data[:start] + struct.pack(">I4s", 8 + len(box), b"moov") + box + data[start + size :])


def make_bomb(path: Path, width: int, height: int) -> Path:
    """Write a video whose header declares 160 x 120 pixels and whose frames are PNGs of this size."""
    import io

    from PIL import Image

    png = io.BytesIO()
    Image.new("1", (width, height)).save(png, "PNG")
    with av.open(path, "w") as container:
        stream = container.add_stream("png", rate=10)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "rgb24"
        for number in range(3):
            packet = av.Packet(png.getvalue())
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, number, number, True
            packet.time_base = Fraction(1, 10)
            container.mux(packet)
    return path


def point_elsewhere(path: Path, other: Path) -> Path:
    """Patch a QuickTime file with its header at the end to reference the frames of another file."""
    data = path.read_bytes()
    start = data.index(b"dref") - 4
    size = int.from_bytes(data[start : start + 4], "big")
    name = str(other.resolve()).encode()
    record = struct.pack(">hH", 2, len(name)) + name + b"\0" * (len(name) % 2)
    alias = bytes(10) + b"\1/".ljust(28, b"\0") + bytes(12) + b"\0" * 64 + bytes(16) + struct.pack(">hh", 1, 1)
    alias += bytes(16) + record + struct.pack(">hH", -1, 0)
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    table = struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry
    changed = bytearray(data[:start] + table + data[start + size :])
    for parent in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        place = data.index(parent) - 4
        longer = int.from_bytes(data[place : place + 4], "big") + len(table) - size
        changed[place : place + 4] = longer.to_bytes(4, "big")
    path.write_bytes(changed)
    return path


def read_frames(path: Path) -> tuple[int, int]:
    """Sample a video by keyframes and exactly; return the numbers of frames and of missing frames."""
    modes: tuple[SamplingMode, ...] = ("keyframes", "exact")
    frames = missing = 0
    for mode in modes:
        batches = list(sample_frames(path, fps=8, mode=mode))
        times = [time for batch in batches for time in batch.times]
        assert np.isfinite(times).all()
        assert sorted(times) == times
        assert sum(len(batch.frames) for batch in batches) == len(times)
        frames += len(times)
        missing += sum(batch.missing for batch in batches)
    return frames, missing


def read_samples(path: Path) -> int:
    """Read the audio; return the number of samples."""
    return sum(len(chunk.samples) for chunk in read_audio(path))


READERS: dict[str, Callable[[Path], Any]] = {
    "probe": probe,
    "frames": read_frames,
    "audio": read_samples,
    "subtitles": read_subtitles,
}


def read_everything(path: Path) -> dict[str, str]:
    """Read a file in every way; return the name of the error for each, or "result". Other errors are raised."""
    outcome = {}
    for name, reader in READERS.items():
        try:
            reader(path)
            outcome[name] = "result"
        except VideoChatError as error:
            outcome[name] = type(error).__name__
    return outcome


def read_in_memory(path: Path) -> tuple[dict[str, str], int]:
    """Read a file in every way; return the outcomes and the growth of this process's peak memory in bytes."""
    before = _peak_memory()
    outcome = read_everything(path)
    return outcome, _peak_memory() - before


def sample_in_memory(path: Path, **options: Any) -> tuple[int, int]:
    """Sample frames; return their number and the growth of this process's peak memory in bytes."""
    before = _peak_memory()
    frames = sum(len(batch.frames) for batch in sample_frames(path, **options))
    return frames, _peak_memory() - before


def cut_in_memory(path: Path, start: float, end: float, output: Path) -> int:
    """Cut a clip; return the peak memory of this process or of the ffmpeg program in bytes, whichever is larger."""
    cut_clip(path, start, end, output)
    return max(_peak_memory(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)


def _peak_memory() -> int:
    # Unlike getrusage, this does not include the peak memory of the parent process.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
