"""Media that tests make for themselves."""

import subprocess
from pathlib import Path

from langchain_videochat.media.ffmpeg import executable

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
    subprocess.run([executable(), "-nostdin", "-loglevel", "error", "-y", *arguments], check=True)


def make_beeps(
    path: Path,
    *options: str,
    seconds: float = 6,
    sound_delay: float = 0,
    picture_delay: float = 0,
    sound_filter: str = "anull",
    audio: str = "aac",
    rate: int = 25,
    size: str = "64x64",
) -> Path:
    """Write a video that beeps for 0.1 s at every whole second, and whose frames tell their number by their light."""
    picture = f"nullsrc=s={size}:r={rate}:d={seconds},geq=lum='20+mod(N,200)':cb=128:cr=128"
    sound = f"aevalsrc='0.5*sin(2*PI*1000*t)*lt(mod(t,1),0.1)':s=48000:d={seconds},{sound_filter}"
    inputs = ["-itsoffset", str(picture_delay), "-f", "lavfi", "-i", picture]
    inputs += ["-itsoffset", str(sound_delay), "-f", "lavfi", "-i", sound]
    # AVI stores no times that could tell how H.264 orders its frames.
    encoders = {".webm": ["libvpx", "-b:v", "1M"], ".avi": ["mpeg4", "-q:v", "1"]}
    video = ["-c:v", *encoders.get(path.suffix, ["libx264", "-qp", "4"])]
    run_ffmpeg(*inputs, *video, "-g", "50", "-c:a", audio, *options, f"file:{path}")
    return path


def make_traps(folder: Path) -> list[Path]:
    """Write files that are called videos, but make FFmpeg open another file that lies beside them."""
    make_beeps(folder / "secret.ts", seconds=1)
    script = folder / "script.mp4"
    script.write_text("ffconcat version 1.0\nfile 'secret.ts'\n")
    playlist = folder / "playlist.mp4"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n")
    return [script, playlist]
