"""The tool that cuts clips."""

from typing import Any

from langchain_core.tools.base import ArgsSchema
from pydantic import BaseModel, Field, SkipValidation

from langchain_videochat.media.clips import write_clip
from langchain_videochat.media.sources import safe_file_name
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.agent_files import AgentFiles
from langchain_videochat.text.tools.arguments import VIDEO, Time, find_video, parse_interval
from langchain_videochat.text.tools.base import VideoTool, format_interval, interval_artifact, open_stored_video
from langchain_videochat.utils.timecode import format_seconds
from langchain_videochat.utils.untrusted_text import mark_as_data, strip_invisible


class CutClipArguments(BaseModel):
    """A part of a video, and the name of the new file."""

    video_id: str = Field(description=VIDEO)
    start: Time = Field(description="Start of the clip, in seconds or as mm:ss.")
    end: Time = Field(description="End of the clip, in seconds or as mm:ss.")
    filename: str | None = Field(
        None, description="Name of the new file: .mp4, .mkv, .webm or .gif. Omit to name it after the video."
    )


class CutClipTool(VideoTool):
    """Cuts a clip from a video into a new file; never overwrites a file.

    Artifact: `{"path", "video_id", "start", "end", "citation"}`: times in seconds, and a citation of the original.

    Example:
        As one of the tools of `VideoChatToolkit`, or alone:

            tool = CutClipTool(store=store, files=AgentFiles(Path("videos")))
            tool.invoke({"video_id": "c0ffee", "start": "01:07", "end": 72, "filename": "whisking.mp4"})
    """

    name: str = "cut_clip"
    description: str = (
        "Cut a clip from a video, or trim the video, and save it as a new file. "
        "Use it to extract an excerpt to keep or to send. Returns the path of the file."
    )
    args_schema: ArgsSchema | None = CutClipArguments

    store: SkipValidation[VideoTimelineStore]
    """The videos."""

    files: AgentFiles
    """The files that may be read, and the folder for new clips."""

    def _execute(
        self, video_id: str, start: Time, end: Time, filename: str | None = None
    ) -> tuple[str, dict[str, Any]]:
        video = find_video(self.store.videos(), video_id)
        interval = parse_interval(start, end, video.duration)
        first, last = format_seconds(interval.start), format_seconds(interval.end)
        target = self.files.locate_new(filename or f"{safe_file_name(strip_invisible(video.title))} {first}-{last}.mp4")
        self._report_progress(0.0, f"cutting {format_seconds(interval.duration)} s")
        with open_stored_video(self.files, video) as path, self.files.create(target) as clip:
            write_clip(path, interval.start, interval.end, clip)
        self._report_progress(1.0, "saved")
        content = f"{format_interval(interval)} was saved as:\n{mark_as_data(str(target))}"
        return content, {"path": str(target), **interval_artifact(video.video, video.video_id, interval)}
