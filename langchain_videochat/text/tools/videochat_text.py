"""VideoChat-Text as a tool: the textualized video."""

from bisect import bisect_right
from typing import Any

from langchain_core.tools.base import ArgsSchema
from pydantic import BaseModel, Field, SkipValidation

from langchain_videochat.errors import InputError
from langchain_videochat.store import VideoTimelineStore
from langchain_videochat.text.prompts import mark_as_data
from langchain_videochat.text.tools.arguments import END, START, VIDEO, Time, find_video, to_stretch
from langchain_videochat.text.tools.base import VideoTool, shorten, timecode_range
from langchain_videochat.timeline import Timeline, citation
from langchain_videochat.utils.timecode import format_seconds

LONGEST_TEXT = 12_000
"""Characters of a textualized video: about 3,000 tokens, so that an agent can read several."""

SHORTEST_STEP = 0.001
"""Seconds by which a cut lies within the stretch at least: times are written with three decimals."""


class VideoChatTextArguments(BaseModel):
    """Which video, and which stretch of it."""

    video_id: str | None = Field(None, description=f"{VIDEO} May be left out where there is only one video.")
    start: Time | None = Field(None, description=START)
    end: Time | None = Field(None, description=END)


class VideoChatTextTool(VideoTool):
    """Tells a language model what happens in a video, or in a stretch of it, as text with times.

    This is VideoChat-Text (paper 3.1) for agents. What is too long is cut at a time, with advice how to read on.
    Artifact: `{"video_id", "start", "end", "citation", "rest"}`, where `rest` is the time in seconds at which the text
    was cut, or None.

    Raises:
        InputError: Both a store and a timeline are given, or none.

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
        "Read what happens in a video, or in a stretch of it, as text with times: "
        "what is seen, done, said and written on the screen."
    )
    args_schema: ArgsSchema | None = VideoChatTextArguments

    store: SkipValidation[VideoTimelineStore] | None = None
    """Where the videos are."""

    timeline: SkipValidation[Timeline] | None = None
    """In place of a store: the only video."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        if (self.store is None) == (self.timeline is None):
            raise InputError("store, timeline", "one of them is needed, and not both", "Give a store or a timeline")

    def _answer(
        self, video_id: str | None = None, start: Time | None = None, end: Time | None = None
    ) -> tuple[str, dict[str, Any]]:
        timeline, low, high = self._read(video_id, start, end)
        text, rest = cut_to_fit(timeline, low)
        last = high if rest is None else rest
        content = f"{timecode_range(low, last)} of {format_seconds(timeline.video.duration)} s:\n{mark_as_data(text)}"
        if rest is not None:
            content += (
                f'\nThe rest is left out. Read on with start="{format_seconds(rest)}", or ask for a shorter stretch.'
            )
        place = citation(timeline.video.source, low, last)
        return content, {"video_id": timeline.video_id, "start": low, "end": last, "citation": place, "rest": rest}

    def _read(self, name: str | None, start: Time | None, end: Time | None) -> tuple[Timeline, float, float]:
        if self.timeline is not None:
            video = find_video([self.timeline], name)
            low, high = to_stretch(video.video, start, end)
            return video.slice(low, None if end is None else high), low, high
        assert self.store is not None  # noqa: S101 - as __init__ has seen to
        record = find_video(self.store.videos(), name)
        low, high = to_stretch(record.video, start, end)
        return self.store.timeline(record.video_id, low, None if end is None else high), low, high


def cut_to_fit(timeline: Timeline, start: float) -> tuple[str, float | None]:
    """Write as much of a timeline as may be told at once, all its modalities up to one time.

    Args:
        timeline: The stretch that is asked for.
        start: Seconds at which it begins.

    Returns:
        The text, and the time in seconds at which the rest begins; None if nothing is left out.
    """
    text = timeline.to_prompt()
    if len(text) <= LONGEST_TEXT:
        return text, None
    last = timeline.video.duration - SHORTEST_STEP
    cuts = sorted({one.start for one in timeline if start + SHORTEST_STEP <= one.start <= last})
    fitting = bisect_right(cuts, LONGEST_TEXT, key=lambda cut: len(timeline.slice(end=cut).to_prompt()))
    # Where more happens at one time than may be told, its text is cut too.
    cut = cuts[max(0, fitting - 1)] if cuts else None
    text = shorten(timeline.slice(end=cut).to_prompt(), LONGEST_TEXT)
    return text, None if cut is None else round(cut, 3)
