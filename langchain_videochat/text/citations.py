"""Citations, and the check that an answer cites only what the model was given to read."""

import logging
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from langchain_core.documents import Document
from langchain_core.runnables import Runnable, RunnableGenerator

from langchain_videochat.text.prompts import visible
from langchain_videochat.utils.timecode import format_timecode

logger = logging.getLogger(__name__)

UNKNOWN_TIME = "??:??"
"""What is put in place of a time that no note has."""

_CLOCK = r"(?<![0-9A-Za-z:.])\d{1,3}:[0-5]\d(?::[0-5]\d)?(?![0-9A-Za-z:])"
_TIMES_ASIDE = rf"[ \t]{{0,8}}\((?:{_CLOCK}[\s,;\u2013\u2014-]*)+\)"
_IN_BRACKETS = r"[ \t]{0,8}[\[\u3010]+([^\[\]\u3010\u3011\n]{1,80})[\]\u3011]+"
_TIME = re.compile(_CLOCK)
_BRACKET = re.compile(_IN_BRACKETS)
_CLAIM = re.compile(f"{_IN_BRACKETS}|(?P<aside>{_TIMES_ASIDE})|{_CLOCK}")
_PART = re.compile(r"(?:notes?|moments?|#)?\s*([\d:.\s\u2013\u2014-]*\d[\d:.\s\u2013\u2014-]*)", re.IGNORECASE)
_BETWEEN = re.compile(r"[,;&]|\band\b")
_NUMBERS = re.compile(r"(\d+)(?:\s*[-\u2013\u2014]\s*(\d+))?")

# What may go on as a citation or a time in the next piece of a stream, with the space before it.
_UNFINISHED = re.compile(
    r"\s{0,8}(?:[\[\u3010]+[^\[\]\u3010\u3011\n]{0,80}[\]\u3011]*"
    r"|\([\d:\s,;\u2013\u2014-]{0,80}|[0-9A-Za-z:.]{1,80})?$"
)
_CUT_OFF = re.compile(r"\s*[\[\u3010][\d:.,;\s\u2013\u2014-]*$")


@dataclass(frozen=True)
class Citation:
    """A moment that an answer refers to.

    Example:
        >>> moment = {"title": "Eggs", "source": "/films/eggs.mp4", "video_id": "c0ffee", "start": 7.0, "end": 12.5}
        >>> cited = Citation.of(1, Document("...", metadata=moment | {"citation": "file:///films/eggs.mp4#t=7,12.5"}))
        >>> cited.label, cited.uri
        ('Eggs 00:07-00:12', 'file:///films/eggs.mp4#t=7,12.5')
    """

    number: int
    """What the answer calls it: 3 for "[3]". It is the place, counted from 1, in the documents of the answer."""

    label: str
    """The video's title and the times, for people."""

    uri: str
    """The stretch as a media fragment, which browsers play."""

    source: str
    """Path or address of the video, as it was given."""

    video_id: str
    """Hash of the file's content."""

    start: float
    """Seconds from the start of the video."""

    end: float
    """Seconds from the start of the video."""

    @classmethod
    def of(cls, number: int, document: Document) -> "Citation":
        """Cite a moment."""
        data = document.metadata
        title = " ".join(visible(data["title"]).split())
        return cls(
            number=number,
            label=f"{title} {times_of(document)}",
            uri=data["citation"],
            source=data["source"],
            video_id=data["video_id"],
            start=data["start"],
            end=data["end"],
        )


class CitationCheck:
    r"""Keeps what an answer cites of the moments that a model was given, and drops other citations and times.

    A citation is a number or a time in brackets, as [1], [1, 3], [2-4] or [00:07-00:12]. One that is in no moment is
    taken out of the text, and so are times in parentheses; another time becomes "??:??". All are logged at debug level.

    Args:
        moments: What the model was given, by number.

    Example:
        >>> moment = Document("Eggs\nSpeech: Dinner is at 18:30", metadata={"start": 7.0, "end": 12.5})
        >>> CitationCheck({1: moment}).check("She whisks at 00:09 [1, 5], not at 03:00 [7], and eats at 18:30.")
        'She whisks at 00:09 [1], not at ??:??, and eats at 18:30.'
    """

    def __init__(self, moments: Mapping[int, Document]) -> None:
        self._moments = moments

    def check(self, text: str) -> str:
        """Drop what is not in the moments."""
        return _CLAIM.sub(self._check_claim, text)

    def cited(self, text: str) -> list[int]:
        """List the numbers of the moments that a text cites, in the order in which it does."""
        parts = [part for bracket in _BRACKET.finditer(text) for part in _parts(bracket[1])]
        return list(dict.fromkeys(number for part in parts for number in self._find(part)))

    def with_times(self, text: str) -> str:
        """Write after each citation by number when its moments begin and end."""
        return _BRACKET.sub(self._add_times, text)

    def as_runnable(self) -> Runnable[str, str]:
        """Make a step of a chain that checks an answer, also piece by piece as it is written."""
        return RunnableGenerator(self._check_pieces, self._acheck_pieces, name="check_citations")

    def _check_pieces(self, pieces: Iterator[str]) -> Iterator[str]:
        held = ""
        for piece in pieces:
            ready, held = _split_unfinished(held + piece)
            if ready:
                yield self.check(ready)
        yield self._check_end(held)

    async def _acheck_pieces(self, pieces: AsyncIterator[str]) -> AsyncIterator[str]:
        held = ""
        async for piece in pieces:
            ready, held = _split_unfinished(held + piece)
            if ready:
                yield self.check(ready)
        yield self._check_end(held)

    def _check_end(self, text: str) -> str:
        return self.check(_CUT_OFF.sub("", text)).rstrip()

    def _check_claim(self, claim: re.Match[str]) -> str:
        if claim[1] is not None:
            return self._check_bracket(claim)
        if claim["aside"] is None:
            return self._check_time(claim)
        return claim[0] if UNKNOWN_TIME not in _TIME.sub(self._check_time, claim[0]) else ""

    def _check_bracket(self, bracket: re.Match[str]) -> str:
        parts = _parts(bracket[1])
        if not parts:
            return _TIME.sub(self._check_time, bracket[0])
        kept: list[str] = []
        for part in parts:
            numbers = self._find(part)
            kept += [part] if numbers and ":" in part else map(str, numbers)
            if not numbers:
                logger.debug("Removed the citation %r: the model was given no such moment", part)
        space = bracket[0][: -len(bracket[0].lstrip())]
        return f"{space}[{', '.join(kept)}]" if kept else ""

    def _check_time(self, time: re.Match[str]) -> str:
        seconds = _seconds(time[0])
        if seconds in self._told_times or any(_covers(moment, seconds) for moment in self._moments.values()):
            return time[0]
        logger.debug("Removed the time %s: the model was given no such moment", time[0])
        return UNKNOWN_TIME

    def _add_times(self, bracket: re.Match[str]) -> str:
        numbers = [number for part in _parts(bracket[1]) if ":" not in part for number in self._find(part)]
        times = ", ".join(times_of(self._moments[number]) for number in numbers)
        return f"{bracket[0]} ({times})" if times else bracket[0]

    def _find(self, part: str) -> list[int]:
        """Find the moments that a part of a bracket means: a number, a range of numbers, a time or a range of times."""
        times = [_seconds(clock) for clock in _TIME.findall(part)]
        if times:
            return self._find_times(times)
        numbers = _NUMBERS.fullmatch(part)
        if numbers is None:
            return []
        first, last = int(numbers[1]), int(numbers[2] or numbers[1])
        return [number for number in self._moments if first <= number <= last]

    def _find_times(self, times: Sequence[int]) -> list[int]:
        covering = [{number for number, one in self._moments.items() if _covers(one, time)} for time in times]
        in_one = set.intersection(*covering)
        if in_one:
            return [self._latest(in_one)]
        return [self._latest(numbers) for numbers in covering] if all(covering) else []

    def _latest(self, numbers: Iterable[int]) -> int:
        # 00:30 is the end of one moment and the start of the next, which is the one that is meant.
        return max(numbers, key=lambda number: (self._moments[number].metadata["start"], -number))

    @cached_property
    def _told_times(self) -> set[int]:
        """The times of day, scores and the like that are spoken or shown in the moments."""
        return {_seconds(clock) for moment in self._moments.values() for clock in _TIME.findall(moment.page_content)}


def times_of(moment: Document) -> str:
    """Write when a moment begins and ends, as people read it.

    Example:
        >>> times_of(Document("Eggs", metadata={"start": 7.0, "end": 12.5}))
        '00:07-00:12'
    """
    return f"{format_timecode(moment.metadata['start'])}-{format_timecode(moment.metadata['end'])}"


def number_moments(documents: Iterable[Document]) -> dict[int, Document]:
    """Number moments from 1."""
    return dict(enumerate(documents, start=1))


def _parts(inside: str) -> list[str]:
    """Take apart what stands in brackets; empty if it is no citation."""
    parts = [_PART.fullmatch(part.strip()) for part in _BETWEEN.split(inside)]
    return [part[1].strip() for part in parts if part] if all(parts) else []


def _covers(moment: Document, seconds: int) -> bool:
    # Clocks show whole seconds, rounded down.
    start, end = moment.metadata["start"], moment.metadata["end"]
    return int(start) <= seconds <= int(end)


def _seconds(clock: str) -> int:
    seconds = 0
    for part in clock.split(":"):
        seconds = seconds * 60 + int(part)
    return seconds


def _split_unfinished(text: str) -> tuple[str, str]:
    unfinished = _UNFINISHED.search(text)
    place = unfinished.start() if unfinished else len(text)
    return text[:place], text[place:]
