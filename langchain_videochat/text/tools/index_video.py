"""The tool that indexes a new video."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from langchain_core.tools.base import ArgsSchema
from pydantic import BaseModel, Field, SkipValidation

from langchain_videochat.media import VideoInfo, probe, video_id
from langchain_videochat.media.sources import is_web_address
from langchain_videochat.perception import PerceptionCallbacks, load_profile, perceive
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.agent_files import AgentFiles
from langchain_videochat.text.prompts import mark_as_data
from langchain_videochat.text.tools.base import VideoTool
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.timecode import format_seconds, format_timecode


class IndexVideoArguments(BaseModel):
    """The file to index."""

    source: str = Field(
        description="The video file: a path relative to the folder that you can access, or a web address if allowed."
    )


class IndexVideoTool(VideoTool):
    """Perceives a new video and stores its timeline for the other tools.

    Artifact: `{"video_id", "title", "duration", "source", "observations", "status", "problems"}`. `status` is
    "indexed", or "skipped" if the same content is already stored; `problems` lists perceivers that failed and seconds
    of video that could not be read.

    Example:
        As one of the tools of `VideoChatToolkit`, or alone:

            tool = IndexVideoTool(store=store, files=AgentFiles(Path("videos")), profile="lite")
            tool.invoke({"source": "talk.mp4"})
    """

    name: str = "index_video"
    description: str = (
        "Index a new video file, so that it can be searched, read and viewed. "
        "May take as long as the video lasts. Not needed for videos that list_videos returns."
    )
    args_schema: ArgsSchema | None = IndexVideoArguments

    store: SkipValidation[VideoTimelineStore]
    """The store that the video is added to."""

    files: AgentFiles
    """The files that may be opened."""

    profile: str | Path = "standard"
    """Perception models to use: "lite" (no downloads), "standard", "full", or a YAML file."""

    def _execute(self, source: str) -> tuple[str, dict[str, Any]]:
        location = source if is_web_address(source) else str(self.files.locate(source))
        self._report_progress(0.0, "opening")
        with self.files.local_file(location) as path:
            content_id = video_id(path)
            stored = next((one for one in self.store.videos() if one.video_id == content_id), None)
            if stored is not None:
                return format_result(stored.video, content_id, stored.observations, "skipped", [])
            timeline, problems = self._perceive(path, replace(probe(path), source=location), content_id)
        self.store.add(timeline, "" if problems else load_profile(self.profile).name)
        self._report_progress(1.0, "stored")
        return format_result(timeline.video, content_id, len(timeline), "indexed", problems)

    def _perceive(self, path: Path, video: VideoInfo, content_id: str) -> tuple[Timeline, list[str]]:
        problems: list[str] = []
        callbacks = PerceptionCallbacks(
            progress=self._progress_callback(video.duration),
            damage=lambda missing: problems.append(f"{format_seconds(missing)} s could not be read"),
            failure=lambda failure: problems.append(str(failure)),
        )
        return Timeline.of(video, content_id, perceive(path, self.profile, callbacks=callbacks)), problems

    def _progress_callback(self, duration: float) -> Callable[[float], None]:
        last_percent = 0

        def report(time: float) -> None:
            # Perception reports every frame; one message per percent is enough.
            nonlocal last_percent
            percent = int(100 * min(time / duration, 1)) if duration else 100
            if percent > last_percent:
                last_percent = percent
                message = f"{format_seconds(time)} of {format_seconds(duration)} s processed"
                self._report_progress(min(percent / 100, 0.99), message)

        return report


def format_result(
    video: VideoInfo, content_id: str, observations: int, status: Literal["indexed", "skipped"], problems: list[str]
) -> tuple[str, dict[str, Any]]:
    """Return the content and the artifact for a video."""
    data = {"video_id": content_id, "title": video.title, "duration": video.duration, "source": video.source}
    outcome = "The video is now stored." if status == "indexed" else "The video was already stored."
    lines = [f"{content_id}  {format_timecode(video.duration)}  {video.title}", f"{observations} observations"]
    content = f"{outcome} Its id, length and title:\n" + mark_as_data("\n".join([*lines, *problems]))
    return content, data | {"observations": observations, "status": status, "problems": problems}
