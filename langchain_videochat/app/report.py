"""One self-contained page about one video, to send to others."""

import base64
import hashlib
import html
import io
import json
import tempfile
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from langchain_videochat.app.collection import describe_lanes
from langchain_videochat.app.lanes import make_lanes
from langchain_videochat.app.stills import spaced_scenes, take_stills
from langchain_videochat.errors import InputError
from langchain_videochat.media import cut_clip, local_file
from langchain_videochat.text.prompts import visible
from langchain_videochat.timeline import Timeline

if TYPE_CHECKING:
    from PIL.Image import Image

PAGE = Path(__file__).parent / "page"

SCRIPTS = ("lanes.js", "player.js", "transcript.js", "report.js")

STILLS = 200
"""Pictures of scenes, at most: about 1 MB."""

STILL_PIXELS = 108
"""Height of a picture."""


def write_report(timeline: Timeline, output: str | Path, *, show_progress: bool = False) -> Path:
    """Write a page with the video in small, its lanes, what was noticed as text, and a search over it.

    Nothing is fetched when it is read. An hour of slides takes about 10 MB, one of dancing 250 MB.

    Args:
        timeline: What was noticed. Its video must still be where it was.
        output: The file to write or replace, as "report.html".
        show_progress: Show a progress bar.

    Returns:
        `output` as a path.

    Raises:
        SourceError: The video is not there any more.
        MediaError: It cannot be decoded.
        InputError: `output` cannot be written.

    Example:
        Of a video of a store:

            write_report(store.timeline(store.videos()[0].video_id), "report.html")
    """
    target = Path(output)
    with local_file(timeline.video.source) as path:
        page = _page(timeline, _stills(timeline, path), _film(timeline, path, show_progress))
    try:
        target.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(target, f"cannot be written ({error.strerror})", "Choose another folder") from error
    return target


def _page(timeline: Timeline, stills: list[tuple[float, str]], film: str) -> str:
    scripts = [(PAGE / name).read_text(encoding="utf-8") for name in SCRIPTS]
    return Template((PAGE / "report.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(visible(timeline.video.title)),
        policy=_policy(scripts),
        style=(PAGE / "style.css").read_text(encoding="utf-8"),
        data=_as_json({**describe_lanes(timeline), "stills": stills}),
        film=film,
        scripts="".join(f"<script>{script}</script>" for script in scripts),
    )


def _policy(scripts: list[str]) -> str:
    """Allow these scripts alone: what is written or said in a video cannot become one."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; media-src blob:"


def _as_json(value: dict[str, Any]) -> str:
    # "</script>" within a text would end the element.
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def _stills(timeline: Timeline, path: Path) -> list[tuple[float, str]]:
    """Take pictures of scenes, each with the scene's start."""
    scenes = spaced_scenes(make_lanes(timeline), timeline.video.duration / STILLS)
    pictures = take_stills(path, scenes, height=STILL_PIXELS)
    return [(scene.start, _as_uri(picture)) for scene, picture in zip(scenes, pictures, strict=True)]


def _as_uri(picture: "Image") -> str:
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}"


def _film(timeline: Timeline, path: Path, show_progress: bool) -> str:
    with tempfile.TemporaryDirectory(prefix="videochat-") as folder:
        small = Path(folder, "film.mp4")
        cut_clip(path, 0, timeline.video.duration, small, preview=True, show_progress=show_progress)
        return base64.b64encode(small.read_bytes()).decode()
