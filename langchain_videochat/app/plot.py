"""The lanes of a timeline as a picture."""

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_videochat.app.lanes import Bar, Lane, make_lanes
from langchain_videochat.app.stills import spaced_scenes, take_stills
from langchain_videochat.errors import InputError, VideoChatError
from langchain_videochat.media import VideoInfo, local_path
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.optional_dependencies import require_extra
from langchain_videochat.utils.timecode import format_timecode

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ENDINGS = (".png", ".svg", ".pdf")

WIDTH = 14.0
"""Inches of the picture."""

ROW = 0.26
"""Inches that a row of bars is high."""

STILL_ROWS = 4
"""Rows that the pictures of the scenes are high."""

STILL_PIXELS = 160

LABELS_WIDTH = 1.0
"""Inches that the names of the lanes take."""

GAP = 0.5
"""Rows between lanes."""

LETTERS = 200
"""Letters that fit side by side: a bar shows as much of its text as it has room for."""

_LOG = logging.getLogger(__name__)


def draw_timeline(timeline: Timeline, output: str | Path, *, start: float = 0.0, end: float | None = None) -> Path:
    """Draw what was noticed in a video as swim lanes, one a modality, with pictures of its scenes.

    Args:
        timeline: What to draw.
        output: The file to write or replace: .png, .svg or .pdf.
        start: Seconds at the left end.
        end: Seconds at the right end; the end of the video if None.

    Returns:
        `output` as a path.

    Raises:
        InputError: Nothing was noticed, or `output` has another ending or cannot be written.
        ModelUnavailableError: matplotlib is not installed.

    Example:
        Draw a video of a store:

            draw_timeline(store.timeline(store.videos()[0].video_id), "lanes.png")
    """
    target = Path(output)
    if target.suffix.lower() not in ENDINGS:
        raise InputError(target, "a picture of this kind is not drawn", f"Use one of {', '.join(ENDINGS)}")
    require_extra("app", "a picture of a timeline")
    lanes = make_lanes(timeline)
    if not lanes:
        raise InputError(timeline.video.title, "nothing was noticed in it", "Choose a longer stretch or another video")
    _draw(timeline, lanes, (start, end or timeline.video.duration), target)
    return target


def _draw(timeline: Timeline, lanes: list[Lane], stretch: tuple[float, float], target: Path) -> None:
    from matplotlib.figure import Figure

    heights = [lane.rows + GAP for lane in lanes]
    figure = Figure(figsize=(WIDTH, ROW * (STILL_ROWS + sum(heights)) + 1), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=stretch, ylim=(sum(heights), -STILL_ROWS), title=timeline.video.title)
    axes.title.set_parse_math(False)
    _draw_stills(axes, lanes, timeline.video, stretch)
    top = 0.0
    middles = []
    for lane, height in zip(lanes, heights, strict=True):
        for bar in lane.bars:
            _draw_bar(axes, bar, lane.color, top + bar.row, stretch)
        middles.append(top + lane.rows / 2)
        top += height
    axes.set_yticks(middles, [lane.label for lane in lanes])
    axes.xaxis.set_major_formatter(lambda seconds, _: format_timecode(max(0.0, seconds)))
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    with warnings.catch_warnings():
        # Of a letter that the font lacks, a box is drawn; the text is in the timeline.
        warnings.filterwarnings("ignore", "Glyph")
        try:
            figure.savefig(target, dpi=120)
        except OSError as error:
            raise InputError(target, f"cannot be written ({error.strerror})", "Choose another folder") from error


def _draw_stills(axes: "Axes", lanes: list[Lane], video: VideoInfo, stretch: tuple[float, float]) -> None:
    length = stretch[1] - stretch[0]
    # A picture of 16:9 takes this much of the width; a wider one is cut off by the next.
    room = length * STILL_ROWS * ROW * 16 / 9 / (WIDTH - LABELS_WIDTH)
    scenes = [scene for scene in spaced_scenes(lanes, room) if scene.start >= stretch[0]]
    try:
        pictures = list(take_stills(local_path(video.source), scenes, height=STILL_PIXELS))
    except VideoChatError as error:
        _LOG.warning("No pictures of scenes: %s", error)
        return
    for scene, picture in zip(scenes, pictures, strict=True):
        width = min(room, room * picture.width / picture.height * 9 / 16)
        extent = (scene.start, scene.start + width, -0.2, 0.2 - STILL_ROWS)
        axes.imshow(picture, extent=extent, aspect="auto", interpolation="antialiased")
    axes.set(xlim=stretch)


def _draw_bar(axes: "Axes", bar: Bar, color: str, top: float, stretch: tuple[float, float]) -> None:
    from matplotlib.patches import Rectangle

    length = stretch[1] - stretch[0]
    begin, end = max(bar.start, stretch[0]), min(bar.end, stretch[1])
    # What holds for an instant is seen too.
    width = max(end - begin, length / 800)
    axes.add_patch(Rectangle((begin, top), width, 1, facecolor=color, edgecolor="white"))
    letters = int(LETTERS * width / length) - 1
    if letters > 2:  # noqa: PLR2004 - less tells nothing
        text = bar.text if len(bar.text) <= letters else bar.text[: letters - 1] + "…"
        axes.text(
            begin + length / 600,
            top + 0.5,
            text,
            color="white",
            fontsize=8,
            va="center",
            clip_on=True,
            parse_math=False,
        )
