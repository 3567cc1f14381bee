"""Thumbnails of scenes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_videochat.app.lanes import Bar, Lane
from langchain_videochat.media import sample_frames

if TYPE_CHECKING:
    from PIL.Image import Image

FADE_SECONDS = 1.0
"""Seconds from a scene's start to its thumbnail, to skip a fade-in."""


def spaced_scenes(lanes: Sequence[Lane], gap: float) -> list[Bar]:
    """Select scenes whose thumbnails fit side by side, where each covers `gap` seconds of the time axis."""
    selected: list[Bar] = []
    for scene in (bar for lane in lanes if lane.has_thumbnails for bar in lane.bars):
        if not selected or scene.start >= selected[-1].start + gap:
            selected.append(scene)
    return selected


def extract_thumbnails(path: Path, scenes: Sequence[Bar], *, height: int) -> Iterator["Image"]:
    """Extract a thumbnail of each scene, `height` pixels high, in one pass over the video.

    Raises:
        MediaError: The video cannot be decoded.
    """
    from PIL import Image

    if not scenes:
        return
    times = [scene.start + min(FADE_SECONDS, (scene.end - scene.start) / 2) for scene in scenes]
    for batch in sample_frames(path, times=times, size=height, mode="auto", tolerance=FADE_SECONDS / 2):
        for frame in batch.frames:
            picture = Image.fromarray(frame)
            width = max(1, round(picture.width * height / picture.height))
            yield picture.resize((width, height), Image.Resampling.LANCZOS)
