"""Talks: videos with numbered frames and a beep at every second, in many containers."""

from pathlib import Path
from typing import Any

from tests.media_files import run_ffmpeg
from tests.numbered_video import make_numbered

_BEEPS = "aevalsrc='0.5*sin(2*PI*1000*t)*lt(mod(t,1),0.1)':s=48000:d={seconds}"


def make_talk(
    path: Path,
    *options: str,
    video_delay: float = 0,
    audio_delay: float = 0,
    seconds: float = 6,
    codecs: tuple[str, str] = ("copy", "aac"),
    b_frames: int = 2,
    frames: int = 150,
) -> Path:
    """Write numbered frames, 25 per second, with a beep of 0.1 s at every second."""
    codec = "mpeg4" if path.suffix == ".avi" else "libx264"
    times = [40 * number for number in range(frames)]
    container = ".avi" if codec == "mpeg4" else ".mp4"
    video = make_numbered(
        path.with_name(f"numbers of {path.name}").with_suffix(container),
        codec,
        times,
        b_frames=b_frames if codec == "libx264" else 0,
    )
    inputs = ["-itsoffset", str(video_delay), "-i", str(video), "-itsoffset", str(audio_delay)]
    inputs += ["-f", "lavfi", "-i", _BEEPS.format(seconds=seconds)]
    run_ffmpeg(*inputs, "-c:v", codecs[0], "-c:a", codecs[1], *options, str(path))
    return path


WEBM: dict[str, Any] = {"codecs": ("libvpx", "libopus")}
OPUS: dict[str, Any] = {"codecs": ("copy", "libopus")}

CONTAINERS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("plain.mp4", {}, []),
    ("late picture.mp4", {"video_delay": 5}, []),
    ("late sound.mp4", {"audio_delay": 5}, []),
    ("both late.mp4", {"video_delay": 5, "audio_delay": 5}, []),
    ("short picture.mp4", {"frames": 50, "seconds": 8}, []),
    ("no edit list.mp4", {}, ["-use_editlist", "0"]),
    ("fragments.mp4", {}, ["-movflags", "frag_keyframe+empty_moov"]),
    ("plain.mov", {"codecs": ("copy", "pcm_s16le")}, []),
    ("plain.mkv", OPUS, []),
    ("late picture.mkv", {"video_delay": 5, **OPUS}, []),
    ("both late.mkv", {"video_delay": 5, "audio_delay": 5, **OPUS}, []),
    ("short picture.mkv", {"frames": 50, "seconds": 8}, []),
    ("plain.webm", WEBM, []),
    ("late picture.webm", {"video_delay": 5, **WEBM}, []),
    ("plain.ts", {}, []),
    ("late picture.ts", {"video_delay": 5}, []),
    ("short picture.ts", {"frames": 50, "seconds": 8}, []),
    ("plain.flv", {}, []),
    ("late picture.flv", {"video_delay": 5}, []),
    ("plain.avi", {"codecs": ("copy", "libmp3lame")}, []),
    ("plain.mpg", {"codecs": ("mpeg2video", "mp2")}, ["-q:v", "2"]),
    ("plain.asf", {"codecs": ("msmpeg4", "wmav2")}, ["-q:v", "2"]),
    ("plain.ogv", {"codecs": ("libtheora", "libvorbis")}, ["-q:v", "9"]),
]
