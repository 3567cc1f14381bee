"""The tool that writes a report."""

from dataclasses import replace
from typing import Any

from langchain_core.tools.base import ArgsSchema
from pydantic import BaseModel, Field, SkipValidation

from langchain_videochat.app.report import write_report
from langchain_videochat.errors import InputError
from langchain_videochat.media.sources import safe_file_name
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.agent_files import AgentFiles
from langchain_videochat.text.tools.arguments import VIDEO, find_video
from langchain_videochat.text.tools.base import VideoTool, open_stored_video
from langchain_videochat.utils.untrusted_text import mark_as_data, strip_invisible


class WriteReportArguments(BaseModel):
    """A video, and the name of the new file."""

    video_id: str = Field(description=VIDEO)
    filename: str | None = Field(None, description="Name of the new file: .html. Omit to name it after the video.")


class WriteReportTool(VideoTool):
    """Writes a report of a video, as `write_report`, into a new file; never overwrites a file.

    Artifact: `{"path", "video_id"}`.

    Example:
        Alone, or as one of the tools of `VideoTools`:

            tool = WriteReportTool(store=store, files=AgentFiles(Path("videos")))
            tool.invoke({"video_id": "c0ffee", "filename": "talk.html"})
    """

    name: str = "write_report"
    description: str = (
        "Write a report for people: one HTML file with a preview of the video, its timeline, its text and a search "
        "field. Takes minutes for a long video. Returns the path of the file."
    )
    args_schema: ArgsSchema | None = WriteReportArguments

    store: SkipValidation[VideoTimelineStore]
    """The videos."""

    files: AgentFiles
    """The files that may be read, and the folder for new reports."""

    def _execute(self, video_id: str, filename: str | None = None) -> tuple[str, dict[str, Any]]:
        video = find_video(self.store.videos(), video_id)
        name = filename or f"{safe_file_name(strip_invisible(video.title))}.html"
        if not name.lower().endswith(".html"):
            raise InputError(name, "is not the name of an HTML file", "Choose a filename that ends with .html")
        target = self.files.locate_new(name)
        timeline = self.store.timeline(video.video_id)
        self._report_progress(0.0, "writing")
        with open_stored_video(self.files, video) as path, self.files.create(target) as report:
            write_report(replace(timeline, video=replace(timeline.video, source=str(path))), report)
        self._report_progress(1.0, "saved")
        content = f"The report was saved as:\n{mark_as_data(str(target))}"
        return content, {"path": str(target), "video_id": video.video_id}
