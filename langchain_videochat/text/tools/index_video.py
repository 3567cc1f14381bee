"""The tool that takes in a new video."""

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
    """Which file."""

    source: str = Field(
        description="The video file: a path relative to the folder that is open to you, or a web address where allowed."
    )


class IndexVideoTool(VideoTool):
    """Perceives a new video and stores its timeline, so that the other tools can work on it.

    Artifact: `{"video_id", "title", "duration", "source", "observations", "status", "problems"}`. `status` is
    "indexed", or "skipped" where the same content is stored already; `problems` names perceivers that failed, and how
    much could not be read.

    Example:
        As one of the tools of `VideoChatToolkit`, or alone:

            tool = IndexVideoTool(store=store, files=AgentFiles(Path("videos")), profile="lite")
            tool.invoke({"source": "talk.mp4"})
    """

    name: str = "index_video"
    description: str = (
        "Take in a new video file, so that it can be searched, read and looked at. "
        "May take as long as the video lasts. Not needed for videos that list_videos names."
    )
    args_schema: ArgsSchema | None = IndexVideoArguments

    store: SkipValidation[VideoTimelineStore]
    """Where the video is stored."""

    files: AgentFiles
    """Which files may be opened."""

    profile: str | Path = "standard"
    """Which models look and listen; "lite" needs no downloaded weights, a YAML file names your own."""

    def _answer(self, source: str) -> tuple[str, dict[str, Any]]:
        place = source if is_web_address(source) else str(self.files.locate(source))
        self._report(0.0, "opening")
        with self.files.opened(place) as path:
            identity = video_id(path)
            stored = next((one for one in self.store.videos() if one.video_id == identity), None)
            if stored is not None:
                return describe(stored.video, identity, stored.observations, "skipped", [])
            timeline, problems = self._perceive(path, replace(probe(path), source=place), identity)
        self.store.add(timeline, "" if problems else load_profile(self.profile).name)
        self._report(1.0, "stored")
        return describe(timeline.video, identity, len(timeline), "indexed", problems)

    def _perceive(self, path: Path, video: VideoInfo, identity: str) -> tuple[Timeline, list[str]]:
        problems: list[str] = []
        listener = PerceptionCallbacks(
            progress=self._progress(video.duration),
            damage=lambda missing: problems.append(f"{format_seconds(missing)} s could not be read"),
            failure=lambda failure: problems.append(str(failure)),
        )
        return Timeline.of(video, identity, perceive(path, self.profile, listener=listener)), problems

    def _progress(self, duration: float) -> Callable[[float], None]:
        told = 0

        def reach(time: float) -> None:
            nonlocal told
            percent = int(100 * min(time / duration, 1)) if duration else 100
            # Perception reports every frame, and nobody reads as fast.
            if percent > told:
                told = percent
                self._report(
                    min(percent / 100, 0.99), f"{format_seconds(time)} of {format_seconds(duration)} s perceived"
                )

        return reach


def describe(
    video: VideoInfo, identity: str, observations: int, status: Literal["indexed", "skipped"], problems: list[str]
) -> tuple[str, dict[str, Any]]:
    """Tell what became of a video, in words and as data."""
    known = {"video_id": identity, "title": video.title, "duration": video.duration, "source": video.source}
    first = "The video is stored now." if status == "indexed" else "The video was stored already."
    lines = [f"{identity}  {format_timecode(video.duration)}  {video.title}", f"{observations} observations", *problems]
    content = f"{first} Its id, length and title:\n" + mark_as_data("\n".join(lines))
    return content, known | {"observations": observations, "status": status, "problems": problems}
