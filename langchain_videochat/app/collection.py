"""The data that the page shows: the videos of a store, their lanes, files and thumbnails, and search results."""

from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from langchain_core.documents import Document

from langchain_videochat.app.lanes import make_lanes
from langchain_videochat.errors import InputError, MediaError, VideoChatError
from langchain_videochat.media import isolated_media, local_path, read_picture, thumbnail
from langchain_videochat.media.sources import file_path, is_remote_address
from langchain_videochat.perception.visual_models import FRAME_SIZE
from langchain_videochat.store import VideoRecord, VideoTimelineStore
from langchain_videochat.text.agent_files import AgentFiles
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.untrusted_text import strip_invisible

UPLOADS = "uploads"

THUMBNAIL_WIDTH = 192
"""Width in pixels: twice what the page shows, for high-density screens."""

MAX_CACHED_THUMBNAILS = 2000
"""Thumbnails in memory, about 6 KB each."""

MAX_HITS = 6
"""Moments in a search result."""


class Collection:
    """The videos of a store, with files served from one folder only.

    Args:
        store: The store of the videos.
        folder: Only files in this folder and its subfolders are opened, after symbolic links are resolved. Uploads are
            saved in its subfolder "uploads".

    Raises:
        InputError: The folder does not exist.
    """

    def __init__(self, store: VideoTimelineStore, folder: Path) -> None:
        self.store = store
        self.uploads = (folder / UPLOADS).absolute()
        self._files = AgentFiles(folder)
        self._cached_thumbnail = lru_cache(MAX_CACHED_THUMBNAILS)(self._make_thumbnail)

    def videos(self) -> list[dict[str, Any]]:
        """List the videos, newest first."""
        return [self._describe(record) for record in reversed(self.store.videos())]

    def lanes(self, video_id: str) -> dict[str, Any]:
        """Return the lanes of a video, as `describe_lanes` does.

        Raises:
            InputError: The video is not in the store.
        """
        return describe_lanes(self.store.timeline(video_id))

    def path(self, video_id: str) -> Path:
        """Return the path of a video's file.

        Raises:
            InputError: The video is not in the store.
            SourceError: The file is missing, on the web, or outside of the folder.
        """
        return self._locate(self._record(video_id))

    def thumbnail(self, video_id: str, time: float) -> bytes:
        """Return the frame at a time as JPEG.

        Args:
            video_id: Id of a video in the store.
            time: Seconds; the last frame if this is after the end.

        Raises:
            InputError: The video is not in the store, or the time is negative.
            SourceError: The file is missing, on the web, or outside of the folder.
            MediaError: The file cannot be decoded.
        """
        return self._cached_thumbnail(video_id, round(time, 1))

    def remove(self, video_id: str) -> None:
        """Remove a video from the store, and delete its file if it was uploaded.

        Raises:
            InputError: The video is not in the store.
        """
        sources = self._record(video_id).sources
        self.store.remove(video_id)
        for path in (Path(file_path(one.address)) for one in sources if not is_remote_address(one.address)):
            if path.parent == self.uploads:
                path.unlink(missing_ok=True)

    def search(self, query: str, video_id: str | None) -> list[dict[str, Any]]:
        """Search for moments, best first. `start` and `end` are those of what matches best in the moment.

        Raises:
            InputError: The query is empty.
        """
        return [_describe_hit(hit) for hit in self.store.search(query, MAX_HITS, video_id=video_id)]

    def search_picture(self, picture: bytes, video_id: str | None) -> list[dict[str, Any]]:
        """Search for moments that look like a picture, given as the content of its file, as `search` does.

        Raises:
            InputError: It is not a picture.
            ModelUnavailableError: The visual model of the store is not on this machine.
        """
        from PIL import Image

        with TemporaryDirectory() as folder:
            uploaded, decoded = Path(folder, "uploaded"), Path(folder, "decoded.png")
            uploaded.write_bytes(picture)
            try:
                with isolated_media():
                    pixels = read_picture(uploaded, size=FRAME_SIZE)
            except MediaError as error:
                raise InputError("picture", error.problem, error.advice) from error
            Image.fromarray(pixels).save(decoded)
            return [_describe_hit(hit) for hit in self.store.search(k=MAX_HITS, image=decoded, video_id=video_id)]

    def search_similar(self, frame: tuple[str, float], video_id: str | None) -> list[dict[str, Any]]:
        """Search for moments that look like the frame of a video at a time in seconds, as `search` does.

        Raises:
            InputError: The frame was not embedded.
        """
        return [_describe_hit(hit) for hit in self.store.search(k=MAX_HITS, like=frame, video_id=video_id)]

    def _make_thumbnail(self, video_id: str, time: float) -> bytes:
        record = self._record(video_id)
        with isolated_media():
            return thumbnail(self._locate(record), min(time, record.duration), width=THUMBNAIL_WIDTH)

    def _locate(self, record: VideoRecord) -> Path:
        return self._files.locate(str(local_path(record.source)))

    def _record(self, video_id: str) -> VideoRecord:
        for record in self.store.videos():
            if record.video_id == video_id:
                return record
        raise InputError("video", f"{video_id!r} is no longer in the store", "Reload the page")

    def _describe(self, record: VideoRecord) -> dict[str, Any]:
        unplayable = None
        try:
            self._locate(record)
        except VideoChatError as error:
            unplayable = str(error)
        return {
            "video_id": record.video_id,
            "title": strip_invisible(record.title),
            "duration": record.duration,
            "observations": record.observations,
            "damage": record.damage,
            "failures": record.failures,
            "unplayable": unplayable,
        }


def _describe_hit(hit: Document) -> dict[str, Any]:
    data = hit.metadata
    return {
        "video_id": data["video_id"],
        "title": strip_invisible(data["title"]),
        "start": data["hit_start"],
        "end": data["hit_end"],
        "has_frames": "visual" in data["modalities"].split(","),
        # The first line is the title.
        "text": strip_invisible(hit.page_content).partition("\n")[2],
    }


def describe_lanes(timeline: Timeline) -> dict[str, Any]:
    """Convert a timeline to the JSON that the scripts of the page and the report draw.

    Returns:
        `video_id`, `title`, `duration` in seconds, `has_frames` (whether frames were embedded), and `lanes`: each with
        `modality`, `label`, `color`, `has_thumbnails`, `rows`, and `bars` as lists of start, end, row and text.
    """
    return {
        "video_id": timeline.video_id,
        "title": strip_invisible(timeline.video.title),
        "duration": timeline.video.duration,
        "has_frames": any(one.modality == "visual" for one in timeline),
        "lanes": [
            vars(lane)
            | {
                "has_thumbnails": lane.has_thumbnails,
                "rows": lane.rows,
                "bars": [(bar.start, bar.end, bar.row, bar.text) for bar in lane.bars],
            }
            for lane in make_lanes(timeline)
        ],
    }
