"""The lanes of a timeline as a picture."""

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_videochat.app.lanes import Bar, Lane, make_lanes
from langchain_videochat.app.thumbnails import extract_thumbnails, spaced_scenes
from langchain_videochat.errors import InputError, VideoChatError
from langchain_videochat.media import VideoInfo, local_path
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.optional_dependencies import require_extra
from langchain_videochat.utils.timecode import format_timecode

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".png", ".svg", ".pdf")

WIDTH = 14.0
"""Width of the picture in inches."""

ROW_HEIGHT = 0.26
"""Height of a row of bars in inches."""

THUMBNAIL_ROWS = 4
"""Height of the thumbnails in rows."""

THUMBNAIL_PIXELS = 160
"""Height of the thumbnails in pixels."""

LABELS_WIDTH = 1.0
"""Width of the lanes' labels in inches."""

LANE_GAP = 0.5
"""Space between lanes in rows."""

MAX_CHARACTERS = 200
"""Characters that fit side by side; a bar shows as much of its text as fits."""

MIN_CHARACTERS = 3
"""Bars with room for fewer characters show no text."""

_LOG = logging.getLogger(__name__)


def draw_timeline(timeline: Timeline, output: str | Path, *, start: float = 0.0, end: float | None = None) -> Path:
    """Draw a timeline as swim lanes, one per modality, with thumbnails of its scenes.

    Args:
        timeline: The timeline to draw.
        output: The file to write or overwrite: .png, .svg or .pdf.
        start: Left edge in seconds.
        end: Right edge in seconds; the end of the video if None.

    Returns:
        `output` as a path.

    Raises:
        InputError: The timeline or the interval is empty, or `output` has another suffix or cannot be written.
        ModelUnavailableError: matplotlib is not installed.

    Example:
        Draw a video of a store:

            draw_timeline(store.timeline(store.videos()[0].video_id), "lanes.png")
    """
    target = Path(output)
    if target.suffix.lower() not in SUFFIXES:
        raise InputError(target, "unsupported picture format", f"Use {', '.join(SUFFIXES)}")
    require_extra("app", "a picture of a timeline")
    lanes = make_lanes(timeline)
    if not lanes:
        raise InputError(timeline.video.title, "has no observations", "Choose a longer interval or another video")
    _draw(timeline, lanes, Interval.of(start, end).within(timeline.video.duration), target)
    return target


def _draw(timeline: Timeline, lanes: list[Lane], interval: Interval, target: Path) -> None:
    from matplotlib.figure import Figure

    heights = [lane.rows + LANE_GAP for lane in lanes]
    figure = Figure(figsize=(WIDTH, ROW_HEIGHT * (THUMBNAIL_ROWS + sum(heights)) + 1), layout="constrained")
    axes = figure.subplots()
    axes.set(ylim=(sum(heights), -THUMBNAIL_ROWS), title=timeline.video.title)
    axes.title.set_parse_math(False)
    _draw_thumbnails(axes, lanes, timeline.video, interval)
    top = 0.0
    middles = []
    for lane, height in zip(lanes, heights, strict=True):
        for bar in lane.bars:
            _draw_bar(axes, bar, lane.color, top + bar.row, interval)
        middles.append(top + lane.rows / 2)
        top += height
    axes.set_xlim(interval.start, interval.end)  # imshow changes the limits
    axes.set_yticks(middles, [lane.label for lane in lanes])
    axes.xaxis.set_major_formatter(lambda seconds, _: format_timecode(max(0.0, seconds)))
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    with warnings.catch_warnings():
        # Characters that the font lacks are drawn as boxes; their text is in the timeline.
        warnings.filterwarnings("ignore", "Glyph")
        try:
            figure.savefig(target, dpi=120)
        except OSError as error:
            raise InputError(target, f"cannot be written ({error.strerror})", "Choose another folder") from error


def _draw_thumbnails(axes: "Axes", lanes: list[Lane], video: VideoInfo, interval: Interval) -> None:
    # Seconds that a 16:9 thumbnail covers; the next one cuts off a wider one.
    room = interval.duration * THUMBNAIL_ROWS * ROW_HEIGHT * 16 / 9 / (WIDTH - LABELS_WIDTH)
    scenes = [scene for scene in spaced_scenes(lanes, room) if interval.start <= scene.start < interval.end]
    try:
        thumbnails = list(extract_thumbnails(local_path(video.source), scenes, height=THUMBNAIL_PIXELS))
    except VideoChatError as error:
        _LOG.warning("No thumbnails: %s", error)
        return
    for scene, thumbnail in zip(scenes, thumbnails, strict=True):
        width = min(room, room * thumbnail.width / thumbnail.height * 9 / 16)
        extent = (scene.start, scene.start + width, -0.2, 0.2 - THUMBNAIL_ROWS)
        axes.imshow(thumbnail, extent=extent, aspect="auto", interpolation="antialiased")


def _draw_bar(axes: "Axes", bar: Bar, color: str, top: float, interval: Interval) -> None:
    from matplotlib.patches import Rectangle

    begin, end = max(bar.start, interval.start), min(bar.end, interval.end)
    width = max(end - begin, interval.duration / 800)  # keeps instantaneous observations visible
    axes.add_patch(Rectangle((begin, top), width, 1, facecolor=color, edgecolor="white"))
    room = int(MAX_CHARACTERS * width / interval.duration) - 1
    if room >= MIN_CHARACTERS:
        axes.text(
            begin + interval.duration / 600,
            top + 0.5,
            bar.text if len(bar.text) <= room else bar.text[: room - 1] + "…",
            color="white",
            fontsize=8,
            va="center",
            clip_on=True,
            parse_math=False,
        )
