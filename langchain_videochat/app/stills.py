"""Pictures of scenes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_videochat.app.lanes import Bar, Lane
from langchain_videochat.media import sample_frames

if TYPE_CHECKING:
    from PIL.Image import Image

INTO_SCENE = 1.0
"""Seconds after a scene's start at which its picture is taken: by then, it is no longer faded in."""


def still_time(scene: Bar) -> float:
    """Choose the time at which a scene's picture is taken, in seconds."""
    return scene.start + min(INTO_SCENE, (scene.end - scene.start) / 2)


def spaced_scenes(lanes: Sequence[Lane], gap: float) -> list[Bar]:
    """Choose the scenes whose pictures have room side by side.

    Args:
        lanes: Of a video.
        gap: Seconds that a picture covers.
    """
    chosen: list[Bar] = []
    for scene in (bar for lane in lanes if lane.modality == "scene" for bar in lane.bars):
        if not chosen or scene.start >= chosen[-1].start + gap:
            chosen.append(scene)
    return chosen


def take_stills(path: Path, scenes: Sequence[Bar], *, height: int) -> Iterator["Image"]:
    """Take a picture of each scene, reading the video once.

    Args:
        path: The video.
        scenes: In time order.
        height: Pixels.

    Raises:
        MediaError: Nothing of the video can be decoded.
    """
    from PIL import Image

    if not scenes:
        return
    times = [still_time(scene) for scene in scenes]
    for batch in sample_frames(path, times=times, size=height, mode="auto", tolerance=INTO_SCENE / 2):
        for frame in batch.frames:
            picture = Image.fromarray(frame)
            width = max(1, round(picture.width * height / picture.height))
            yield picture.resize((width, height), Image.Resampling.LANCZOS)
