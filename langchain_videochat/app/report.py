"""A self-contained HTML report of one video."""

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
from langchain_videochat.app.thumbnails import extract_thumbnails, spaced_scenes
from langchain_videochat.errors import InputError
from langchain_videochat.media import cut_clip, local_file
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.untrusted_text import strip_invisible

if TYPE_CHECKING:
    from PIL.Image import Image

PAGE = Path(__file__).parent / "page"

SCRIPTS = ("lanes.js", "player.js", "transcript.js", "report.js")
"""Scripts shared with the page. They are plain scripts, not modules, so that a report can inline them."""

MAX_THUMBNAILS = 200
"""Thumbnails of scenes: about 1 MB."""

THUMBNAIL_PIXELS = 108
"""Height of the thumbnails in pixels."""


def write_report(timeline: Timeline, output: str | Path, *, show_progress: bool = False) -> Path:
    """Write an HTML file with the video as a small preview, its lanes, its text and a search field.

    The file loads nothing from the network. It takes about 10 MB per hour of slides, and 250 MB per hour of dancing.

    Args:
        timeline: The timeline. Its video file must still exist.
        output: The file to write or overwrite, for example "report.html".
        show_progress: Show a progress bar.

    Returns:
        `output` as a path.

    Raises:
        SourceError: The video file is missing.
        MediaError: The video cannot be decoded.
        InputError: `output` cannot be written.

    Example:
        Write a report of a video in a store:

            write_report(store.timeline(store.videos()[0].video_id), "report.html")
    """
    target = Path(output)
    with local_file(timeline.video.source) as path:
        page = _render(timeline, _encode_thumbnails(timeline, path), _encode_preview(timeline, path, show_progress))
    try:
        target.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(target, f"cannot be written ({error.strerror})", "Choose another folder") from error
    return target


def _render(timeline: Timeline, thumbnails: list[tuple[float, str]], preview: str) -> str:
    scripts = [(PAGE / name).read_text(encoding="utf-8") for name in SCRIPTS]
    return Template((PAGE / "report.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(strip_invisible(timeline.video.title)),
        policy=_content_security_policy(scripts),
        style=(PAGE / "style.css").read_text(encoding="utf-8"),
        data=_to_json({**describe_lanes(timeline), "thumbnails": thumbnails}),
        preview=preview,
        scripts="".join(f"<script>{script}</script>" for script in scripts),
    )


def _content_security_policy(scripts: list[str]) -> str:
    """Allow these scripts only, so that no text from a video can run as one."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; media-src blob:"


def _to_json(value: dict[str, Any]) -> str:
    # A "</script>" in a text would end the element.
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def _encode_thumbnails(timeline: Timeline, path: Path) -> list[tuple[float, str]]:
    """Return pairs of a scene's start and its thumbnail as a data URI."""
    scenes = spaced_scenes(make_lanes(timeline), timeline.video.duration / MAX_THUMBNAILS)
    thumbnails = extract_thumbnails(path, scenes, height=THUMBNAIL_PIXELS)
    return [(scene.start, _to_data_uri(one)) for scene, one in zip(scenes, thumbnails, strict=True)]


def _to_data_uri(picture: "Image") -> str:
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}"


def _encode_preview(timeline: Timeline, path: Path, show_progress: bool) -> str:
    # Re-encoded, as every browser must be able to play it, and the file must be small enough to share.
    with tempfile.TemporaryDirectory(prefix="videochat-") as folder:
        preview = Path(folder, "preview.mp4")
        cut_clip(path, 0, timeline.video.duration, preview, preview=True, show_progress=show_progress)
        return base64.b64encode(preview.read_bytes()).decode()
