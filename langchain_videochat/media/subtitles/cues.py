"""Subtitle cues and their problems."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter
from typing import NamedTuple

from langchain_videochat.media.damage import Damage
from langchain_videochat.utils.plain_text import plain_line

MAX_UNKNOWN_SECONDS = 5.0
"""Maximum length in seconds of a cue without an end, which lasts until the next cue."""

MAX_LENGTH = 10_000
"""Maximum characters of a cue: ten minutes of speech. Longer cues are truncated."""

MAX_SPEAKER_LENGTH = 100
"""Maximum characters of a speaker's name."""


@dataclass(frozen=True)
class Cue:
    """A subtitle and the time it is displayed."""

    start: float
    """Seconds from the start of the video."""

    end: float
    """Seconds from the start of the video."""

    text: str
    """Text on one line, without formatting."""

    language: str | None
    """Language tag of the track or in the file's name, for example "en" or "eng"; None if unknown."""

    track: str
    """Origin: the name of the sidecar file, or "track 2" of the video itself."""

    speaker: str | None = None
    """Who speaks, if the file says so."""


class ParsedCue(NamedTuple):
    """A cue as it stands in a file."""

    start: float
    """Seconds."""

    end: float
    """Seconds; NaN if unknown."""

    text: str
    """Text without formatting, with its line breaks."""

    speaker: str | None = None


class CueProblem(Enum):
    """Problems of a cue, worded for one cue and for several."""

    BACKWARDS = "ends before it starts", "end before they start"
    NO_END = "has no duration", "have no duration"
    TOO_LONG = "is too long and was cut off", "are too long and were cut off"
    NO_TIME = "has no valid time", "have no valid time"
    UNDECODABLE = "cannot be decoded", "cannot be decoded"
    BEFORE_VIDEO = "starts before the video", "start before the video"


Problems = Counter[CueProblem]


def describe(name: str, problems: Problems) -> tuple[Damage, ...]:
    """Convert the problems of a track to damage.

    Example:
        >>> [str(one) for one in describe("talk.srt", Problems({CueProblem.BACKWARDS: 2}))]
        ['talk.srt: 2 cues end before they start']
    """
    return tuple(
        Damage("subtitle", f"{name}: {_count(*problem.value, count)}") for problem, count in (+problems).items()
    )


def _count(singular: str, plural: str, count: int) -> str:
    return f"1 cue {singular}" if count == 1 else f"{count} cues {plural}"


def arrange(cues: Iterable[ParsedCue], problems: Problems) -> list[ParsedCue]:
    """Sort cues, drop those that end before they start, add missing ends, and truncate those that are too long.

    Args:
        cues: Cues in file order.
        problems: Updated with those of the cues.

    Returns:
        Cues with text, by start.

    Example:
        >>> cues = [ParsedCue(5, 4, "backwards"), ParsedCue(3, math.nan, "endless"), ParsedCue(4, 6, "good")]
        >>> [(cue.text, cue.end) for cue in arrange(cues, Problems())]
        [('endless', 4), ('good', 6)]
    """
    given = sorted(cues, key=attrgetter("start"))
    forward = [cue for cue in given if not cue.end < cue.start]
    problems[CueProblem.BACKWARDS] += len(given) - len(forward)
    problems[CueProblem.NO_END] += sum(not cue.end > cue.start for cue in forward if cue.text.strip())
    problems[CueProblem.TOO_LONG] += sum(len(cue.text) > MAX_LENGTH for cue in forward)
    return [cue for cue in map(_cut_off, _end_endless(forward)) if cue.text.strip()]


def _cut_off(cue: ParsedCue) -> ParsedCue:
    speaker = plain_line(cue.speaker or "", MAX_SPEAKER_LENGTH)
    return cue._replace(text=cue.text[:MAX_LENGTH], speaker=speaker or None)


def _end_endless(cues: list[ParsedCue]) -> list[ParsedCue]:
    """End cues of unknown or no length with the next cue, after `MAX_UNKNOWN_SECONDS` at the latest."""
    ended: list[ParsedCue] = []
    next_start = math.inf  # of the cues that start later
    for cue in reversed(cues):
        if ended and ended[-1].start > cue.start:
            next_start = ended[-1].start
        latest = min(next_start, cue.start + MAX_UNKNOWN_SECONDS)
        ended.append(cue if cue.end > cue.start else cue._replace(end=latest))
    return ended[::-1]
