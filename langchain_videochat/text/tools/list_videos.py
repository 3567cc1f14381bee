"""The tool that lists videos."""

from typing import Any

from langchain_core.tools.base import ArgsSchema
from pydantic import BaseModel, SkipValidation

from langchain_videochat.store import VideoRecord, VideoTimelineStore
from langchain_videochat.text.tools.base import VideoTool, one_line, shorten
from langchain_videochat.utils.timecode import format_timecode
from langchain_videochat.utils.untrusted_text import mark_as_data

MAX_VIDEOS = 100
"""Videos that are listed: about 4,000 tokens. The others can be searched."""

MAX_PROBLEMS_LENGTH = 100
"""Maximum length of the description of a video's damage and failures."""


class ListVideosArguments(BaseModel):
    """No arguments."""


class ListVideosTool(VideoTool):
    """Lists the videos of a store.

    Artifact: a list of `{"video_id", "title", "duration", "source", "damage", "failures"}` for all videos.

    Example:
        >>> from langchain_videochat import VideoTimelineStore
        >>> ListVideosTool(store=VideoTimelineStore()).invoke({})
        'No videos are stored yet.'
    """

    name: str = "list_videos"
    description: str = (
        "List all videos of the collection with their ids, titles and lengths. "
        "Use it to see what is in the collection: which videos, how many and how long, and whether one has been added "
        "yet."
    )
    args_schema: ArgsSchema | None = ListVideosArguments

    store: SkipValidation[VideoTimelineStore]
    """The videos."""

    def _execute(self) -> tuple[str, list[dict[str, Any]]]:
        videos = self.store.videos()
        if not videos:
            return "No videos are stored yet.", []
        lines = [_format(one) for one in videos[:MAX_VIDEOS]]
        content = "Id, length and title:\n" + mark_as_data("\n".join(lines))
        if len(videos) > MAX_VIDEOS:
            content += f"\nand {len(videos) - MAX_VIDEOS} more: search_videos searches all of them."
        return content, [
            {
                "video_id": one.video_id,
                "title": one.title,
                "duration": one.duration,
                "source": one.source,
                "damage": one.damage,
                "failures": one.failures,
            }
            for one in videos
        ]


def _format(video: VideoRecord) -> str:
    line = f"{video.video_id}  {format_timecode(video.duration)}  {one_line(video.title)}"
    problems = "; ".join(one for one in (video.damage, video.failures) if one)
    return f"{line}  (incomplete: {shorten(one_line(problems), MAX_PROBLEMS_LENGTH)})" if problems else line
