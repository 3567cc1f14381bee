"""The tool that indexes a new video."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from langchain_core.tools.base import ArgsSchema
from pydantic import BaseModel, Field, SkipValidation

from langchain_videochat.errors import VideoChatError
from langchain_videochat.media import Damage, VideoInfo, local_path, probe, video_id
from langchain_videochat.media.sources import is_web_address
from langchain_videochat.media.subtitles.sidecar_fingerprint import sidecar_fingerprint
from langchain_videochat.perception import PerceptionCallbacks, load_profile, perceive
from langchain_videochat.store import VideoRecord, VideoTimelineStore
from langchain_videochat.store.index_report import describe_ignored_sidecars
from langchain_videochat.store.provenance import describe_damage
from langchain_videochat.text.agent_files import AgentFiles
from langchain_videochat.text.tools.base import VideoTool, one_line, shorten
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.timecode import format_seconds, format_timecode
from langchain_videochat.utils.untrusted_text import mark_as_data

MAX_RESULT_LENGTH = 4000
"""Characters of the result: a file can have any number of problems."""


class IndexVideoArguments(BaseModel):
    """The file to index."""

    source: str = Field(
        description="The video file: a path relative to the folder that you can access, or a web address if allowed."
    )


class IndexVideoTool(VideoTool):
    """Perceives a new video and stores its timeline for the other tools.

    Artifact: `{"video_id", "title", "duration", "source", "observations", "status", "problems"}`. `status` is
    "indexed", or "skipped" if the same content is already stored and its subtitle files have not changed; `problems`
    lists what could not be read of the file, and perceivers that failed.

    Example:
        As one of the tools of `VideoChatToolkit`, or alone:

            tool = IndexVideoTool(store=store, files=AgentFiles(Path("videos")), profile="lite")
            tool.invoke({"source": "talk.mp4"})
    """

    name: str = "index_video"
    description: str = (
        "Add a new video file to the collection: process it to make it searchable, so that it can be read, viewed and "
        "asked about. "
        "Use it for files that list_videos does not return, for a web address to download if that is allowed, and "
        "again after subtitles were changed. "
        "May take as long as the video lasts."
    )
    args_schema: ArgsSchema | None = IndexVideoArguments

    store: SkipValidation[VideoTimelineStore]
    """The store that the video is added to."""

    files: AgentFiles
    """The files that may be opened."""

    profile: str | Path = "standard"
    """Perception models to use: "lite" (no downloads), "talk", "standard", "full", or a YAML file."""

    def _execute(self, source: str) -> tuple[str, dict[str, Any]]:
        location = source if is_web_address(source) else str(self.files.locate(source))
        profile = load_profile(self.profile).name
        self._report_progress(0.0, "opening")
        with self.files.local_file(location) as path:
            content_id, sidecars = video_id(path), sidecar_fingerprint(path)
            stored = next((one for one in self.store.videos() if one.video_id == content_id), None)
            if stored is not None and not _needs_subtitles(stored, location, profile, sidecars):
                stored = self.store.add_source(content_id, location)
                return format_result(
                    stored.video, content_id, stored.observations, "skipped", list(_known_problems(stored, sidecars))
                )
            damage: list[Damage] = []
            failures: list[str] = []
            timeline = self._perceive(path, replace(probe(path), source=location), content_id, damage, failures)
        self.store.add(timeline, profile, damage=damage, failures=failures, sidecars=sidecars)
        self._report_progress(1.0, "stored")
        problems = [one for one in (describe_damage(damage), *failures) if one]
        return format_result(timeline.video, content_id, len(timeline), "indexed", problems)

    def _perceive(
        self, path: Path, video: VideoInfo, content_id: str, damage: list[Damage], failures: list[str]
    ) -> Timeline:
        callbacks = PerceptionCallbacks(
            progress=self._progress_callback(video.duration),
            damage=damage.append,
            failure=lambda failure: failures.append(str(failure)),
        )
        return Timeline.of(video, content_id, perceive(path, self.profile, callbacks=callbacks))

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


def _needs_subtitles(stored: VideoRecord, location: str, profile: str, sidecars: str) -> bool:
    """Return whether a stored video must be perceived again because of its subtitle files."""
    # Another profile may be better than that of this tool.
    if stored.profile != profile or stored.sidecars == sidecars:
        return False
    # Another copy of the video has its own subtitle files. They count if the timeline was made without any.
    return _is_at(stored.source, location) or not stored.sidecars


def _is_at(source: str, location: str) -> bool:
    try:
        return os.path.realpath(local_path(source)) == location
    except VideoChatError:
        return False


def _known_problems(stored: VideoRecord, sidecars: str) -> Iterator[str]:
    yield from filter(None, (stored.damage, stored.failures))
    if sidecars not in ("", stored.sidecars):
        yield describe_ignored_sidecars(stored)


def format_result(
    video: VideoInfo, content_id: str, observations: int, status: Literal["indexed", "skipped"], problems: list[str]
) -> tuple[str, dict[str, Any]]:
    """Return the content and the artifact for a video."""
    data = {"video_id": content_id, "title": video.title, "duration": video.duration, "source": video.source}
    outcome = "The video is now stored." if status == "indexed" else "The video was already stored."
    lines = [
        f"{content_id}  {format_timecode(video.duration)}  {one_line(video.title)}",
        f"{observations} observations",
    ]
    content = f"{outcome} Its id, length and title:\n" + mark_as_data(
        shorten("\n".join([*lines, *problems]), MAX_RESULT_LENGTH)
    )
    return content, data | {"observations": observations, "status": status, "problems": problems}
