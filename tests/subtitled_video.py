"""Generated videos with known subtitles."""

from pathlib import Path
from typing import Any

from langchain_videochat.media import Cue, Damage, read_subtitles
from tests.media_files import run_ffmpeg


def make_subtitled_video(path: Path, *sentences: str) -> Path:
    """Write a black video with a subtitle of two seconds for each sentence."""
    cues = [f"{at}\n00:00:{at * 2:02},000 --> 00:00:{at * 2 + 2:02},000\n{text}\n" for at, text in enumerate(sentences)]
    path.parent.mkdir(exist_ok=True)
    subtitles = path.with_suffix(".txt")
    subtitles.write_text("\n".join(cues))
    run_ffmpeg(
        *["-f", "lavfi", "-i", _black(2 * len(sentences)), "-f", "srt", "-i", str(subtitles)],
        *["-c:v", "libx264", "-g", "5", "-c:s", "mov_text", "-movflags", "faststart", str(path)],
    )
    subtitles.unlink()
    return path


def make_plain_video(path: Path, seconds: float = 20) -> Path:
    """Write a black video without subtitles."""
    run_ffmpeg("-f", "lavfi", "-i", _black(seconds), "-c:v", "libx264", "-g", "5", str(path))
    return path


def read_beside(video: Path, name: str, content: str | bytes, **options: Any) -> tuple[list[Cue], list[str]]:
    """Write a subtitle file beside a video; return the video's subtitles and what was wrong with them."""
    file = video.with_name(name)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    damage: list[Damage] = []
    try:
        cues = read_subtitles(video, on_damage=damage.append, **options)
    finally:
        file.unlink()
    assert {one.kind for one in damage} <= {"subtitle"}
    return cues, [one.problem for one in damage]


def contents(cues: list[Cue]) -> list[tuple[float, float, str]]:
    """Return start, end and text of cues."""
    return [(round(cue.start, 3), round(cue.end, 3), cue.text) for cue in cues]


def spoken(cues: list[Cue]) -> list[tuple[str | None, str]]:
    """Return speaker and text of cues."""
    return [(cue.speaker, cue.text) for cue in cues]


def _black(seconds: float) -> str:
    return f"color=black:s=64x64:r=5:d={seconds}"
