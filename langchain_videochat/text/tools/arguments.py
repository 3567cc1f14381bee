"""What a language model writes as the arguments of a tool: names of videos, and times."""

import math
from collections.abc import Sequence
from typing import TypeVar

from langchain_videochat.errors import InputError
from langchain_videochat.media import VideoInfo
from langchain_videochat.store import VideoRecord
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.timecode import format_timecode, parse_timecode

Time = float | str
"""Seconds, or `mm:ss`, or `h:mm:ss`."""

VIDEO = "The video: its id, the first characters of its id, or its title."
START = "Where to begin, in seconds or as mm:ss."
END = "Where to end, in seconds or as mm:ss."

SHORTEST_PREFIX = 4
"""Characters of an id that name a video: fewer would be words by chance."""

LONGEST_QUESTION = 2000
"""Characters: a question is not a document."""

LONGEST_NAME = 60
"""Characters of a wrong argument that are repeated to the model."""

LISTED = 10
"""Videos that are named where one was not found."""

VideoT = TypeVar("VideoT", VideoRecord, Timeline)


def find_video(videos: Sequence[VideoT], name: str | None) -> VideoT:
    """Find the video that a language model means.

    Args:
        videos: Among which.
        name: An id, the beginning of one, or a title in any case. None means the only video that there is.

    Raises:
        InputError: None of the videos is meant, or several are.
    """
    found = list(videos) if name is None else _named(videos, name.strip())
    if len(found) == 1:
        return found[0]
    if not videos:
        raise InputError("video_id", "there are no videos yet", "Tell the user, or index a video first if you can")
    if not found:
        problem = f"{str(name)[:LONGEST_NAME]!r} is no video. There are {_listing(videos)}"
    else:
        problem = f"it may be any of {_listing(found)}"
    raise InputError("video_id", problem, "Give the id of one video")


def _named(videos: Sequence[VideoT], name: str) -> list[VideoT]:
    by_id = [one for one in videos if one.video_id == name]
    by_title = [one for one in videos if one.video.title.strip().casefold() == name.casefold()]
    by_prefix = [one for one in videos if len(name) >= SHORTEST_PREFIX and one.video_id.startswith(name.lower())]
    return by_id or by_title or by_prefix


def _listing(videos: Sequence[VideoT]) -> str:
    names = ", ".join(f"{one.video_id} ({one.video.title})" for one in videos[:LISTED])
    return f"{names} and others" if len(videos) > LISTED else names


def to_seconds(name: str, time: Time | None) -> float | None:
    """Read a time; None stays None.

    Args:
        name: The argument's name.
        time: What was given for it.

    Raises:
        InputError: It is no time.

    Example:
        >>> to_seconds("start", "01:07"), to_seconds("start", 67)
        (67.0, 67.0)
    """
    if time is None:
        return None
    try:
        seconds = parse_timecode(time) if isinstance(time, str) else float(time)
    except (ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise InputError(name, f"{str(time)[:LONGEST_NAME]!r} is no time", "Write seconds, or mm:ss, as 75 or 01:15")
    return seconds


def to_stretch(video: VideoInfo, start: Time | None, end: Time | None) -> tuple[float, float]:
    """Read a stretch of a video, open ends being those of the video.

    Returns:
        Seconds; the end is not after that of the video.

    Raises:
        InputError: A time is none, the stretch begins after the end of the video, or ends before it begins.
    """
    low = to_seconds("start", start)
    high = to_seconds("end", end)
    if low is not None:
        check_within(video, "start", low)
    first = low or 0.0
    if high is not None and high <= first:
        raise InputError("end", f"{high:g} s is not after the start at {first:g} s", "Give start before end")
    return first, video.duration if high is None else min(high, video.duration)


def check_within(video: VideoInfo, name: str, seconds: float) -> None:
    """Refuse a time after the end of a video.

    Args:
        video: The video.
        name: The argument's name.
        seconds: What was given for it.

    Raises:
        InputError: It is after the end.
    """
    if seconds >= video.duration:
        problem = f"{seconds:g} s is after the end of the video at {video.duration:g} s"
        raise InputError(name, problem, f"Give a time before {format_timecode(video.duration)}")


def check_question(name: str, text: str) -> None:
    """Refuse questions that are empty or as long as a document.

    Raises:
        InputError: It is one of these.
    """
    if not text.strip():
        raise InputError(name, "is empty", "Say what to look for")
    if len(text) > LONGEST_QUESTION:
        problem = f"has {len(text)} characters, of at most {LONGEST_QUESTION}"
        raise InputError(name, problem, "Ask for the main thing in a sentence")
