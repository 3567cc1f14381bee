"""The tool that returns a video as text (VideoChat-Text)."""

from typing import Any

from langchain_core.tools.base import ArgsSchema
from pydantic import BaseModel, Field, SkipValidation

from langchain_videochat.errors import InputError
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.timeline_start import fitting_start
from langchain_videochat.text.tools.arguments import END, START, VIDEO, Time, find_video, parse_interval
from langchain_videochat.text.tools.base import VideoTool, format_interval, interval_artifact, shorten
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.timecode import format_seconds
from langchain_videochat.utils.untrusted_text import mark_as_data

MAX_TEXT_LENGTH = 12_000
"""Characters of one result: about 3,000 tokens, so that an agent can read several."""


class VideoChatTextArguments(BaseModel):
    """A video, or part of it."""

    video_id: str | None = Field(None, description=f"{VIDEO} May be omitted if there is only one video.")
    start: Time | None = Field(None, description=START)
    end: Time | None = Field(None, description=END)


class VideoChatTextTool(VideoTool):
    """Returns a video, or part of it, as text with times: VideoChat-Text (paper 3.1) for agents.

    Long text is cut off, and the model is told where to continue. Artifact:
    `{"video_id", "start", "end", "citation", "rest"}`, where `rest` is the time in seconds at which the text was cut
    off, or None.

    Raises:
        InputError: Both a store and a timeline are given, or neither.

    Example:
        >>> from langchain_videochat.media import VideoInfo
        >>> from langchain_videochat.perception import Observation
        >>> video = VideoInfo(source="/films/eggs.mp4", title="eggs", duration=10.0, width=640, height=360)
        >>> timeline = Timeline.of(video, "c0ffee", [Observation(0, 4, "screen_text", "Whisk")])
        >>> print(VideoChatTextTool(timeline=timeline).invoke({"end": "00:05"}))
        00:00-00:05 (0-5 s) of 10 s:
        <video_notes>
        eggs (00:10)
        <BLANKLINE>
        On screen:
        00:00-00:04 Whisk
        </video_notes>
    """

    name: str = "video_chat_text"
    description: str = (
        "Read a video, or part of it, as text with times: the transcript of what the speakers say, and what is seen, "
        "done and written on the screen. Use it to summarize or describe a talk, to write the minutes of a meeting, "
        "or to learn everything that happens in part of a film."
    )
    args_schema: ArgsSchema | None = VideoChatTextArguments

    store: SkipValidation[VideoTimelineStore] | None = None
    """The videos; either this or `timeline` is required."""

    timeline: SkipValidation[Timeline] | None = None
    """The only video."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        if (self.store is None) == (self.timeline is None):
            raise InputError("store, timeline", "exactly one is required", "Pass a store or a timeline")

    def _execute(
        self, video_id: str | None = None, start: Time | None = None, end: Time | None = None
    ) -> tuple[str, dict[str, Any]]:
        timeline, interval = self._read(video_id, start, end)
        text, rest = format_start(timeline, interval.start)
        shown = interval if rest is None else Interval(interval.start, rest)
        duration = format_seconds(timeline.video.duration)
        content = f"{format_interval(shown)} of {duration} s:\n{mark_as_data(text)}"
        if rest is not None:
            content += f'\nThe rest is cut off. Continue with start="{format_seconds(rest)}", or read a shorter part.'
        return content, {**interval_artifact(timeline.video, timeline.video_id, shown), "rest": rest}

    def _read(self, name: str | None, start: Time | None, end: Time | None) -> tuple[Timeline, Interval]:
        if self.timeline is not None:
            video = find_video([self.timeline], name)
            interval = parse_interval(start, end, video.video.duration)
            return video.slice(interval.start, None if end is None else interval.end), interval
        assert self.store is not None  # noqa: S101 - ensured by __init__
        record = find_video(self.store.videos(), name)
        interval = parse_interval(start, end, record.duration)
        # Without an end, speech and subtitles that outlast the frames are included.
        timeline = self.store.timeline(record.video_id, interval.start, None if end is None else interval.end)
        return timeline, interval


def format_start(timeline: Timeline, start: float) -> tuple[str, float | None]:
    """Format as much of a timeline from `start` on as fits into one result.

    Returns:
        The text, and the time in seconds at which it was cut off; None if it is complete.
    """
    part, rest = fitting_start(timeline, start, lambda part: len(part.to_prompt()) <= MAX_TEXT_LENGTH)
    # If the text up to the first cut is too long, it is truncated.
    return shorten(part.to_prompt(), MAX_TEXT_LENGTH), rest
