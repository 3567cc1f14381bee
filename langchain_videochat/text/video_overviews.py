"""Short timelines of videos, which take the place of the videos in an agent's messages."""

from collections.abc import Sequence
from typing import TypedDict

from langchain_videochat.errors import VideoChatError
from langchain_videochat.perception import Observation
from langchain_videochat.text.tools.base import format_error, one_line, shorten
from langchain_videochat.timeline import Moment, Timeline, citation
from langchain_videochat.timeline.citation import source_uri
from langchain_videochat.utils.timecode import format_timecode
from langchain_videochat.utils.untrusted_text import mark_as_data

MAX_LINES = 24
"""Lines of an overview: two-hour films have five minutes in each."""

MAX_LENGTH = 4000
"""Characters of its lines: about 1,000 tokens. The agent's tools return the rest."""

MAX_PROBLEMS_LENGTH = 300
"""Characters of the description of what could not be read."""

NO_TEXT = "(No text was observed.)"


class VideoOverview(TypedDict):
    """The texts that take the place of a video: plain data, which survive checkpoints."""

    video_id: str
    """The video; empty if it could not be opened."""

    text: str
    """Its title, address and timeline, or why it could not be opened."""

    brief: str
    """The same without the timeline."""


def make_overview(timeline: Timeline, problems: Sequence[str] = ()) -> VideoOverview:
    """Format a timeline as an overview with citations.

    Args:
        timeline: All of a video.
        problems: What could not be read of it.

    Example:
        >>> from langchain_videochat.media import VideoInfo
        >>> from langchain_videochat.perception import Observation
        >>> video = VideoInfo(source="/films/eggs.mp4", title="eggs", duration=10.0, width=640, height=360)
        >>> timeline = Timeline.of(video, "c0ffee", [Observation(0, 4, "screen_text", "Whisk")])
        >>> print(make_overview(timeline)["text"])
        Video c0ffee, 00:10 long. Its title, address and timeline:
        <video_notes>
        eggs
        file:///films/eggs.mp4
        #t=0,10 On screen: Whisk
        </video_notes>
        A citation is the address followed by the #t= of a line. To look closer, use the tools with this video_id.
    """
    heading = f"Video {timeline.video_id}, {format_timecode(timeline.video.duration)} long"
    name = f"{one_line(timeline.video.title)}\n{source_uri(timeline.video.source)}"
    lines = [name, *(_lines(timeline) or [NO_TEXT])]
    if problems:
        lines.append(f"Incomplete: {shorten(one_line('; '.join(problems)), MAX_PROBLEMS_LENGTH)}")
    notes = mark_as_data("\n".join(lines))
    return VideoOverview(
        video_id=timeline.video_id,
        text=f"{heading}. Its title, address and timeline:\n{notes}\n"
        "A citation is the address followed by the #t= of a line. To look closer, use the tools with this video_id.",
        brief=f"{heading}. Its timeline was removed to save context; video_chat_text returns it. "
        f"Its title and address:\n{mark_as_data(name)}",
    )


def explain_failure(error: VideoChatError) -> VideoOverview:
    """Return what a language model gets in place of a video that could not be opened."""
    text = format_error(error, "The video could not be opened:")
    return VideoOverview(video_id="", text=text, brief=text)


def describe_observations(observations: Sequence[Observation], max_length: int) -> str:
    """Format observations in one line of limited length; empty if they have no text."""
    # The first line of a moment's text is its title.
    lines = Moment("", 0.0, 0.0, tuple(observations)).text.splitlines()[1:]
    return shorten("; ".join(filter(str.strip, lines)), max_length)


def _lines(timeline: Timeline) -> list[str]:
    moments = timeline.moments()
    count = min(len(moments), MAX_LINES)
    groups = [moments[len(moments) * one // count : len(moments) * (one + 1) // count] for one in range(count)]
    return [_line(group, MAX_LENGTH // count) for group in groups]


def _line(moments: Sequence[Moment], max_length: int) -> str:
    observations = list(dict.fromkeys(each for one in moments for each in one.observations))
    times = citation("", moments[0].start, moments[-1].end)
    return f"{times} {describe_observations(observations, max_length) or NO_TEXT}"
