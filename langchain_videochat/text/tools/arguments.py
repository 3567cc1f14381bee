"""Arguments of tools as language models write them: videos, times and questions."""

import math
from collections.abc import Sequence
from typing import TypeVar

from langchain_videochat.errors import InputError
from langchain_videochat.store import VideoRecord
from langchain_videochat.text.tools.base import one_line, shorten
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.timecode import parse_timecode
from langchain_videochat.utils.unicode import fold

Time = float | str
"""Seconds, `mm:ss` or `h:mm:ss`."""

VIDEO = "The video: its id, the first characters of its id, or its title."
START = "Start time, in seconds or as mm:ss."
END = "End time, in seconds or as mm:ss."

MIN_PREFIX_LENGTH = 4
"""Characters of an id that identify a video: shorter prefixes could be words."""

MAX_QUERY_LENGTH = 2000
"""Characters of a question or query."""

MAX_QUOTED_LENGTH = 60
"""Characters of an invalid argument that an error quotes."""

MAX_LISTED_VIDEOS = 10
"""Videos that an error lists."""

VideoT = TypeVar("VideoT", VideoRecord, Timeline)


def find_video(videos: Sequence[VideoT], name: str | None) -> VideoT:
    """Return the video that a language model names.

    Args:
        videos: All videos.
        name: An id, a prefix of one, or a title, ignoring case and accents. None stands for the only video.

    Raises:
        InputError: No video or more than one matches.
    """
    matches = list(videos) if name is None else _matches(videos, name.strip())
    if len(matches) == 1:
        return matches[0]
    if not videos:
        raise InputError("video_id", "there are no videos yet", "Tell the user, or index a video first if you can")
    if matches:
        problem = f"could be any of {_list_videos(matches)}"
    else:
        problem = f"unknown video {str(name)[:MAX_QUOTED_LENGTH]!r}. The videos are {_list_videos(videos)}"
    raise InputError("video_id", problem, "Use the id of one video")


def _matches(videos: Sequence[VideoT], name: str) -> list[VideoT]:
    by_id = [one for one in videos if one.video_id == name]
    by_title = [one for one in videos if fold(one.video.title.strip()) == fold(name)]
    by_prefix = [one for one in videos if len(name) >= MIN_PREFIX_LENGTH and one.video_id.startswith(name.lower())]
    return by_id or by_title or by_prefix


def _list_videos(videos: Sequence[VideoT]) -> str:
    names = ", ".join(
        f"{one.video_id} ({shorten(one_line(one.video.title), MAX_QUOTED_LENGTH)})"
        for one in videos[:MAX_LISTED_VIDEOS]
    )
    return f"{names} and others" if len(videos) > MAX_LISTED_VIDEOS else names


def parse_time(name: str, time: Time | None) -> float | None:
    """Convert a time to seconds; None stays None.

    Raises:
        InputError: The time is invalid; the error's subject is `name`.

    Example:
        >>> parse_time("start", "01:07"), parse_time("start", 67)
        (67.0, 67.0)
    """
    if time is None:
        return None
    try:
        seconds = parse_timecode(time) if isinstance(time, str) else float(time)
    except (ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        problem = f"{str(time)[:MAX_QUOTED_LENGTH]!r} is not a valid time"
        raise InputError(name, problem, "Use seconds or mm:ss, for example 75 or 01:15")
    return seconds


def parse_interval(start: Time | None, end: Time | None, duration: float) -> Interval:
    """Return the interval between two times within a video of `duration` seconds, by default all of it.

    Raises:
        InputError: A time is invalid, `end` is not after `start`, or `start` is after the end of the video.

    Example:
        >>> parse_interval("01:07", None, duration=80.0)
        Interval(start=67.0, end=80.0)
    """
    interval = Interval.of(parse_time("start", start), parse_time("end", end))
    # From its start, even a video without duration (an image, a damaged file) can be read.
    return interval.within(duration) if interval.start else Interval(0.0, min(interval.end, duration))


def check_query(name: str, text: str) -> None:
    """Check that a question or query is neither empty nor too long.

    Raises:
        InputError: It is one or the other; its subject is `name`.
    """
    if not text.strip():
        raise InputError(name, "is empty", "Write what to look for")
    if len(text) > MAX_QUERY_LENGTH:
        problem = f"has {len(text)} characters, more than {MAX_QUERY_LENGTH}"
        raise InputError(name, problem, "Ask for the main point in one sentence")
