"""Media files for tests."""

import subprocess
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from langchain_videochat.media.ffmpeg import find_ffmpeg

STRANGE_NAMES = [
    "two words.mp4",
    'it\'s "quoted".mp4',
    "видео 视频.mp4",
    "%03d.mp4",
    "-i.mp4",
    "movie: part 1.mp4",
    "[1] a*b?.mp4",
    "back\\slash,comma;semicolon.mp4",
]


def run_ffmpeg(*arguments: str) -> None:
    subprocess.run([find_ffmpeg(), "-nostdin", "-loglevel", "error", "-y", *arguments], check=True)


def make_beeps(
    path: Path,
    *options: str,
    seconds: float = 6,
    audio_delay: float = 0,
    video_delay: float = 0,
    audio_filter: str = "anull",
    audio_codec: str = "aac",
    rate: int = 25,
    size: str = "64x64",
) -> Path:
    """Write a video that beeps for 0.1 s at every whole second, and whose brightness encodes the frame number."""
    video = f"nullsrc=s={size}:r={rate}:d={seconds},geq=lum='20+mod(N,200)':cb=128:cr=128"
    audio = f"aevalsrc='0.5*sin(2*PI*1000*t)*lt(mod(t,1),0.1)':s=48000:d={seconds},{audio_filter}"
    inputs = ["-itsoffset", str(video_delay), "-f", "lavfi", "-i", video]
    inputs += ["-itsoffset", str(audio_delay), "-f", "lavfi", "-i", audio]
    # AVI has no presentation timestamps, which H.264 needs to order its frames.
    encoders = {".webm": ["libvpx", "-b:v", "1M"], ".avi": ["mpeg4", "-q:v", "1"]}
    encoder = ["-c:v", *encoders.get(path.suffix, ["libx264", "-qp", "4"])]
    run_ffmpeg(*inputs, *encoder, "-g", "50", "-c:a", audio_codec, *options, f"file:{path}")
    return path


def overwrite_frames(video: Path, target: Path, start: float, end: float) -> Path:
    """Copy a video of keyframes only, overwriting the frames between two times in seconds."""
    content = bytearray(video.read_bytes())
    with av.open(str(video)) as container:
        for packet in container.demux(video=0):
            if packet.pts is not None and start < packet.pts * packet.time_base < end:
                at = content.index(bytes(packet))
                content[at : at + packet.size] = b"\xff" * packet.size
    target.write_bytes(content)
    return target


def onsets(samples: NDArray[np.float32], rate: int = 16_000) -> NDArray[np.float64]:
    """Return the times, in seconds, at which sound starts after 0.3 s of silence."""
    loud = np.flatnonzero(np.abs(samples) > 0.1)
    return loud[np.diff(loud, prepend=-rate) > 0.3 * rate] / rate


def make_traps(folder: Path) -> list[Path]:
    """Write files with video suffixes that make FFmpeg open another file in the same folder."""
    make_beeps(folder / "secret.ts", seconds=1)
    script = folder / "script.mp4"
    script.write_text("ffconcat version 1.0\nfile 'secret.ts'\n")
    playlist = folder / "playlist.mp4"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n")
    return [script, playlist]
