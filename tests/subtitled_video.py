"""A generated video with known subtitles."""

from pathlib import Path

from tests.media_files import run_ffmpeg


def make_subtitled_video(path: Path, *sentences: str) -> Path:
    """Write a black video with a subtitle of two seconds for each sentence."""
    cues = [f"{at}\n00:00:{at * 2:02},000 --> 00:00:{at * 2 + 2:02},000\n{text}\n" for at, text in enumerate(sentences)]
    path.parent.mkdir(exist_ok=True)
    subtitles = path.with_suffix(".txt")
    subtitles.write_text("\n".join(cues))
    picture = f"color=black:s=64x64:r=5:d={2 * len(sentences)}"
    run_ffmpeg(
        *["-f", "lavfi", "-i", picture, "-f", "srt", "-i", str(subtitles)],
        *["-c:v", "libx264", "-g", "5", "-c:s", "mov_text", "-movflags", "faststart", str(path)],
    )
    subtitles.unlink()
    return path
