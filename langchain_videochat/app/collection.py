"""What the page shows of a store: its videos, their lanes, files and pictures, and what a search finds."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from langchain_videochat.app.lanes import make_lanes
from langchain_videochat.errors import InputError, VideoChatError
from langchain_videochat.media import local_path, thumbnail
from langchain_videochat.store import VideoRecord, VideoTimelineStore
from langchain_videochat.text.agent_files import AgentFiles
from langchain_videochat.text.prompts import visible
from langchain_videochat.timeline import Timeline

UPLOADS = "uploads"

STILL_WIDTH = 192
"""Pixels of a picture's width: twice what the page shows, for screens with small pixels."""

STILLS_KEPT = 2000
"""Pictures that are kept in memory, of about 6 KB each."""

HITS = 6
"""Moments that a search shows."""


class Collection:
    """The videos of a store, of which only those in one folder are opened.

    Args:
        store: Where they are indexed.
        folder: Files are opened here and below only, wherever links lead. Those that are sent are kept in its folder
            "uploads".

    Raises:
        InputError: There is no such folder.
    """

    def __init__(self, store: VideoTimelineStore, folder: Path) -> None:
        self.store = store
        self.uploads = (folder / UPLOADS).absolute()
        self._files = AgentFiles(folder)
        self._still = lru_cache(STILLS_KEPT)(self._take_still)

    def videos(self) -> list[dict[str, Any]]:
        """List the videos, the newest first."""
        return [self._describe(record) for record in reversed(self.store.videos())]

    def lanes(self, video_id: str) -> dict[str, Any]:
        """Tell what was noticed in a video, as `describe_lanes` does.

        Raises:
            InputError: The store has no such video.
        """
        return describe_lanes(self.store.timeline(video_id))

    def path(self, video_id: str) -> Path:
        """Find a video's file.

        Raises:
            InputError: The store has no such video.
            SourceError: Its file is gone, on the web, or outside of the folder.
        """
        return self._locate(self._record(video_id))

    def still(self, video_id: str, time: float) -> bytes:
        """Take a picture of a moment, as JPEG.

        Args:
            video_id: Of a video of the store.
            time: Seconds; the last picture if that is after the end.

        Raises:
            InputError: The store has no such video, or the time is negative.
            SourceError: Its file is gone, on the web, or outside of the folder.
            MediaError: The file cannot be decoded.
        """
        return self._still(video_id, round(time, 1))

    def remove(self, video_id: str) -> None:
        """Take a video out of the store; its file too if it was sent to the page.

        Raises:
            InputError: The store has no such video.
        """
        path = Path(self._record(video_id).source)
        self.store.remove(video_id)
        if path.parent == self.uploads:
            path.unlink(missing_ok=True)

    def search(self, query: str, video_id: str | None) -> list[dict[str, Any]]:
        """Find moments, best first.

        Raises:
            InputError: There is no query.
        """
        found = self.store.search(query, HITS, video_id=video_id)
        return [
            {
                "video_id": one.metadata["video_id"],
                "title": visible(one.metadata["title"]),
                "start": one.metadata["start"],
                "end": one.metadata["end"],
                # The first line is the title.
                "text": visible(one.page_content).partition("\n")[2],
            }
            for one in found
        ]

    def _take_still(self, video_id: str, time: float) -> bytes:
        record = self._record(video_id)
        return thumbnail(self._locate(record), min(time, record.duration), width=STILL_WIDTH)

    def _locate(self, record: VideoRecord) -> Path:
        return self._files.locate(str(local_path(record.source)))

    def _record(self, video_id: str) -> VideoRecord:
        for record in self.store.videos():
            if record.video_id == video_id:
                return record
        raise InputError("video", f"{video_id!r} is not in the store any more", "Reload the page")

    def _describe(self, record: VideoRecord) -> dict[str, Any]:
        return {
            "video_id": record.video_id,
            "title": visible(record.title),
            "duration": record.duration,
            "observations": record.observations,
            "failures": record.failures,
            "unplayable": self._why_unplayable(record),
        }

    def _why_unplayable(self, record: VideoRecord) -> str | None:
        try:
            self._locate(record)
        except VideoChatError as error:
            return str(error)
        return None


def describe_lanes(timeline: Timeline) -> dict[str, Any]:
    """Make of a timeline what the page and the report draw.

    Returns:
        `video_id`, `title`, `duration` in seconds, and `lanes`, each with its fields and `rows`; of a bar, start, end,
        row and text in this order.
    """
    return {
        "video_id": timeline.video_id,
        "title": visible(timeline.video.title),
        "duration": timeline.video.duration,
        "lanes": [
            {
                "modality": lane.modality,
                "label": lane.label,
                "color": lane.color,
                "rows": lane.rows,
                "bars": [(bar.start, bar.end, bar.row, bar.text) for bar in lane.bars],
            }
            for lane in make_lanes(timeline)
        ],
    }
