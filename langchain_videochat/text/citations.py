"""Citations, and the check that an answer cites only moments that the model was given."""

import logging
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from langchain_core.documents import Document
from langchain_core.runnables import Runnable, RunnableGenerator
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from langchain_videochat.text.reply_filter import ReplyFilter
from langchain_videochat.timeline import citation
from langchain_videochat.utils.interval import Interval
from langchain_videochat.utils.timecode import format_timecode
from langchain_videochat.utils.untrusted_text import strip_invisible

logger = logging.getLogger(__name__)

UNKNOWN_TIME = "??:??"
"""Replaces a time that is not in the notes."""

# Digits, brackets and commas of all scripts: models also write [१], 【2】 and [1، 3].
_OPEN, _CLOSE = r"\[\u3010\uff3b", r"\]\u3011\uff3d"
_UP_TO_59 = r"(?:[0-5]|(?![0-9])\d)\d"
_TIMECODE = rf"(?<![\dA-Za-z:.])\d{{1,3}}:{_UP_TO_59}(?::{_UP_TO_59})?(?![\dA-Za-z:])"
_TIMES_IN_PARENTHESES = rf"[ \t]{{0,8}}[(\uff08](?:{_TIMECODE}[\s,;\u2013\u2014-]*)+[)\uff09]"
_IN_BRACKETS = rf"[ \t]{{0,8}}[{_OPEN}]+([^{_OPEN}{_CLOSE}\n]{{1,80}})[{_CLOSE}]+"
_TIME = re.compile(_TIMECODE)
_BRACKET = re.compile(_IN_BRACKETS)
_CLAIM = re.compile(f"{_IN_BRACKETS}|(?P<times>{_TIMES_IN_PARENTHESES})|{_TIMECODE}")
_PART = re.compile(r"(?:notes?|moments?|#)?\s*([\d:.\s\u2013\u2014-]*\d[\d:.\s\u2013\u2014-]*)", re.IGNORECASE)
_SEPARATOR = re.compile(r"[,;&\u060c\u061b\u3001\uff0c\uff1b]|\band\b")
_NUMBERS = re.compile(r"(\d+)(?:\s*[-\u2013\u2014]\s*(\d+))?")

# Text at the end of a delta that the next one may complete to a citation or a time, with the space before it.
_UNFINISHED = re.compile(
    rf"\s{{0,8}}(?:[{_OPEN}]+[^{_OPEN}{_CLOSE}\n]{{0,80}}[{_CLOSE}]*"
    r"|[(\uff08][\d:\s,;\u2013\u2014-]{0,80}|[\dA-Za-z:.]{1,80})?$"
)
_INCOMPLETE_CITATION = re.compile(rf"\s*[{_OPEN}][\d:.,;\s\u2013\u2014-]*$")


class Citation(dict[str, Any]):
    """The part of a moment that supports a statement of an answer.

    A dict, because JSON and LangGraph's checkpoints can store it without knowing this class: they restore an equal,
    plain dict. In code that reads either, use keys. The attributes have the same names.

    Example:
        >>> moment = Document("...", metadata={"title": "Eggs", "source": "/films/eggs.mp4", "video_id": "c0ffee"})
        >>> cited = Citation.of(1, moment, Interval(7.0, 12.5))
        >>> cited["label"], cited.uri
        ('Eggs 00:07-00:12', 'file:///films/eggs.mp4#t=7,12.5')
    """

    number: int
    """The number in the answer: 3 for "[3]". The moment is `documents[number - 1]` of the answer."""

    label: str
    """The video's title and the times, for display."""

    uri: str
    """A W3C media fragment, which browsers play: `file:///films/eggs.mp4#t=7,12.5`."""

    source: str
    """Absolute path or URL of the video."""

    video_id: str
    """Hash of the video file's content."""

    start: float
    """Start of the observations that support the statement, in seconds from the start of the video.

    They may begin before the moment and end after it. If none stands out, this is the start of the moment."""

    end: float
    """End of the observations, or of the moment, in seconds."""

    def __init__(self, number: int, label: str, uri: str, source: str, video_id: str, start: float, end: float) -> None:
        super().__init__(number=number, label=label, uri=uri, source=source, video_id=video_id, start=start, end=end)

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(f"Citation has no attribute {name!r}", name=name, obj=self)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # For the schemas of chains, and for states of graphs that are pydantic models.
        types = {name: handler.generate_schema(kind) for name, kind in cls.__annotations__.items()}
        fields = {name: core_schema.typed_dict_field(kind) for name, kind in types.items()}
        return core_schema.no_info_after_validator_function(
            lambda values: cls(**values), core_schema.typed_dict_schema(fields)
        )

    @classmethod
    def of(cls, number: int, moment: Document, interval: Interval) -> "Citation":
        """Create the citation of an interval, which observations of a moment support."""
        data = moment.metadata
        title = " ".join(strip_invisible(data["title"]).split())
        times = f"{format_timecode(interval.start)}-{format_timecode(interval.end)}"
        return cls(
            number=number,
            label=f"{title} {times}",
            uri=citation(data["source"], interval.start, interval.end),
            source=data["source"],
            video_id=data["video_id"],
            start=round(interval.start, 3),
            end=round(interval.end, 3),
        )


class CitationCheck:
    r"""Removes citations and times from an answer that do not refer to the moments that the model was given.

    Citations are numbers or times in brackets: [1], [1, 3], [2-4], [00:07-00:12]. Unknown citations, and unknown times
    in parentheses, are removed; other unknown times become "??:??". Each change is logged at debug level.

    Args:
        moments: The moments that the model was given, by number.

    Example:
        >>> moment = Document("Eggs\nSpeech: Dinner is at 18:30", metadata={"start": 7.0, "end": 12.5})
        >>> CitationCheck({1: moment}).check("She whisks at 00:09 [1, 5], not at 03:00 [7], and eats at 18:30.")
        'She whisks at 00:09 [1], not at ??:??, and eats at 18:30.'
    """

    def __init__(self, moments: Mapping[int, Document]) -> None:
        self._moments = moments
        self.removed: list[str] = []
        """The citations that `check` has removed so far."""

    def check(self, text: str) -> str:
        """Return the text without unknown citations and times."""
        return _CLAIM.sub(self._check_claim, text)

    def cited(self, text: str) -> list[int]:
        """Return the numbers of the moments that a text cites, in order of first citation."""
        return list(self.statements(text))

    def statements(self, text: str) -> dict[int, list[str]]:
        """Return the statements that each moment is cited for, by its number, in order of first citation.

        A statement is the text between a citation and the one before it, or the start of the line; of a citation at the
        start of a line it is the text after it.
        """
        statements: defaultdict[int, list[str]] = defaultdict(list)
        for line in text.split("\n"):
            statement, position = "", 0
            for bracket in _BRACKET.finditer(line):
                numbers = self._cited_in(bracket)
                if not numbers:
                    continue
                before, position = line[position : bracket.start()], bracket.end()
                # Of "[1][2]" or "[1], [2]", both are for the same statement.
                statement = (
                    before if _has_words(before) else statement or _BRACKET.split(line[position:], maxsplit=1)[0]
                )
                for number in numbers:
                    statements[number].append(statement)
        return dict(statements)

    def with_times(self, text: str) -> str:
        """Insert the times of the cited moments after each citation by number."""
        return _BRACKET.sub(self._add_times, text)

    def as_runnable(self, reply: ReplyFilter) -> Runnable[str, str]:
        """Return a Runnable that filters a reply and checks the answer in it, also while it streams."""

        # In one step: each step of a Runnable costs time for each delta.
        def check(deltas: Iterator[str]) -> Iterator[str]:
            yield from self._check_deltas(reply.filter(deltas))

        async def acheck(deltas: AsyncIterator[str]) -> AsyncIterator[str]:
            async for delta in self._acheck_deltas(reply.afilter(deltas)):
                yield delta

        return RunnableGenerator(check, acheck, name="check_citations")

    def _check_deltas(self, deltas: Iterator[str]) -> Iterator[str]:
        held = ""
        for delta in deltas:
            ready, held = _split_unfinished(held + delta)
            if ready:
                yield self.check(ready)
        yield self._check_end(held)

    async def _acheck_deltas(self, deltas: AsyncIterator[str]) -> AsyncIterator[str]:
        held = ""
        async for delta in deltas:
            ready, held = _split_unfinished(held + delta)
            if ready:
                yield self.check(ready)
        yield self._check_end(held)

    def _check_end(self, text: str) -> str:
        return self.check(_INCOMPLETE_CITATION.sub("", text)).rstrip()

    def _check_claim(self, claim: re.Match[str]) -> str:
        if claim[1] is not None:
            return self._check_bracket(claim)
        if claim["times"] is None:
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
                self.removed.append(part)
                logger.debug("Removed citation %r: no such moment was given to the model", part)
        space = bracket[0][: -len(bracket[0].lstrip())]
        return f"{space}[{', '.join(kept)}]" if kept else ""

    def _check_time(self, time: re.Match[str]) -> str:
        seconds = _seconds(time[0])
        if seconds in self._quoted_times or any(_covers(moment, seconds) for moment in self._moments.values()):
            return time[0]
        logger.debug("Removed time %s: no such moment was given to the model", time[0])
        return UNKNOWN_TIME

    def _add_times(self, bracket: re.Match[str]) -> str:
        numbers = [number for part in _parts(bracket[1]) if ":" not in part for number in self._find(part)]
        times = ", ".join(format_times(self._moments[number]) for number in numbers)
        return f"{bracket[0]} ({times})" if times else bracket[0]

    def _cited_in(self, bracket: re.Match[str]) -> list[int]:
        return [number for part in _parts(bracket[1]) for number in self._find(part)]

    def _find(self, part: str) -> list[int]:
        """Return the moments that part of a bracket refers to: a number, a time, or a range of either."""
        times = [_seconds(timecode) for timecode in _TIME.findall(part)]
        if times:
            return self._find_times(times)
        numbers = _NUMBERS.fullmatch(part)
        if numbers is None:
            return []
        first, last = int(numbers[1]), int(numbers[2] or numbers[1])
        return [number for number in self._moments if first <= number <= last]

    def _find_times(self, times: Sequence[int]) -> list[int]:
        covering = [{number for number, one in self._moments.items() if _covers(one, time)} for time in times]
        common = set.intersection(*covering)
        if common:
            return [self._latest(common)]
        return [self._latest(numbers) for numbers in covering] if all(covering) else []

    def _latest(self, numbers: Iterable[int]) -> int:
        # 00:30 is the end of one moment and the start of the next: the model means the next.
        return max(numbers, key=lambda number: (self._moments[number].metadata["start"], -number))

    @cached_property
    def _quoted_times(self) -> set[int]:
        """Times within the text of the moments, such as times of day and scores."""
        return {
            _seconds(timecode) for moment in self._moments.values() for timecode in _TIME.findall(moment.page_content)
        }


def format_times(moment: Document) -> str:
    """Format the start and end of a moment.

    Example:
        >>> format_times(Document("Eggs", metadata={"start": 7.0, "end": 12.5}))
        '00:07-00:12'
    """
    return f"{format_timecode(moment.metadata['start'])}-{format_timecode(moment.metadata['end'])}"


def number_moments(documents: Iterable[Document]) -> dict[int, Document]:
    """Number moments, starting at 1."""
    return dict(enumerate(documents, start=1))


def _parts(inside: str) -> list[str]:
    """Split the text inside brackets; empty if it is not a citation."""
    parts = [_PART.fullmatch(part.strip()) for part in _SEPARATOR.split(inside) if part.strip()]
    return [part[1].strip() for part in parts if part] if all(parts) else []


def _has_words(text: str) -> bool:
    return any(map(str.isalnum, text))


def _covers(moment: Document, seconds: int) -> bool:
    # Timecodes are rounded down to whole seconds.
    start, end = moment.metadata["start"], moment.metadata["end"]
    return int(start) <= seconds <= int(end)


def _seconds(timecode: str) -> int:
    seconds = 0
    for part in timecode.split(":"):
        seconds = seconds * 60 + int(part)
    return seconds


def _split_unfinished(text: str) -> tuple[str, str]:
    unfinished = _UNFINISHED.search(text)
    position = unfinished.start() if unfinished else len(text)
    return text[:position], text[position:]
