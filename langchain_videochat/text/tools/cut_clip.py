"""The tool that cuts clips."""

from pathlib import Path
from typing import Any

from langchain_core.tools.base import ArgsSchema
from pydantic import BaseModel, Field, SkipValidation

from langchain_videochat.errors import InputError
from langchain_videochat.media import cut_clip
from langchain_videochat.media.sources import safe_name
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.agent_files import AgentFiles
from langchain_videochat.text.prompts import mark_as_data
from langchain_videochat.text.tools.arguments import VIDEO, Time, find_video, to_stretch
from langchain_videochat.text.tools.base import VideoTool, opened_video, timecode_range
from langchain_videochat.timeline import citation
from langchain_videochat.utils.timecode import format_seconds


class CutClipArguments(BaseModel):
    """What to cut, and where to put it."""

    video_id: str = Field(description=VIDEO)
    start: Time = Field(description="Where the clip begins, in seconds or as mm:ss.")
    end: Time = Field(description="Where the clip ends, in seconds or as mm:ss.")
    filename: str | None = Field(
        None, description="Name of the new file: .mp4, .mkv, .webm or .gif. Leave out to have it named after the video."
    )


class CutClipTool(VideoTool):
    """Writes a stretch of a video as a file of its own; never replaces a file.

    Artifact: `{"path", "video_id", "start", "end", "citation"}`, times in seconds and the citation of the original.

    Example:
        As one of the tools of `VideoChatToolkit`, or alone:

            tool = CutClipTool(store=store, files=AgentFiles(Path("videos")))
            tool.invoke({"video_id": "c0ffee", "start": "01:07", "end": 72, "filename": "whisking.mp4"})
    """

    name: str = "cut_clip"
    description: str = "Cut a stretch out of a video and write it as a new file. Returns the path of that file."
    args_schema: ArgsSchema | None = CutClipArguments

    store: SkipValidation[VideoTimelineStore]
    """Where the videos are."""

    files: AgentFiles
    """Which files may be read, and the folder in which clips are written."""

    def _answer(self, video_id: str, start: Time, end: Time, filename: str | None = None) -> tuple[str, dict[str, Any]]:
        video = find_video(self.store.videos(), video_id)
        low, high = to_stretch(video.video, start, end)
        name = filename or f"{safe_name(video.title)} {format_seconds(low)}-{format_seconds(high)}.mp4"
        target = self.files.locate(name)
        self._report(0.0, f"cutting {format_seconds(high - low)} s")
        with opened_video(self.files, video) as path:
            write_new(path, low, high, target)
        self._report(1.0, "written")
        place = citation(video.source, low, high)
        content = f"{timecode_range(low, high)} was written as this file:\n{mark_as_data(str(target))}"
        return content, {"path": str(target), "video_id": video.video_id, "start": low, "end": high, "citation": place}


def write_new(source: Path, start: float, end: float, target: Path) -> None:
    """Cut a clip into a file that was not there before.

    Raises:
        InputError: The file is there already, or cannot be written.
        MediaError: The source cannot be decoded.
    """
    try:
        # Two agents, or two calls of one, may choose the same name at the same time: only one can make the file.
        target.open("xb").close()
    except FileExistsError as error:
        raise InputError(target.name, "this file exists already", "Choose another filename") from error
    except (OSError, ValueError) as error:
        raise InputError(target.name, f"cannot be written ({error})", "Choose another filename") from error
    try:
        cut_clip(source, start, end, target, overwrite=True)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
