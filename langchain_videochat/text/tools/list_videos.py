"""The tool that lists videos."""

from typing import Any

from langchain_core.tools.base import ArgsSchema
from pydantic import BaseModel, SkipValidation

from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.prompts import mark_as_data
from langchain_videochat.text.tools.base import VideoTool, one_line
from langchain_videochat.utils.timecode import format_timecode

LISTED_VIDEOS = 100
"""Videos that are listed: about 4,000 tokens. Search finds the others."""


class ListVideosArguments(BaseModel):
    """None."""


class ListVideosTool(VideoTool):
    """Lists the videos of a store.

    Artifact: a list of `{"video_id", "title", "duration", "source"}`, of all videos.

    Example:
        >>> from langchain_videochat import VideoTimelineStore
        >>> ListVideosTool(store=VideoTimelineStore()).invoke({})
        'No videos are stored yet.'
    """

    name: str = "list_videos"
    description: str = "List the videos that can be searched and read, each with its id, its length and its title."
    args_schema: ArgsSchema | None = ListVideosArguments

    store: SkipValidation[VideoTimelineStore]
    """Where the videos are."""

    def _answer(self) -> tuple[str, list[dict[str, Any]]]:
        videos = self.store.videos()
        if not videos:
            return "No videos are stored yet.", []
        lines = [
            f"{one.video_id}  {format_timecode(one.duration)}  {one_line(one.title)}" for one in videos[:LISTED_VIDEOS]
        ]
        content = "Id, length and title:\n" + mark_as_data("\n".join(lines))
        if len(videos) > LISTED_VIDEOS:
            content += f"\nand {len(videos) - LISTED_VIDEOS} more: search_videos looks in all of them."
        return content, [
            {"video_id": one.video_id, "title": one.title, "duration": one.duration, "source": one.source}
            for one in videos
        ]
